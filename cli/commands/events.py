"""events: the timeline, as it is or as it goes on."""

import json
import time
from typing import Annotated

import typer

from cli.options import Environment
from cli.session import Form, Session, say, session_of
from cli.text import as_object, as_objects, as_text, shown
from engine.domain.spec import DEFAULT_ENVIRONMENT
from engine.domain.values import JsonObject
from engine.errors import Unavailable

_AGAIN_SECONDS = 1.0
_MOST_TRIES = 30


def events(
    ctx: typer.Context,
    app: Annotated[str | None, typer.Option("--app", "-a", help="Of this application only.")] = None,
    environment: Environment = None,
    types: Annotated[
        str, typer.Option("--types", "-t", help="Of these kinds, separated by commas; `resource` is all of them.")
    ] = "",
    limit: Annotated[int, typer.Option("--limit", "-n", min=0, max=200, help="How many of the last ones.")] = 20,
    *,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on as they happen, until Ctrl-C.")] = False,
) -> None:
    """Say what happened: the last events, oldest first."""
    session = session_of(ctx)
    query = {"app": app, "environment": environment, "types": types or None}
    with session.api() as api:
        last, known = "", list[JsonObject]()
        if limit:
            known = as_objects(api.get("/api/events", {**query, "newest": True, "limit": limit}).get("items"))
            last = as_text(known[-1].get("position")) if known else ""
        if not follow:
            session.show([*known], lambda: _print(session, known))
            return
        _print(session, known)
        _follow(session, query, last)


def _follow(session: Session, query: dict[str, str | None], last: str) -> None:
    """Each event once, also when the server goes away and comes back."""
    from cli import changes

    tries = 0
    while True:
        try:
            with session.api() as api:
                for position, event in changes.events(api, query, last):
                    last, tries = position, 0
                    if event:
                        _print(session, [event])
        except Unavailable:
            tries += 1
            if tries > _MOST_TRIES:
                raise
            time.sleep(_AGAIN_SECONDS)


def _print(session: Session, found: list[JsonObject]) -> None:
    import sys

    for event in found:
        if session.form is not Form.TABLE:
            say(json.dumps(event))
            continue
        data = as_object(event.get("data"))
        run = f"execution {event['execution_id']}" if event.get("execution_id") else ""
        words = (
            shown(event.get("at"))[:19],
            f"{shown(event.get('kind')):<24}",
            _about(data),
            run,
            shown(event.get("actor")),
        )
        say("  ".join(word for word in words if word))
        if error := as_text(data.get("error")):
            say(f"{'':21}{shown(error)}")
    sys.stdout.flush()


def _about(data: JsonObject) -> str:
    """What happened to whom: `shop v2`, `shop in staging`, `thing/shop.db make`."""
    words = [shown(data[name]) for name in ("resource", "workflow", "application") if name in data]
    if data.get("environment", DEFAULT_ENVIRONMENT) != DEFAULT_ENVIRONMENT:
        words.append(f"in {shown(data['environment'])}")
    if "version" in data:
        words.append(f"v{shown(data['version'])}")
    return " ".join(words)
