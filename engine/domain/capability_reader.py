"""The `capabilities` of a provider's manifest, in both formats."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, cast

from jsonschema import Draft202012Validator
from jsonschema.exceptions import SchemaError

from engine.domain.parameter_reader import NAME
from engine.domain.provider import (
    Operation,
    OperationWorkflows,
    OutputDeclaration,
    ResourceType,
    WorkflowCategory,
    WorkflowChoice,
)
from engine.domain.reading import Reading, did_you_mean
from engine.domain.values import Json, JsonObject
from engine.domain.yaml_source import Path, shortened

_CAPABILITIES = frozenset({"resourceTypes", "resourceTypeCapabilities"})
_ENTRY = frozenset(
    {
        "type",
        "operations",
        "aliasFor",
        "aliases",
        "params",
        "outputs",
        "examples",
        "protect",
        "retain",
        "local",
        "description",
    }
)
_OUTPUT_TYPES = frozenset({"string", "integer", "int", "number", "boolean", "bool", "array", "list", "object"})


@dataclass(frozen=True, slots=True)
class Listed:
    """A workflow as the manifest lists it."""

    index: int
    category: WorkflowCategory
    operation: Operation | None
    tags: frozenset[str]

    def performs(self, operation: Operation) -> bool:
        return self.category is WorkflowCategory.PROVISIONER and (self.operation or Operation.CREATE) is operation


def read_resource_types(reading: Reading, path: Path, listed: Mapping[str, Listed]) -> tuple[ResourceType, ...]:
    """Every primary type with its operations and aliases."""
    reading.mapping(path, known=_CAPABILITIES)
    types: dict[str, ResourceType] = {}
    aliases: dict[str, str] = {}
    places: dict[str, Path] = {}
    advanced = (*path, "resourceTypeCapabilities")
    for index in range(len(reading.items(advanced))):
        at = (*advanced, index)
        reading.mapping(at, known=_ENTRY, required=("type",))
        name = reading.text((*at, "type"))
        if not name or not _named(reading, (*at, "type"), name, places):
            continue
        places[name] = at
        if reading.value((*at, "aliasFor")) is not None:
            aliases[name] = reading.text((*at, "aliasFor"))
            if reading.value((*at, "operations")) is not None:
                reading.error((*at, "operations"), f"`{name}` is an alias: its operations are those of the other type")
            continue
        types[name] = _type(reading, at, name, listed)
        for alias in reading.texts((*at, "aliases")):
            if _named(reading, (*at, "aliases"), alias, places):
                places[alias] = (*at, "aliases")
                aliases[alias] = name
    _simple(reading, (*path, "resourceTypes"), listed, types, places)
    return _joined(reading, types, aliases, places)


def _named(reading: Reading, path: Path, name: str, places: Mapping[str, Path]) -> bool:
    if not NAME.fullmatch(name):
        fix = "Use letters, digits, `-` and `_`; start with a letter."
        reading.error(path, f"`{shortened(name)}` cannot be the name of a resource type", fix)
        return False
    if name in places:
        line = reading.source.place(places[name])[0]
        reading.error(path, f"The resource type `{name}` is already on line {line}", "Remove one.", code="duplicate")
        return False
    return True


def _simple(
    reading: Reading, path: Path, listed: Mapping[str, Listed], types: dict[str, ResourceType], places: dict[str, Path]
) -> None:
    """The list of names: only create, by the first provisioner workflow; names the other format has too are skipped."""
    own: set[str] = set()
    for index, name in enumerate(reading.texts(path)):
        at = (*path, index)
        if name in places and name not in own:
            continue
        if not _named(reading, at, name, places):
            continue
        own.add(name)
        places[name] = at
        creators = [workflow for workflow, entry in listed.items() if entry.performs(Operation.CREATE)]
        tagged = [workflow for workflow in creators if name in listed[workflow].tags]
        if not creators:
            fix = "List a workflow with `category: provisioner`."
            reading.error(at, f"No workflow creates `{name}`", fix, code="no_workflow")
            continue
        chosen = (tagged or creators)[0]
        types[name] = ResourceType(
            name, {Operation.CREATE: OperationWorkflows((WorkflowChoice(chosen, listed[chosen].tags),), chosen)}
        )


def _joined(
    reading: Reading, types: dict[str, ResourceType], aliases: Mapping[str, str], places: Mapping[str, Path]
) -> tuple[ResourceType, ...]:
    names: dict[str, list[str]] = {name: [] for name in types}
    for alias, target in aliases.items():
        if target in names:
            names[target].append(alias)
            continue
        fix = did_you_mean(target, types, noun="Types")
        if target in aliases:
            fix = f"Write `aliasFor: {aliases[target]}`: an alias stands for a type, not for another alias."
        message = f"`{alias}` is an alias for `{shortened(target)}`, which is no type of this provider"
        reading.error((*places[alias], "aliasFor"), message, fix, code="alias")
    return tuple(
        ResourceType(
            kind.name, kind.operations, tuple(names[kind.name]), kind.params_schema, kind.outputs, kind.examples,
            kind.protect, kind.retain, kind.description, kind.local,
        )
        for kind in types.values()
    )  # fmt: skip


def _type(reading: Reading, at: Path, name: str, listed: Mapping[str, Listed]) -> ResourceType:
    return ResourceType(
        name=name,
        operations=_operations(reading, (*at, "operations"), name, listed),
        params_schema=_schema(reading, (*at, "params")),
        outputs=_outputs(reading, (*at, "outputs")),
        examples=tuple(
            reading.mapping((*at, "examples", index)) for index in range(len(reading.items((*at, "examples"))))
        ),
        protect=_environments(reading, (*at, "protect")),
        retain=_environments(reading, (*at, "retain")),
        description=reading.text((*at, "description")),
        local=reading.boolean((*at, "local")) or False,
    )


def _operations(
    reading: Reading, path: Path, name: str, listed: Mapping[str, Listed]
) -> dict[Operation, OperationWorkflows]:
    known = [str(operation) for operation in Operation]
    written = reading.mapping(path, known=known)
    if "create" not in written:
        fix = "Add `operations: {create: {workflow: <name>}}`, or make it an alias by `aliasFor`."
        reading.error(path, f"`{name}` has no operation `create`", fix, code="missing_key")
    found: dict[Operation, OperationWorkflows] = {}
    for key in written:
        if key in known:
            operation = _operation(reading, (*path, key), Operation(key), listed)
            if operation is not None:
                found[Operation(key)] = operation
    return found


def _operation(
    reading: Reading, at: Path, operation: Operation, listed: Mapping[str, Listed]
) -> OperationWorkflows | None:
    if isinstance(reading.value(at), str):
        reading.error(at, f"`{operation}` must be a mapping", f"Write `{operation}: {{workflow: {reading.text(at)}}}`.")
        return None
    written = reading.mapping(at, known={"workflow", "workflows", "default"})
    if ("workflow" in written) == ("workflows" in written):
        fix = "Write `workflow: <name>`, or `workflows` with `tags` and a `default`."
        reading.error(at, f"`{operation}` needs either `workflow` or `workflows`", fix, code="missing_key")
        return None
    if "workflow" in written:
        name = reading.text((*at, "workflow"))
        _check(reading, (*at, "workflow"), name, operation, listed)
        return OperationWorkflows((WorkflowChoice(name, listed[name].tags if name in listed else frozenset()),), name)
    choices: list[WorkflowChoice] = []
    for index in range(len(reading.items((*at, "workflows")))):
        place = (*at, "workflows", index)
        reading.mapping(place, known={"name", "tags"}, required=("name",))
        name = reading.text((*place, "name"))
        _check(reading, (*place, "name"), name, operation, listed)
        choices.append(WorkflowChoice(name, frozenset(reading.texts((*place, "tags")))))
    names = [choice.workflow for choice in choices]
    default = reading.text((*at, "default"))
    if len(names) == 1 and not default:
        default = names[0]
    if default not in names:
        message = f"The default `{shortened(default)}` is none of the workflows" if default else "`default` is missing"
        reading.error((*at, "default"), message, did_you_mean(default, names, noun="Workflows"), code="no_workflow")
    return OperationWorkflows(tuple(choices), default)


def _check(reading: Reading, path: Path, name: str, operation: Operation, listed: Mapping[str, Listed]) -> None:
    if not name:
        return
    if name not in listed:
        fix = did_you_mean(name, listed, noun="Workflows")
        reading.error(path, f"There is no workflow `{shortened(name)}` in the manifest", fix, code="no_workflow")
    elif listed[name].category is WorkflowCategory.GOLDEN_PATH:
        reading.error(path, f"`{name}` is a golden path", "Give it `category: provisioner`.", code="no_workflow")
    elif listed[name].operation not in (None, operation):
        message = f"`{name}` is listed with `operation: {listed[name].operation}`, not `{operation}`"
        reading.error(path, message, "Make both say the same.", code="operation")


def _schema(reading: Reading, path: Path) -> JsonObject | None:
    if reading.value(path) is None:
        return None
    schema = reading.mapping(path)
    validator = cast("Any", Draft202012Validator)  # jsonschema has no complete types
    try:
        validator.check_schema(schema)
    except SchemaError as error:
        below = tuple(cast("Any", error).absolute_path)
        reading.error((*path, *below), f"This is no JSON Schema: {shortened(error.message)}", code="schema")
        return None
    for place, target in _references(schema):
        if not _resolves(schema, target):
            fix = "Write `#/$defs/<name>` for a schema under `$defs`."
            reading.error(
                (*path, *place), f"`{shortened(str(target))}` leads nowhere in this schema", fix, code="schema"
            )
    if schema.get("type", "object") != "object":
        reading.error((*path, "type"), "`params` are an object", "Write `type: object`.", code="schema")
    return schema


def _references(schema: Json, path: Path = ()) -> list[tuple[Path, Json]]:
    """Every `$ref` of a schema with its place."""
    if isinstance(schema, dict):
        own: list[tuple[Path, Json]] = [((*path, k), schema[k]) for k in ("$ref", "$dynamicRef") if k in schema]
        return own + [found for key, value in schema.items() for found in _references(value, (*path, key))]
    if isinstance(schema, list):
        return [found for index, value in enumerate(schema) for found in _references(value, (*path, index))]
    return []


def _resolves(schema: Json, target: Json) -> bool:
    """True for a pointer into this document; others would be fetched from the network."""
    if not isinstance(target, str) or not (target == "#" or target.startswith("#/")):
        return False
    for part in target.split("/")[1:]:
        key = part.replace("~1", "/").replace("~0", "~")
        schema = schema.get(key) if isinstance(schema, dict) else None
    return isinstance(schema, dict | bool)


def _outputs(reading: Reading, path: Path) -> tuple[OutputDeclaration, ...]:
    found: dict[str, OutputDeclaration] = {}
    for index, written in enumerate(reading.items(path)):
        at = (*path, index)
        if isinstance(written, str):
            output = OutputDeclaration(written)
        else:
            reading.mapping(at, known={"name", "type", "secret", "description"}, required=("name",))
            kind = reading.text((*at, "type"), "string")
            if kind not in _OUTPUT_TYPES:
                fix = did_you_mean(kind, _OUTPUT_TYPES, noun="Types")
                reading.error((*at, "type"), f"There is no output type `{shortened(kind)}`", fix)
            secret, description = reading.boolean((*at, "secret")), reading.text((*at, "description"))
            output = OutputDeclaration(reading.text((*at, "name")), kind, secret or False, description)
        if output.name in found:
            reading.error(
                at, f"The output `{shortened(output.name)}` is declared twice", "Remove one.", code="duplicate"
            )
        elif output.name and not NAME.fullmatch(output.name):
            reading.error(at, f"`{shortened(output.name)}` cannot be the name of an output")
        found[output.name] = output
    return tuple(found.values())


def _environments(reading: Reading, path: Path) -> frozenset[str]:
    """`true` for every environment, or a list of them."""
    value = reading.value(path)
    if isinstance(value, bool):
        return frozenset({"*"}) if value else frozenset()
    return frozenset(reading.texts(path))
