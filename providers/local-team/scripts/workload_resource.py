"""The resource type `workload`: an application's containers with everything resolved, as files that people run.

Per container an environment file (`. web.env` in a shell) and its files; for all of them a compose.yaml.
"""

import base64
import binascii
import re
import shlex
import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path, PurePosixPath
from typing import cast

import step
import yaml
from files import locked, name_for, private_folder, remove_tree
from step import Failed, Object

VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
PLAIN = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
OWN_IMAGE = "."
"""Score's way to say: the image that is built from this source."""


def render(given: Object) -> Mapping[str, object]:
    """Write the workload beside the earlier one and change them over: nobody sees half of it."""
    workload = mapping(given.get("workload"), "workload")
    containers = mapping(workload.get("containers"), "workload.containers")
    target = place(given)
    with locked(target.with_suffix(".lock")):
        fresh = Path(tempfile.mkdtemp(dir=target.parent, prefix=f".{target.name}."))
        try:
            services = {
                name: render_container(name, mapping(container, name), fresh, target)
                for name, container in containers.items()
            }
            compose = {"name": project(given), "services": services}
            write(fresh / "compose.yaml", yaml.safe_dump(compose, sort_keys=False, allow_unicode=True).encode())
            change_over(fresh, target)
        except BaseException:
            shutil.rmtree(fresh, ignore_errors=True)
            raise
    return outputs(target, sorted(containers))


def read(given: Object) -> Mapping[str, object]:
    """Check that what was written is still there."""
    target = place(given)
    told = step.previous_outputs(given)
    files = [str(path) for path in mapping(told.get("env_files") or {}, "env_files").values()]
    missing = [path for path in (str(target / "compose.yaml"), *files) if not Path(path).is_file()]
    if missing:
        raise Failed(f"`{missing[0]}` is gone. Deploy the application again to write it anew.")
    return told


def delete(given: Object) -> Mapping[str, object]:
    target = place(given)
    with locked(target.with_suffix(".lock")):
        remove_tree(target)
    return {}


def place(given: Object) -> Path:
    folder = private_folder(step.provider_data() / "workloads")
    return folder / project(given)


def project(given: Object) -> str:
    return name_for(step.resource_identity(given), joint="-")


def mapping(value: object, what: str) -> Object:
    if not isinstance(value, dict):
        raise Failed(f"`{what}` has to be an object, not {type(value).__name__}.")
    return cast("Object", value)


def change_over(fresh: Path, target: Path) -> None:
    """Put `fresh` in the place of `target`."""
    old = target.with_name(f".{target.name}.old")
    remove_tree(old)
    if target.exists():
        target.rename(old)
    fresh.rename(target)
    remove_tree(old)


def render_container(name: str, container: Object, fresh: Path, target: Path) -> Object:
    """Write one container's files below `fresh`; its compose service, with the paths they will have below `target`."""
    if not PLAIN.fullmatch(name):
        raise Failed(f"`{name}` cannot be a container's name here: use letters, digits, `.`, `_` and `-`.")
    variables = {
        key: str(value) for key, value in mapping(container.get("variables") or {}, f"{name}.variables").items()
    }
    write(fresh / f"{name}.env", dotenv(variables).encode())
    mounts = [*render_files(name, container, fresh, target), *volume_mounts(name, container)]
    image = str(container.get("image") or OWN_IMAGE)
    service: Object = {
        "image": f"{name}:local" if image == OWN_IMAGE else image,
        # The databases listen on this machine's loopback only; a bridge network could not reach them.
        "network_mode": "host",
        "environment": {key: literal(value) for key, value in variables.items()},
    }
    for key, score_key in (("entrypoint", "command"), ("command", "args")):
        if score_key in container:
            service[key] = [literal(str(word)) for word in cast("list[object]", container[score_key])]
    if mounts:
        service["volumes"] = mounts
    return service


