"""The application's own containers with their placeholders resolved, in the places where Score resolves them."""

from engine.domain.placeholders import Resolve, substitute, substitute_tree
from engine.domain.values import Json, JsonObject
from engine.domain.volume_source import resolved_source


def resolve_workload(workload: JsonObject, resolve: Resolve) -> JsonObject:
    """The params of a workload resource, resolved: variables, file contents (unless `noExpand`) and volume sources.

    Raises PlaceholderError for the first value that is missing.
    """
    containers = workload.get("containers")
    assert isinstance(containers, dict)
    resolved: JsonObject = {name: _container(container, resolve) for name, container in containers.items()}
    return {**workload, "containers": resolved}


def _container(container: Json, resolve: Resolve) -> Json:
    if not isinstance(container, dict):
        return container
    done = dict(container)
    if "variables" in done:
        done["variables"] = substitute_tree(done["variables"], resolve)
    files, volumes = done.get("files"), done.get("volumes")
    if isinstance(files, dict):
        done["files"] = {target: _file(file, resolve) for target, file in files.items()}
    if isinstance(volumes, dict):
        done["volumes"] = {target: _volume(volume, resolve) for target, volume in volumes.items()}
    return done


def _file(file: Json, resolve: Resolve) -> Json:
    if not isinstance(file, dict) or file.get("noExpand") is True or not isinstance(file.get("content"), str):
        return file
    return {**file, "content": substitute(str(file["content"]), resolve)}


def _volume(volume: Json, resolve: Resolve) -> Json:
    if not isinstance(volume, dict) or not isinstance(volume.get("source"), str):
        return volume
    return {**volume, "source": resolved_source(str(volume["source"]), resolve)}
