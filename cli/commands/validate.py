"""validate: Score specs, workflows and provider folders, without a server."""

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, NamedTuple

import typer

from cli.exits import EXIT_CODES
from cli.files import name_of, read_bytes
from cli.session import Session, note, print_table, say, session_of
from cli.text import clean
from engine.domain.values import Json, JsonObject
from engine.errors import Invalid, Problem, Severity, counted

Targets = Annotated[list[Path], typer.Argument(metavar="FILE|FOLDER...", help="What to validate; - reads stdin.")]
Strict = Annotated[bool, typer.Option("--strict", help="Accept official Score only.")]
_MOST_COMMANDS = 5


class Found(NamedTuple):
    """What a target was taken for (`spec`, `workflow`, `provider`), and its problems, warnings included."""

    name: str
    kind: str
    problems: tuple[Problem, ...]
    alone: Path | None = None
    """Where a spec is the only document of a file: that file."""


def validate(ctx: typer.Context, targets: Targets, *, strict: Strict = False) -> None:
    """Validate Score specs, workflows and provider folders: every problem with its line, and what to write instead."""
    session = session_of(ctx)
    found = [result for target in targets for result in _validate(target, strict=strict)]
    data: list[Json] = [_shape(one) for one in found]
    session.show(data, lambda: _print(found))
    if session.plain:
        _tell_what_is_left(session, found, strict=strict)
    if any(_errors(one.problems) for one in found):
        raise typer.Exit(EXIT_CODES[Invalid])


def _errors(problems: tuple[Problem, ...]) -> list[Problem]:
    return [problem for problem in problems if problem.severity is Severity.ERROR]


def _shape(found: Found) -> JsonObject:
    listed: list[Json] = [{**problem.members()} for problem in found.problems]
    return {"target": found.name, "kind": found.kind, "valid": not _errors(found.problems), "problems": listed}


def _tell_what_is_left(session: Session, found: list[Found], *, strict: bool) -> None:
    """No file knows which types, params and outputs a platform offers; how to ask one."""
    valid = [one for one in found if one.kind == "spec" and not _errors(one.problems)]
    if not valid:
        return
    files = [one.alone for one in valid if one.alone is not None]
    ask = "Ask for a plan, which writes nothing" + (":" if files else "; it takes one document at a time.")
    note(f"Not checked: whether the platform offers these resource types, params and outputs. {ask}")
    flags = ("--dry-run", *(("--strict",) if strict else ()))
    for file in files[:_MOST_COMMANDS]:
        note(session.command("deploy", str(file), more=flags))
    if len(files) > _MOST_COMMANDS:
        note(f"and so on for {len(files) - _MOST_COMMANDS} more.")


def _print(found: list[Found]) -> None:
    for name, kind, problems, _ in found:
        errors = _errors(problems)
        warnings = len(problems) - len(errors)
        verdict = counted(errors) if errors else "valid"
        more = f", {warnings} warning{'s' * (warnings != 1)}" if warnings else ""
        say(clean(f"{name}: {verdict} ({kind}{more})"))
        for problem in problems:
            say(clean(f"  {problem.severity.value}: {problem}"))
    if not found:
        print_table((), [], empty="Nothing to validate.")


def _validate(target: Path, *, strict: bool) -> Iterator[Found]:
    if target.is_dir():
        yield from _folder(target, strict=strict)
    else:
        yield from _file(target, strict=strict)


def _folder(folder: Path, *, strict: bool) -> Iterator[Found]:
    """A provider, a folder of providers, or a folder of documents."""
    from engine.domain.provider_reader import MANIFEST
    from engine.providers.loading import load

    if (folder / MANIFEST).exists():
        yield Found(str(folder), "provider", load([folder]).problems)
        return
    below = sorted(manifest.parent for manifest in folder.glob(f"*/{MANIFEST}"))
    if below:
        # All at once, so that a type which two of them claim is found.
        yield Found(str(folder), f"{len(below)} providers", load(below).problems)
        return
    files = sorted(file for pattern in ("*.yaml", "*.yml") for file in folder.glob(pattern))
    if not files:
        raise Invalid(
            f"`{folder}` holds nothing to validate.",
            code="nothing_to_validate",
            hint="Name a provider folder (it has a provider.yaml), or a folder of YAML files.",
        )
    for file in files:
        yield from _file(file, strict=strict)


def _file(file: Path, *, strict: bool) -> Iterator[Found]:
    from engine.domain import workflow_reader
    from engine.domain.provider_reader import MANIFEST
    from engine.steps.registry import config_problems, step_types

    if file.name == MANIFEST:
        yield from _folder(file.parent, strict=strict)
        return
    raw, name = read_bytes(file, like=Path.exists), name_of(file)
    if _is_workflow(raw):
        problems = workflow_reader.read(raw, file=name, check_config=config_problems, step_types=step_types())[1]
        yield Found(name, "workflow", problems)
        return
    yield from _specs(raw, file, strict=strict)


def _specs(raw: bytes, file: Path, *, strict: bool) -> Iterator[Found]:
    from engine.domain import spec_reader

    name = name_of(file)
    documents = spec_reader.read_all(raw, strict=strict, file=name)
    if len(documents) == 1:
        yield Found(name, "spec", documents[0].problems, file)
        return
    for number, parsed in enumerate(documents, start=1):
        yield Found(f"{name} (document {number})", "spec", parsed.problems)


def _is_workflow(raw: bytes) -> bool:
    from engine.domain.yaml_source import load

    value = load(raw).value
    if not isinstance(value, dict):
        return False
    return value.get("kind") == "Workflow" or ("steps" in value and "containers" not in value)
