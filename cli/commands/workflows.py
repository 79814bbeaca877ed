"""Workflows: list-workflows, workflow (show, logs, retry, cancel, continue), list-goldenpaths, run."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from cli.commands.applications import quote
from cli.diagnosis import note_warning, print_diagnosis
from cli.options import AnyEnvironment, Environment, Wait
from cli.pausing import why_nothing_happens
from cli.session import Session, note, print_fields, print_table, say, session_of
from cli.text import as_number, as_object, as_objects, as_text, clean, shown
from engine.domain.values import Json, JsonObject
from engine.errors import Invalid


def _execution_number(text: str) -> int:
    """People name the application whose executions they mean: say which command lists them."""
    if text.isascii() and text.isdecimal() and len(text) < 19:
        return int(text)
    raise typer.BadParameter(
        f"`{text}` is not the number of an execution; `innominatus-ctl list-workflows` lists them with their numbers."
    )


Id = Annotated[int, typer.Argument(metavar="ID", help="The execution's number.", parser=_execution_number)]
verbs = typer.Typer(
    help="Show an execution (`workflow ID`), read its logs, learn why it failed, repeat, cancel or continue it."
)
_COLUMNS = ("application_name", "workflow_name", "status", "completed_steps", "total_steps", "duration_ms")


def listed(
    ctx: typer.Context,
    app: Annotated[str | None, typer.Option("--app", "-a", help="Of this application only.")] = None,
    environment: AnyEnvironment = None,
    search: Annotated[str | None, typer.Option(help="Whose workflow has this in its name.")] = None,
    status: Annotated[str | None, typer.Option("--status", "-s", help="In this state only.")] = None,
    limit: Annotated[int, typer.Option("--limit", "-n", min=1, help="How many, newest first.")] = 20,
) -> None:
    """List executions, newest first."""
    session = session_of(ctx)
    with session.api() as api:
        query = {"app": app, "environment": environment, "search": search, "status": status}
        items = list(api.every("/api/workflows", query, most=limit))
    heads = ("id", "requested", "application", "workflow", "status", "done", "steps", "ms", "error")
    session.show([*items], lambda: print_table(heads, [_row(run) for run in items], empty="No executions."))


def _row(run: JsonObject) -> list[Json]:
    requested, error = as_text(run.get("created_at"))[:19], _first_line(run.get("error_message"))
    return [run.get("id"), requested, *(run.get(name) for name in _COLUMNS), error]


def _first_line(value: Json) -> str:
    return as_text(value).partition("\n")[0][:120]


@verbs.command("show")
@verbs.command("detail")
def show(ctx: typer.Context, execution: Id) -> None:
    """Show one execution with its steps."""
    session = session_of(ctx)
    with session.api() as api:
        found = api.get(f"/api/workflows/{execution}")
        held = why_nothing_happens(session, api) if session.plain and found.get("status") == "pending" else ""
    session.show(found, lambda: print_execution(found))
    if held:
        note(held)


def print_execution(found: JsonObject) -> None:
    names = ("id", "workflow_name", "provider", "application_name", "status", "attempt", "actor", "started_at")
    print_fields({name: found.get(name) for name in (*names, "duration_ms", "reason")})
    if inputs := as_object(found.get("inputs")):
        say("\ninputs")
        print_fields({f"  {name}": value for name, value in inputs.items()})
    if error := as_text(found.get("error_message")):
        say(clean(f"\n{error}"))
    say()
    columns = ("step_number", "step_name", "step_type", "status", "attempt", "duration_ms")
    print_table(
        ("#", "step", "type", "status", "attempt", "ms", "error"),
        [
            [*(step.get(name) for name in columns), _first_line(step.get("error_message"))]
            for step in as_objects(found.get("steps"))
        ],
        empty="No step has begun.",
    )
    if outputs := as_object(found.get("outputs")):
        say("\noutputs")
        print_fields({f"  {name}": value for name, value in outputs.items()})


@verbs.command()
def logs(
    ctx: typer.Context,
    execution: Id,
    step: Annotated[str | None, typer.Option(help="Of this step only.")] = None,
    *,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on until the execution has ended.")] = False,
) -> None:
    """Print the logs of an execution's steps, every attempt."""
    session = session_of(ctx)
    if follow:
        _follow_logs(session, execution, step)
        return
    with session.api() as api:
        items = as_objects(api.get(f"/api/workflows/{execution}/logs", {"step": step}).get("items"))

    def table() -> None:
        for item in items:
            title = (
                f"{shown(item.get('step_name'))} ({shown(item.get('status'))}, attempt {shown(item.get('attempt'))})"
            )
            say(f"--- {title}")
            over = item.get("status") not in {"running", "waiting"}
            text = as_text(item.get("output_logs")) or ("(printed nothing)" if over else "(nothing yet)")
            say(clean(text).rstrip("\n"))

    session.show([*items], table)


def _follow_logs(session: Session, execution: int, step: str | None) -> None:
    import json

    from cli import log_lines

    def told(text: str) -> None:
        say(text)
        sys.stdout.flush()

    def piece(attempt: JsonObject, text: str) -> None:
        told(json.dumps({"step_name": attempt.get("step_name"), "attempt": attempt.get("attempt"), "text": text}))

    lines = log_lines.LogLines(log_lines.plainly(told) if session.plain else piece, step=step)
    with session.api() as api:
        ended = log_lines.follow(api, execution, lines)
    if session.plain:
        note(f"Execution {execution} has {shown(ended.get('status'))}.")
    else:
        told(json.dumps(ended))


