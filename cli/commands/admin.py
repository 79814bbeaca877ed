"""What operators do to the platform as a whole: admin pause, admin resume, admin status."""

from typing import Annotated

import typer

from cli.session import print_fields, say, session_of
from cli.text import as_number, as_text, clean
from engine.domain.values import JsonObject

verbs = typer.Typer(help="Pause all workers, let them go on, and see whether they are paused.")


@verbs.command()
def pause(
    ctx: typer.Context,
    reason: Annotated[str, typer.Option("--reason", "-r", help="Why; everybody who asks is told.")] = "",
) -> None:
    """Let no worker claim anything more; what runs goes on to its end, submissions wait."""
    session = session_of(ctx)
    with session.api() as api:
        done = api.post("/api/admin/pause", {"reason": reason})
    session.show(done, lambda: say(clean(f"{_told(done)} {as_number(done.get('running'))} still run.")))


@verbs.command()
def resume(ctx: typer.Context) -> None:
    """Let the workers claim again."""
    session = session_of(ctx)
    with session.api() as api:
        done = api.post("/api/admin/resume")
    session.show(done, lambda: say(_told(done)))


@verbs.command()
def status(ctx: typer.Context) -> None:
    """Say whether workers claim executions."""
    session = session_of(ctx)
    with session.api() as api:
        found = api.get("/api/admin/claiming")
    session.show(found, lambda: print_fields(found))


def _told(found: JsonObject) -> str:
    if not found.get("paused"):
        return "Claiming goes on."
    reason = as_text(found.get("reason"))
    return f"Claiming is paused by {as_text(found.get('by'))}" + (f": {reason}." if reason else ".")
