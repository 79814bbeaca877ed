"""deploy: a Score spec becomes what the platform is to make."""

from pathlib import Path
from typing import Annotated

import typer

from cli.files import is_yaml, read_from, read_text
from cli.options import Environment, Wait, Yes
from cli.session import Session, note, say, session_of
from cli.text import as_object, as_objects, as_text, shown
from engine.domain.spec import DEFAULT_ENVIRONMENT
from engine.domain.values import JsonObject

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
    asked: JsonObject = {
        "source": read_text(file, like=is_yaml),
        "prune": prune,
        "strict": strict,
        "environment": environment,
    }
    with session.api() as api, read_from(file):
        if plan_hash is None and prune and not yes and not dry_run:
            planned = api.submit({**asked, "dry_run": True})
            if plan_of(planned).get("destructive"):
                if session.plain:
                    print_plan(plan_of(planned))
                agree("Go on?")
            plan_hash = as_text(planned.get("plan_hash"))
        answer = api.submit({**asked, "dry_run": dry_run, "plan_hash": plan_hash}, key=idempotency_key)
        if session.plain:
            _tell(session, answer, file, asked)
        if wait and not dry_run:
            answer["result"] = _watch(session, answer)
        session.show(answer, lambda: None)
    if session.plain and not wait and not dry_run:
        _tell_how_to_follow(session, answer)
    failed = as_object(answer.get("result")).get("status") in {"failed", "degraded"}
    if failed:
        raise typer.Exit(1)


def _tell(session: Session, answer: JsonObject, file: Path, asked: JsonObject) -> None:
    """The plan, and what became of it or the command line that would apply it."""
    from cli.plans import nothing_to_do, plan_of, print_plan, print_warnings

    print_warnings(answer, file)
    if "plan" in answer:
        print_plan(plan_of(answer))
    if answer.get("applied"):
        name, version = shown(answer.get("application")), shown(answer.get("version"))
        again = " (It was submitted before.)" if answer.get("replayed") else ""
        say(f"Submitted {name} as version {version}.{again}")
    if "plan" in answer and nothing_to_do(plan_of(answer)):
        say("Nothing to do: all that the spec asks for is there.")
    elif not answer.get("applied"):
        flags = [f"--{name}" for name in ("prune", "strict") if asked[name]]
        exactly = (*flags, "--plan-hash", shown(answer.get("plan_hash")))
        say("Nothing was written. To apply exactly this:")
        say(session.command("deploy", str(file), environment=as_text(asked["environment"]), more=exactly))


def _tell_how_to_follow(session: Session, answer: JsonObject) -> None:
    from cli.plans import nothing_to_do, plan_of

    if "plan" in answer and nothing_to_do(plan_of(answer)):
        return
    environment = as_text(answer.get("environment"))
    elsewhere = environment if environment != DEFAULT_ENVIRONMENT else ""
    line = session.command("status", as_text(answer.get("application")), environment=elsewhere)
    note(f"Follow it, or deploy with -w: {line}")


def _watch(session: Session, answer: JsonObject) -> JsonObject:
    from cli.commands.applications import note_next_steps, print_resources
    from cli.progress import follow_application

    app, environment = as_text(answer.get("application")), as_text(answer.get("environment"))
    with session.api() as api:
        found = follow_application(session, api, app, environment)
    if session.plain:
        print_resources(as_objects(found.get("resources")))
        say(f"{app} is {shown(found.get('status'))}.")
        note_next_steps(session, as_objects(found.get("resources")))
    return found