@verbs.command()
def explain(ctx: typer.Context, execution: Id) -> None:
    """Say why an execution failed: the deepest cause, what is left behind, what to do next."""
    session = session_of(ctx)
    with session.api() as api:
        found = api.get(f"/api/workflows/{execution}/explain")
    session.show(found, lambda: print_diagnosis(session, found))


@verbs.command()
def retry(ctx: typer.Context, execution: Id, *, wait: Wait = False) -> None:
    """Repeat a failed execution; finished steps are kept."""
    session = session_of(ctx)
    with session.api() as api:
        done = api.post(f"/api/workflows/{execution}/retry")
    note_warning(done)
    started = as_number(done.get("execution_id"))
    _answer(ctx, done, f"Execution {started} runs again.", started if wait else None)


@verbs.command()
def cancel(ctx: typer.Context, execution: Id) -> None:
    """End an execution; what runs is stopped."""
    with session_of(ctx).api() as api:
        done = api.post(f"/api/workflows/{execution}/cancel")
    _answer(ctx, done, f"Execution {execution} is being cancelled.", None)


@verbs.command("continue")
def go_on(
    ctx: typer.Context,
    execution: Id,
    step: Annotated[str | None, typer.Argument(help="The waiting step; needed when several wait.")] = None,
) -> None:
    """Continue a step that waits for a person."""
    with session_of(ctx).api() as api:
        if step is None:
            steps = as_objects(api.get(f"/api/workflows/{execution}").get("steps"))
            waiting = [
                as_text(one.get("step_name"))
                for one in steps
                if one.get("status") == "waiting" and as_object(one.get("waits_for")).get("kind") == "person"
            ]
            if len(waiting) != 1:
                hint = f"Waiting: {', '.join(waiting)}." if waiting else "No step of it waits for a person."
                raise Invalid("Which step shall go on?", code="which_step", hint=hint)
            step = waiting[0]
        done = api.post(f"/api/workflows/{execution}/steps/{quote(step)}/continue")
    _answer(ctx, done, f"Step {step} goes on.", None)


def golden_paths(ctx: typer.Context) -> None:
    """List what can be run: golden paths with their parameters."""
    session = session_of(ctx)
    with session.api() as api:
        items = as_objects(api.get("/api/golden-paths").get("items"))
    session.show(
        [*items],
        lambda: print_table(
            ("name", "provider", "parameters", "description"),
            [[path.get("name"), path.get("provider"), _parameters(path), path.get("description")] for path in items],
            empty="No golden paths.",
        ),
    )


def _parameters(path: JsonObject) -> str:
    found = as_objects(path.get("parameters"))
    return ", ".join(as_text(item.get("name")) + ("*" if item.get("required") else "") for item in found)


def run(
    ctx: typer.Context,
    golden_path: Annotated[str, typer.Argument(metavar="GOLDENPATH", help="Its name.")],
    inputs: Annotated[Path | None, typer.Argument(metavar="[INPUTS.yaml]", help="Inputs as a YAML mapping.")] = None,
    param: Annotated[list[str] | None, typer.Option("--param", "-p", metavar="NAME=VALUE", help="One input.")] = None,
    environment: Environment = None,
    *,
    wait: Wait = False,
) -> None:
    """Run a golden path."""
    given: JsonObject = {**_inputs(inputs), **_texts(param or [])}
    body: JsonObject = {"inputs": given, "from_text": bool(param), "environment": environment}
    with session_of(ctx).api() as api:
        done = api.post(f"/api/workflows/golden-paths/{quote(golden_path)}/execute", body)
    execution = as_number(done.get("execution_id"))
    words = f"Execution {execution} runs {golden_path}." if execution else "Everything is as wanted; nothing ran."
    _answer(ctx, done, words, execution if wait else None)


def _texts(params: list[str]) -> dict[str, str]:
    found: dict[str, str] = {}
    for item in params:
        name, equals, value = item.partition("=")
        if not equals or not name:
            raise Invalid(f"`{item}` is not NAME=VALUE.", code="invalid_param", hint="Write --param size=small.")
        found[name] = value
    return found


def _inputs(file: Path | None) -> JsonObject:
    if file is None:
        return {}
    from cli.files import read_text
    from engine.domain.yaml_source import load

    source = load(read_text(file), file=str(file))
    if source.problems:
        raise Invalid("The inputs cannot be read.", source.problems, code="invalid_inputs")
    if source.value is not None and not isinstance(source.value, dict):
        raise Invalid("The inputs are not a mapping.", code="invalid_inputs", hint="Write `name: value` lines.")
    return source.value or {}


def _answer(ctx: typer.Context, done: JsonObject, words: str, execution: int | None) -> None:
    """Say what was started; follow it to its end where `execution` is given."""
    from cli.progress import asks_a_person, follow_execution

    session = session_of(ctx)
    if not execution:
        session.show(done, lambda: say(words))
        return
    if session.plain:
        say(words)
    with session.api() as api:
        ended = follow_execution(session, api, execution)
    session.show(ended, lambda: print_execution(ended))
    if any(asks_a_person(step) for step in as_objects(ended.get("steps"))):
        note(f"It waits for a person: innominatus-ctl workflow continue {execution}")
    if ended.get("status") in {"failed", "cancelled"}:
        note(f"Why: innominatus-ctl workflow explain {execution}")
        raise typer.Exit(1)