def dotenv(variables: Mapping[str, str]) -> str:
    """Assignments that a POSIX shell reads back exactly."""
    lines: list[str] = []
    for name, value in variables.items():
        if not VARIABLE.fullmatch(name):
            raise Failed(f"`{name}` cannot be an environment variable: use letters, digits and `_`.")
        if "\0" in value:
            raise Failed(f"Variable `{name}` holds a NUL character, which no environment can carry.")
        lines.append(f"{name}={shlex.quote(value)}\n")
    return "".join(lines)


def literal(value: str) -> str:
    """A value that Compose takes as it is: it reads `$` as a reference otherwise."""
    return value.replace("$", "$$")


def render_files(name: str, container: Object, fresh: Path, target: Path) -> list[Object]:
    """Write the container's files; their bind mounts."""
    mounts: list[Object] = []
    for inside, entry in mapping(container.get("files") or {}, f"{name}.files").items():
        relative = below(inside, f"{name}.files")
        file = mapping(entry, f"{name}.files.{inside}")
        place = Path("files", name, *relative.parts)
        write(fresh / place, content_of(file, inside), mode=mode_of(file, inside))
        mounts.append(mount(str(target / place), inside, read_only=True))
    return mounts


def content_of(file: Object, inside: str) -> bytes:
    """A file's bytes from `content` or `binaryContent`."""
    if "content" in file:
        return str(file["content"]).encode()
    if "binaryContent" in file:
        try:
            return base64.b64decode(str(file["binaryContent"]), validate=True)
        except binascii.Error:
            raise Failed(f"`binaryContent` of `{inside}` is not base64.") from None
    raise Failed(
        f"File `{inside}` names a `source`: only whoever holds the Score file can read that. "
        f"Write its text into `content` instead."
    )


def mode_of(file: Object, inside: str) -> int:
    """Score's octal text (`0644`); readable by the owner alone where nothing is said, for contents may be secret."""
    text = str(file.get("mode") or "0600")
    if not re.fullmatch(r"0?[0-7]{3}", text):
        raise Failed(f"`mode` of `{inside}` has to be three octal digits such as `0644`, not `{text}`.")
    return int(text, 8)


def below(inside: str, where: str) -> PurePosixPath:
    """A container path as one relative to a folder; what climbs out of it is refused."""
    path = PurePosixPath(inside.lstrip("/"))
    if not path.parts or ".." in path.parts or "\0" in inside:
        raise Failed(f"`{inside}` in `{where}` is not a path inside a container.")
    return path


def volume_mounts(name: str, container: Object) -> list[Object]:
    """Bind mounts for volumes whose source is a folder here (what the `volume` type gives out)."""
    mounts: list[Object] = []
    for inside, entry in mapping(container.get("volumes") or {}, f"{name}.volumes").items():
        below(inside, f"{name}.volumes")
        volume = mapping(entry, f"{name}.volumes.{inside}")
        source = str(volume.get("source", ""))
        if not source.startswith("/"):
            raise Failed(
                f"Volume `{inside}`: `{source}` is no folder. "
                f"Write `${{resources.<name>}}` for a resource of type `volume`, or an absolute path."
            )
        if volume.get("path"):
            source = f"{source}/{below(str(volume['path']), f'{name}.volumes')}"
        mounts.append(mount(source, inside, read_only=volume.get("readOnly") is True))
    return mounts


def mount(source: str, inside: str, *, read_only: bool) -> Object:
    return {"type": "bind", "source": literal(source), "target": literal(inside), "read_only": read_only}


def write(path: Path, content: bytes, *, mode: int = 0o600) -> None:
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    path.write_bytes(content)
    path.chmod(mode)


def outputs(target: Path, containers: list[str]) -> dict[str, object]:
    return {
        "directory": str(target),
        "compose_file": str(target / "compose.yaml"),
        "env_files": {name: str(target / f"{name}.env") for name in containers},
    }


if __name__ == "__main__":
    step.run({"create": render, "update": render, "read": read, "delete": delete})
