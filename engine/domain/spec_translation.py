"""From a document in any accepted form to the one form that a Spec has."""

import base64
import binascii
import re
from functools import partial

from engine.domain.spec import DEFAULT_CLASS, ResourceDeclaration, Spec
from engine.domain.spec_check import Findings
from engine.domain.spec_references import as_object
from engine.domain.values import Json, JsonObject
from engine.domain.yaml_path import Path, shortened
from engine.domain.yaml_source import Source

_PART = re.compile(r"([0-9]+(?:\.[0-9]+)?)(ms|s|m|h|d|w)")
_SECONDS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0, "w": 604800.0}
_LONGEST_TTL = 100 * 366 * 86400.0


def translate(findings: Findings, document: JsonObject) -> Spec:
    """The Spec that a document means; what cannot be translated without loss is added to `findings`.

    Meaningful only when `findings` holds no error at the end, but safe for every document.
    """
    metadata = as_object(document.get("metadata"))
    service = _numbers(as_object(document.get("service")))
    containers: JsonObject = {
        name: _container(findings, as_object(value), ("containers", name))
        for name, value in as_object(document.get("containers")).items()
    }
    for name, value in as_object(document.get("containers")).items():
        _take_ports(findings, service, as_object(value).get("ports"), ("containers", name, "ports"))
    resources = {
        name: _resource(findings, name, as_object(value))
        for name, value in as_object(document.get("resources")).items()
    }
    environment, ttl = _environment(findings, document.get("environment"))
    return Spec(
        application=_word(metadata.get("name")) or "",
        metadata=metadata,
        containers=containers,
        service=service,
        resources=resources,
        environment=environment,
        ttl=ttl,
        place=partial(_workload_place, findings.source, document),
    )


def _container(findings: Findings, value: JsonObject, path: Path) -> JsonObject:
    container = {name: item for name, item in value.items() if name not in ("env", "ports", "variables")}
    variables = _texts(findings, as_object(value.get("variables")), (*path, "variables"))
    for name, text, place in _dialect_variables(findings, value.get("env"), (*path, "env")):
        if variables.setdefault(name, text) != text:
            message = f"the variable `{shortened(name)}` is set twice, to different values"
            findings.error("conflicting_values", place, message, "keep one of the two, under `variables`")
    if variables or "variables" in value:
        container["variables"] = variables
    for key in ("files", "volumes"):
        if isinstance(value.get(key), list):
            container[key] = _by_target(findings, value[key], (*path, key))
    for probe in ("livenessProbe", "readinessProbe"):
        if probe in value:
            checks = as_object(value[probe])
            container[probe] = {
                name: _numbers(as_object(checks[name])) for name in ("httpGet", "exec") if name in checks
            }
    _check_files(findings, as_object(value.get("files")), (*path, "files"))
    return container


def _texts(findings: Findings, values: JsonObject, path: Path) -> JsonObject:
    return {name: _as_text(findings, item, (*path, name)) for name, item in values.items()}


def _as_text(findings: Findings, value: Json, path: Path) -> Json:
    """A number or boolean as it was written: `1.10` stays `1.10`."""
    if isinstance(value, bool | int | float):
        return findings.source.text(path)
    return value


def _dialect_variables(findings: Findings, value: Json, path: Path) -> list[tuple[str, Json, Path]]:
    if isinstance(value, list):
        return [
            (name, _as_text(findings, entry.get("value"), (*path, at, "value")), (*path, at))
            for at, entry in enumerate(map(as_object, value))
            if isinstance(name := entry.get("name"), str)
        ]
    return [(name, text, (*path, name)) for name, text in _texts(findings, as_object(value), path).items()]


def _by_target(findings: Findings, value: Json, path: Path) -> JsonObject:
    """The deprecated list form as a mapping by target."""
    entries: JsonObject = {}
    for at, entry in enumerate(map(as_object, value if isinstance(value, list) else [])):
        target = entry.get("target")
        if not isinstance(target, str) or not target:
            findings.error("missing_key", (*path, at), "the entry needs the key `target`", "add `target: /path`")
        elif target in entries:
            message = f"two entries have the target `{shortened(target)}`"
            findings.error("duplicate_target", (*path, at), message, "keep one of them")
        else:
            entries[target] = {name: item for name, item in entry.items() if name != "target"}
            _check_content(findings, entry, (*path, at))
    return entries


