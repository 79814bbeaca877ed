"""The reference of what is inside: settings, step types, the shipped providers."""

import sys
from collections.abc import Iterable, Mapping
from pathlib import Path

import yaml

from cli.reference_schema import COLUMNS, as_schema, kind, parts, rows
from cli.reference_text import block, code, page, plain, sentence, table
from cli.text import as_object, as_text
from engine.config import Settings
from engine.domain.provider import Provider, ProviderWorkflow, ResourceType
from engine.domain.values import JsonObject
from engine.steps.base import StepExecutor

_NO_DEFAULT = "the user's data folder (Linux: `~/.local/share/innominatus`)"


def settings() -> str:
    """Every setting with its variable, default and meaning."""
    prefix = str(Settings.model_config.get("env_prefix", ""))
    found: list[tuple[str, str, str]] = []
    for name, field in Settings.model_fields.items():
        made = field.get_default()
        written = made.get_secret_value() if hasattr(made, "get_secret_value") else made
        default = _NO_DEFAULT if field.default_factory else code(plain(written))
        found.append((code(f"{prefix}{name.upper()}"), default, field.description or ""))
    intro = (
        "Every setting is an environment variable, read once when a process starts. Each has a default that works; "
        "where there is an option for one (`--port`, `--data-dir` ...), the option wins."
    )
    client = (
        "`innominatus-ctl` and `innominatus mcp` also read `INNOMINATUS_API_BASE` (the address of the platform) and "
        "`INNOMINATUS_API_KEY` (its token). Without an address they find the one that serves `INNOMINATUS_DATA_DIR`."
    )
    return page("Settings", intro, table(("Variable", "Default", "Meaning"), found), "## For clients", client)


def step_types(executors: Mapping[str, StepExecutor], examples: Path) -> str:
    """Every step type with its config and a workflow that uses it."""
    intro = (
        "What stands under `type` and `config` of a workflow's step. Keys that a type does not know are errors. "
        "A *duration* is a number of seconds or text such as `90s`, `10m`, `1h30m`, at most a week. "
        "*Idempotent* says what happens to a step that was at work when the engine died: an idempotent one runs again, "
        "any other fails as `interrupted` and waits for a person. A step's own `idempotent` overrules its type."
    )
    sections = [
        _step_type(name, executor, (examples / f"{name}.yaml").read_text(encoding="utf-8"))
        for name, executor in sorted(executors.items())
    ]
    return page("Step types", intro, *sections)


def _step_type(name: str, executor: StepExecutor, example: str) -> str:
    schema = as_schema(executor.Config.model_json_schema())
    module = sys.modules[type(executor).__module__]
    said = sentence((module.__doc__ or "").partition("\n\n")[0]).partition(": ")[2]
    described = sentence(as_text(schema.get("description")))
    nested = [f"### {title}\n\n{_config(inner)}" for title, inner in parts(schema)]
    return "\n\n".join(
        [
            f"## {name}",
            f"{said[:1].upper()}{said[1:]}",
            f"Idempotent: {'yes' if executor.idempotent else 'no, unless the step declares `idempotent: true`'}.",
            *([described] if described else []),
            table(COLUMNS, rows(schema)),
            *nested,
            block(example, "yaml"),
        ]
    )


def _config(schema: JsonObject) -> str:
    described = sentence(as_text(schema.get("description")))
    return "\n\n".join(part for part in (described, table(COLUMNS, rows(schema))) if part)


def providers(found: Iterable[Provider]) -> str:
    """The shipped providers: resource types with params, outputs and an example, and golden paths."""
    intro = (
        "What comes with the platform and is active unless `INNOMINATUS_PROVIDERS` names other folders. "
        "`innominatus-ctl providers` and `innominatus-ctl provider NAME` show what a running platform has."
    )
    return page("Shipped providers", intro, *(_provider(provider) for provider in found))


def _provider(provider: Provider) -> str:
    kinds = [_resource_type(kind) for kind in provider.resource_types]
    paths = [_golden_path(path) for path in provider.golden_paths]
    return "\n\n".join([f"## {provider.name} {provider.version}", f"{provider.description}.", *kinds, *paths])


def _resource_type(found: ResourceType) -> str:
    schema = found.params_schema or {}
    aliases = f"Also called {', '.join(map(code, found.aliases))}. " if found.aliases else ""
    operations = ", ".join(operation.value for operation in found.operations)
    local = " Lives in the data directory of the engine that made it." if found.local else ""
    outputs = [
        (code(one.name), one.type + (", secret" if one.secret else ""), one.description) for one in found.outputs
    ]
    example: JsonObject = {"resources": {"example": {"type": found.name, **_params(found)}}}
    return "\n\n".join(
        [
            f"### {found.name}",
            found.description,
            f"{aliases}Operations: {operations}.{local}",
            "Params:\n\n" + table(COLUMNS, rows(schema)) if schema.get("properties") else f"Params: {_any(schema)}.",
            "Outputs:\n\n" + table(("Output", "Kind", "Meaning"), outputs) if outputs else "Outputs: its params.",
            *([] if found.name == "workload" else [block(yaml.safe_dump(example, sort_keys=False), "yaml")]),
        ]
    )


def _params(found: ResourceType) -> JsonObject:
    richest = max(found.examples, key=len, default=None)
    return {"params": richest} if richest else {}


def _any(schema: JsonObject) -> str:
    if not schema:
        return "any"
    free = schema.get("additionalProperties")
    return f"any names, each {kind(as_object(free))}" if isinstance(free, dict) else "none"


def _golden_path(path: ProviderWorkflow) -> str:
    inputs = [
        (
            code(one.name),
            one.type.value,
            "required" if one.required else code(one.default if one.default not in (None, "") else ""),
            one.description,
        )
        for one in path.definition.parameters
    ]
    return "\n\n".join(
        [
            f"### Golden path: {path.name}",
            f"{path.description or path.definition.description}.",
            table(("Input", "Kind", "Default", "Meaning"), inputs),
        ]
    )
