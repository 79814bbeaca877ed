"""deploy: a Score spec becomes what the platform is to make."""

import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from cli.options import Environment, Wait, Yes
from cli.session import Session, note, say, session_of
from cli.text import as_object, as_objects, as_text, clean, shown
from engine.domain.values import JsonObject
from engine.errors import Invalid

Spec = Annotated[Path, typer.Argument(metavar="FILE", help="A Score document; - reads standard input.")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Show the plan and write nothing.")]
PlanHash = Annotated[str | None, typer.Option(help="Apply exactly the plan of this hash, or nothing.")]
Prune = Annotated[bool, typer.Option("--prune", help="Delete what is gone from the spec.")]
Strict = Annotated[bool, typer.Option("--strict", help="Accept official Score only.")]
Key = Annotated[str | None, typer.Option(help="Submitting twice with the same key submits once.")]


def deploy(  # noqa: PLR0913 - the options of one command
    ctx: typer.Context,
    file: Spec,
    environment: Environment = None,
    plan_hash: PlanHash = None,
    idempotency_key: Key = None,
    *,
    wait: Wait = False,
    dry_run: DryRun = False,
    prune: Prune = False,
    strict: Strict = False,
    yes: Yes = False,
) -> None:
    """Deploy a Score spec: plan it, then make what is missing and change what differs."""
    from cli.plans import agree, plan_of, print_plan

    session = session_of(ctx)
    asked: JsonObject = {"source": read_text(file), "prune": prune, "strict": strict, "environment": environment}
    with session.api() as api:
        if plan_hash is None and prune and not yes and not dry_run:
            planned = api.submit({**asked, "dry_run": True})
            if plan_of(planned).get("destructive"):
                if session.plain:
                    print_plan(plan_of(planned))
                agree("Go on?")
            plan_hash = as_text(planned.get("plan_hash"))
        answer = api.submit({**asked, "dry_run": dry_run, "plan_hash": plan_hash}, key=idempotency_key)
        if session.plain:
            _tell(answer, again=_again(session, file, asked) if dry_run else ())
        if wait and not dry_run:
            answer["result"] = _watch(session, answer)
        session.show(answer, lambda: None)
    failed = as_object(answer.get("result")).get("status") in {"failed", "degraded"}
    if failed:
        raise typer.Exit(1)


def _again(session: Session, file: Path, asked: JsonObject) -> tuple[str, ...]:
    """The words of the command line that submits the same once more; a token is nothing to print."""
    words = ["innominatus-ctl", *(("--server", session.server) if session.server else ()), "deploy", str(file)]
    if environment := as_text(asked["environment"]):
        words += ["--environment", environment]
    return (*words, *(f"--{name}" for name in ("prune", "strict") if asked[name]))


def _tell(answer: JsonObject, *, again: Sequence[str]) -> None:
    """The plan and what became of it. `again` are the words that would apply it; none where it was applied."""
    from cli.plans import plan_of, print_plan, print_warnings

    print_warnings(answer)
    if "plan" in answer:
        print_plan(plan_of(answer))
    name, version = shown(answer.get("application")), shown(answer.get("version"))
    if again:
        say("Nothing was written. To apply exactly this:")
        say(clean(shlex.join([*again, "--plan-hash", shown(answer.get("plan_hash"))])))
    else:
        say(f"Submitted {name} as version {version}." + (" (It was submitted before.)" * bool(answer.get("replayed"))))


def _watch(session: Session, answer: JsonObject) -> JsonObject:
    from cli.commands.applications import print_resources
    from cli.progress import follow_application

    app, environment = as_text(answer.get("application")), as_text(answer.get("environment"))
    with session.api() as api:
        found = follow_application(api, app, environment, quiet=not session.plain)
    if session.plain:
        print_resources(as_objects(found.get("resources")))
        say(f"{app} is {shown(found.get('status'))}.")
        if found.get("status") != "active":
            note("Look closer: innominatus-ctl list-workflows --status failed, workflow logs ID, resource retry ID")
    return found


def read_text(file: Path) -> str:
    """A file's text, or standard input's for `-`. Raises Invalid with the reason."""
    import sys

    try:
        raw = sys.stdin.buffer.read() if str(file) == "-" else file.read_bytes()
    except OSError as error:
        raise Invalid(f"`{file}` cannot be read: {error.strerror}.", code="unreadable_file") from error
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise Invalid(
            f"`{file}` is not text: byte {error.start + 1} is not UTF-8.", code="not_text", hint="Name a YAML file."
        ) from error