def _check_files(findings: Findings, files: JsonObject, path: Path) -> None:
    for target, file in files.items():
        _check_content(findings, as_object(file), (*path, target))


def _check_content(findings: Findings, file: JsonObject, path: Path) -> None:
    content = file.get("binaryContent")
    if isinstance(content, str):
        try:
            base64.b64decode(content, validate=True)
        except (binascii.Error, ValueError):
            place = (*path, "binaryContent")
            findings.error("invalid_value", place, "is not standard base64", "write the output of `base64 -w0 FILE`")


def _take_ports(findings: Findings, service: JsonObject, value: Json, path: Path) -> None:
    """The dialect's container ports become service ports, unless the service has the very same."""
    if not isinstance(value, list):
        return
    ports = as_object(service.get("ports"))
    for at, entry in enumerate(value):
        port = as_object(entry) if isinstance(entry, dict) else {"port": entry}
        name = port.get("name")
        number = port.get("port")
        if not isinstance(name, str):
            name = f"port-{int(number)}" if isinstance(number, int | float) else f"port-{at}"
        wanted: JsonObject = _numbers({key: item for key, item in port.items() if key != "name"})
        if ports.setdefault(name, wanted) != wanted:
            message = f"there is another service port `{shortened(name)}`"
            findings.error("conflicting_values", (*path, at), message, "give the two different names")
    service["ports"] = ports


def _resource(findings: Findings, name: str, value: JsonObject) -> ResourceDeclaration:
    path = ("resources", name)
    if "params" in value and "properties" in value and not findings.strict:
        message = "has both `params` and `properties`"
        findings.error("conflicting_values", (*path, "properties"), message, "write everything under `params`")
    params = value.get("params", value.get("properties"))
    return ResourceDeclaration(
        name=name,
        type=_word(value.get("type")) or "",
        resource_class=_word(value.get("class")) or DEFAULT_CLASS,
        id=_word(value.get("id")),
        params=as_object(params),
        metadata=as_object(value.get("metadata")),
        place=partial(_place, findings.source, path, "params" if "params" in value else "properties"),
    )


def _place(source: Source, resource: Path, params: str, within: Path) -> tuple[int, int]:
    """Where `within` a resource stands; its params may be written under the dialect's name."""
    return source.place((*resource, *(params if part == "params" else part for part in within[:1]), *within[1:]))


def _workload_place(source: Source, document: JsonObject, within: Path) -> tuple[int, int]:
    """Where `within` the translated document stands, also in the deprecated lists of files and volumes."""
    if len(within) > 3 and within[0] == "containers":
        listed = as_object(as_object(document.get("containers")).get(str(within[1]))).get(str(within[2]))
        for at, entry in enumerate(listed if isinstance(listed, list) else ()):
            if as_object(entry).get("target") == within[3]:
                return source.place((*within[:3], at, *within[4:]))
    return source.place(within)


def _environment(findings: Findings, value: Json) -> tuple[str | None, float | None]:
    if isinstance(value, str):
        return value, None
    fields = as_object(value)
    ttl = fields.get("ttl")
    seconds = None
    if isinstance(ttl, str):
        seconds = sum(float(amount) * _SECONDS[unit] for amount, unit in _PART.findall(ttl[:100]))
        if len(ttl) > 100 or seconds > _LONGEST_TTL:
            findings.error("out_of_range", ("environment", "ttl"), "is longer than 100 years", "write for example `7d`")
        elif not seconds and _PART.search(ttl):
            findings.error("out_of_range", ("environment", "ttl"), "is no time at all", "write for example `24h`")
    return _word(fields.get("type")), seconds


def _word(value: Json) -> str | None:
    return value if isinstance(value, str) else None


def _numbers(value: JsonObject) -> JsonObject:
    """A copy with 80.0 as 80, which the schema takes for the same whole number."""
    return {name: _whole(item) for name, item in value.items()}


def _whole(value: Json) -> Json:
    if isinstance(value, dict):
        return _numbers(value)
    return int(value) if isinstance(value, float) and value.is_integer() else value
