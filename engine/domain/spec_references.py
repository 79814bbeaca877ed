"""What a Score document refers to: placeholders, other containers, and the order that follows."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import islice

from engine.domain.placeholders import (
    METADATA,
    OUTPUTS,
    RESOURCES,
    PlaceholderError,
    PlaceholderFault,
    Reference,
    find,
    resolver,
    resource_references,
    written,
)
from engine.domain.spec import OutputRead, Spec, VolumeRead
from engine.domain.spec_check import Findings
from engine.domain.topology import find_cycle
from engine.domain.values import Json, JsonObject
from engine.domain.volume_source import leading_resource
from engine.domain.yaml_path import Path, dotted, shortened
from engine.domain.yaml_source import Source
from engine.errors import nearest, quoted

MOST_CANDIDATES = 200  # comparing names for a suggestion is slow; a hostile document may hold many
MOST_CYCLES = 20


@dataclass(frozen=True, slots=True)
class Place:
    """A text in which placeholders are resolved; `owner` is the resource whose params hold it."""

    path: Path
    text: str
    owner: str | None = None


def spec_dependencies(spec: Spec) -> Mapping[str, tuple[str, ...]]:
    """Per resource, in the order of the spec, the names of the resources that its params refer to, sorted."""
    return {name: tuple(sorted(resource_references(one.params))) for name, one in spec.resources.items()}


def check_references(findings: Findings, document: JsonObject) -> None:
    """Add every placeholder that cannot be resolved, every unknown container in `before`, and every cycle."""
    metadata, resources = as_object(document.get("metadata")), as_object(document.get("resources"))
    resolve = resolver(metadata, dict.fromkeys(resources, _nothing_yet))
    needs: dict[str, set[str]] = {name: set() for name in resources}
    for place in placeholder_places(document):
        for reference in find(place.text):
            try:
                resolve(reference.keys)
            except PlaceholderError as error:
                _unresolvable(findings, place, error)
                continue
            _judge(findings, place, reference)
            if place.owner and reference.resource:
                needs[place.owner].add(reference.resource)
    for cycle in _cycles({name: needed - {name} for name, needed in needs.items()}):
        message = f"resources wait for each other: {' → '.join(cycle)}"
        findings.error("dependency_cycle", ("resources", cycle[0]), message, "remove one of these references")
    _check_before(findings, as_object(document.get("containers")))
    _unresolved_places(findings, document)


def placeholder_places(document: JsonObject) -> Iterator[Place]:
    """Every text of a document, valid or not, in which placeholders are resolved."""
    for name, value in as_object(document.get("containers")).items():
        container, path = as_object(value), ("containers", name)
        for key in ("variables", "env"):
            yield from _variables(container.get(key), (*path, key))
        for at, entry in _entries(container.get("files")):
            file = as_object(entry)
            content = file.get("content")
            if isinstance(content, str) and file.get("noExpand") is not True:
                yield Place((*path, "files", at, "content"), content)
        yield from _volume_sources(container, path)
    for name, value in as_object(document.get("resources")).items():
        for key in ("params", "properties"):
            for path, text in _texts(as_object(value).get(key), ("resources", name, key)):
                yield Place(path, text, name)


def output_reads(document: JsonObject, *, source: Source | None = None) -> tuple[OutputRead, ...]:
    """Every placeholder of a document that reads an output, each once per text; with `source`, where it stands."""
    found: dict[OutputRead, None] = {}
    for place in placeholder_places(document):
        line, column = source.place(place.path) if source else (0, 0)
        for reference in find(place.text):
            if reference.resource is not None and len(reference.keys) > 2:
                found[OutputRead(dotted(place.path), reference.keys, line, column)] = None
    return tuple(found)


def volume_reads(document: JsonObject, *, source: Source) -> tuple[VolumeRead, ...]:
    """Every volume of a document whose source starts with a resource itself, and where it stands."""
    return tuple(
        VolumeRead(dotted(place.path), *named, *source.place(place.path))
        for name, container in as_object(document.get("containers")).items()
        for place in _volume_sources(as_object(container), ("containers", name))
        if (named := leading_resource(place.text)) is not None
    )


def as_object(value: Json) -> JsonObject:
    """The value when it is a mapping, else an empty one."""
    return value if isinstance(value, dict) else {}


def _nothing_yet(keys: tuple[str, ...]) -> Json:
    """Outputs are known after apply; until then every key may come."""
    return written(keys)


def _volume_sources(container: JsonObject, path: Path) -> Iterator[Place]:
    for at, entry in _entries(container.get("volumes")):
        source = as_object(entry).get("source")
        if isinstance(source, str):
            yield Place((*path, "volumes", at, "source"), source)


def _variables(value: Json, path: Path) -> Iterator[Place]:
    if isinstance(value, dict):
        yield from (Place((*path, name), text) for name, text in value.items() if isinstance(text, str))
    for at, entry in _entries(value) if isinstance(value, list) else ():
        text = as_object(entry).get("value")
        if isinstance(text, str):
            yield Place((*path, at, "value"), text)


def _entries(value: Json) -> list[tuple[str | int, Json]]:
    if isinstance(value, dict):
        return list(value.items())
    return list(enumerate(value)) if isinstance(value, list) else []


def _texts(value: Json, path: Path) -> Iterator[tuple[Path, str]]:
    if isinstance(value, str):
        yield path, value
    for at, item in _entries(value):
        yield from _texts(item, (*path, at))


def _unresolvable(findings: Findings, place: Place, error: PlaceholderError) -> None:
    close = nearest(error.key[:100], error.known[:MOST_CANDIDATES], most=1)
    if close:
        right = written((*error.keys[: error.at], close[0], *error.keys[error.at + 1 :]))
        fix = f"did you mean `${{{shortened(right)}}}`?"
    elif error.fault is PlaceholderFault.UNKNOWN_ROOT:
        fix = f"write `$${{{shortened(error.reference)}}}` for the text itself"
    elif error.fault is PlaceholderFault.UNKNOWN_RESOURCE:
        fix = f"declare `{shortened(error.key)}` under `resources`"
    elif error.fault is PlaceholderFault.NOT_A_MAP:
        fix = f"did you mean `${{{shortened(written(error.keys[: error.at]))}}}`?"
    else:
        fix = f"known are {quoted(shortened(name) for name in error.known[:20])}" if error.known else "remove it"
    what = {
        PlaceholderFault.UNKNOWN_ROOT: "does not start with `metadata.` or `resources.`",
        PlaceholderFault.KEY_REQUIRED: "names nothing",
        PlaceholderFault.KEY_NOT_FOUND: f"finds no key `{shortened(error.key)}`",
        PlaceholderFault.NOT_A_MAP: f"finds no `{shortened(error.key)}`: the value before it has no keys",
        PlaceholderFault.UNKNOWN_RESOURCE: f"refers to the resource `{shortened(error.key)}`, which is not declared",
    }[error.fault]
    findings.error(error.fault.value, place.path, f"`${{{shortened(error.reference)}}}` {what}", fix)


def _judge(findings: Findings, place: Place, reference: Reference) -> None:
    if place.owner and reference.resource == place.owner:
        message = f"`${{{shortened(reference.text)}}}` refers to the resource that it belongs to"
        findings.error("self_reference", place.path, message, "write the value itself")
    elif not findings.strict and len(reference.keys) > 3 and reference.resource and reference.keys[2] == OUTPUTS:
        right = written((*reference.keys[:2], *reference.keys[3:]))
        message = f"`${{{shortened(reference.text)}}}` names `outputs`, which Score leaves out"
        findings.warn("dialect", place.path, message, f"write `${{{shortened(right)}}}`")


def _cycles(needs: Mapping[str, set[str]]) -> Iterator[tuple[str, ...]]:
    """Closed cycles (`a`, `b`, `a`), each starting at its first name; the nodes of one are not looked at again."""
    rest = {name: sorted(needed) for name, needed in sorted(needs.items())}
    while cycle := find_cycle(rest):
        first = cycle.index(min(cycle))
        ring = (*cycle[first:-1], *cycle[:first])
        yield (*ring, ring[0])
        rest = {name: [one for one in needed if one not in ring] for name, needed in rest.items() if name not in ring}


def _check_before(findings: Findings, containers: JsonObject) -> None:
    needs: dict[str, set[str]] = {}
    for name, value in containers.items():
        others = as_object(as_object(value).get("before"))
        needs[name] = set(others) & set(containers)
        for other in others:
            path = ("containers", name, "before", other)
            if other not in containers:
                close = nearest(other[:100], list(containers)[:MOST_CANDIDATES], most=1)
                fix = f"did you mean `{close[0]}`?" if close else f"containers are {quoted(list(containers)[:20])}"
                findings.error("unknown_container", path, f"there is no container `{shortened(other)}`", fix)
    for cycle in islice(_cycles(needs), MOST_CYCLES):  # a warning, because the official rules allow it
        message = f"containers wait for each other: {' → '.join(cycle)}"
        findings.warn("container_cycle", ("containers", cycle[0], "before"), message, "remove one of the `before` keys")


def _unresolved_places(findings: Findings, document: JsonObject) -> None:
    """Warn of placeholders where Score resolves none: they reach the container as they are written."""
    for name, value in as_object(document.get("containers")).items():
        for key in ("image", "command", "args"):
            for path, text in _texts(as_object(value).get(key), ("containers", name, key)):
                for reference in find(text):
                    if reference.keys[0] in (METADATA, RESOURCES):
                        message = f"`${{{shortened(reference.text)}}}` is not resolved in `{key}`"
                        fix = "pass the value as a variable of the container"
                        findings.warn("placeholder_not_resolved", path, message, fix)
