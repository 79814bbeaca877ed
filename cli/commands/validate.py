"""validate: Score specs, workflows and provider folders, without a server."""

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import typer

from cli.exits import EXIT_CODES
from cli.session import print_table, say, session_of
from cli.text import clean
from engine.domain.values import Json, JsonObject
from engine.errors import Invalid, Problem, Severity, counted

Targets = Annotated[list[Path], typer.Argument(metavar="FILE|FOLDER...", help="What to validate; - reads stdin.")]
Strict = Annotated[bool, typer.Option("--strict", help="Accept official Score only.")]
Found = tuple[str, str, tuple[Problem, ...]]
"""The target's name, what it was taken for (`spec`, `workflow`, `provider`), and its problems, warnings included."""


def validate(ctx: typer.Context, targets: Targets, *, strict: Strict = False) -> None:
    """Validate Score specs, workflows and provider folders: every problem with its line, and what to write instead."""
    session = session_of(ctx)
    found = [result for target in targets for result in _validate(target, strict=strict)]
    data: list[Json] = [_shape(name, kind, problems) for name, kind, problems in found]
    session.show(data, lambda: _print(found))
    if any(_errors(problems) for _, _, problems in found):
        raise typer.Exit(EXIT_CODES[Invalid])


def _errors(problems: tuple[Problem, ...]) -> list[Problem]:
    return [problem for problem in problems if problem.severity is Severity.ERROR]


def _shape(name: str, kind: str, problems: tuple[Problem, ...]) -> JsonObject:
    listed: list[Json] = [{**problem.members()} for problem in problems]
    return {"target": name, "kind": kind, "valid": not _errors(problems), "problems": listed}


def _print(found: list[Found]) -> None:
    for name, kind, problems in found:
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
        yield str(folder), "provider", load([folder]).problems
        return
    below = sorted(manifest.parent for manifest in folder.glob(f"*/{MANIFEST}"))
    if below:
        # All at once, so that a type which two of them claim is found.
        yield str(folder), f"{len(below)} providers", load(below).problems
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
    raw = _read(file)
    name = "stdin" if str(file) == "-" else str(file)
    if _is_workflow(raw):
        problems = workflow_reader.read(raw, file=name, check_config=config_problems, step_types=step_types())[1]
        yield name, "workflow", problems
        return
    yield from _specs(raw, name, strict=strict)


def _specs(raw: bytes, name: str, *, strict: bool) -> Iterator[Found]:
    from engine.domain import spec_reader

    for number, parsed in enumerate(documents := spec_reader.read_all(raw, strict=strict, file=name), start=1):
        yield (name if len(documents) == 1 else f"{name} (document {number})"), "spec", parsed.problems


def _is_workflow(raw: bytes) -> bool:
    from engine.domain.yaml_source import load

    value = load(raw).value
    if not isinstance(value, dict):
        return False
    return value.get("kind") == "Workflow" or ("steps" in value and "containers" not in value)


def _read(file: Path) -> bytes:
    import sys

    try:
        return sys.stdin.buffer.read() if str(file) == "-" else file.read_bytes()
    except OSError as error:
        raise Invalid(f"`{file}` cannot be read: {error.strerror}.", code="unreadable_file") from error
