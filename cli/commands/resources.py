"""Resources: list-resources, resource (show, retry, resolve)."""

from typing import Annotated

import typer

from cli.commands.applications import print_resources, quote
from cli.options import Environment
from cli.session import print_fields, print_table, say, session_of
from cli.text import as_object, as_objects, shown
from engine.domain.values import JsonObject

App = Annotated[str | None, typer.Option("--app", "-a", help="Of this application only.")]
Thing = Annotated[str, typer.Argument(metavar="ID|NAME", help="Its number, `type/id`, or its name in the spec.")]
verbs = typer.Typer(help="Show a resource (`resource ID`), repeat what failed, or set a left-over straight.")


def listed(
    ctx: typer.Context,
    app: App = None,
    environment: Environment = None,
    type: Annotated[str | None, typer.Option("--type", "-t", help="Of this type only.")] = None,
    state: Annotated[str | None, typer.Option("--state", "-s", help="In this state only.")] = None,
) -> None:
    """List resources."""
    session = session_of(ctx)
    with session.api() as api:
        query = {"app": app, "type": type, "state": state, "environment": environment}
        items = list(api.every("/api/resources", query))
    session.show(
        [*items],
        lambda: print_table(
            ("id", "application", "resource", "state", "health", "provider"),
            [
                [r.get(k) for k in ("id", "application_name", "resource", "state", "health_status", "provider_id")]
                for r in items
            ],
            empty="No resources.",
        ),
    )


@verbs.command()
def show(
    ctx: typer.Context,
    thing: Thing,
    app: App = None,
    *,
    reveal: Annotated[bool, typer.Option("--reveal", help="Show secret outputs; this is written down.")] = False,
) -> None:
    """Show one resource: state, params, outputs, what it needs, what happened to it."""
    session = session_of(ctx)
    with session.api() as api:
        found = api.get(f"/api/resources/{quote(thing)}", {"reveal": reveal or None, "app": app})
    session.show(found, lambda: _print(found, reveal=reveal))


def _print(found: JsonObject, *, reveal: bool) -> None:
    names = ("id", "resource", "application_name", "environment", "state", "health_status", "provider_id")
    more = ("workflow_execution_id", "desired_operation", "used_by", "error_message", "reason", "updated_at")
    print_fields({name: found.get(name) for name in (*names, *more)})
    for title in ("configuration", "outputs"):
        if values := as_object(found.get(title)):
            say(f"\n{title}")
            print_fields({f"  {name}": value for name, value in values.items()})
    if found.get("secret_outputs") and not reveal:
        say("  (*** is secret: --reveal shows it)")
    for title in ("depends_on", "dependants"):
        if others := as_objects(found.get(title)):
            say(f"\n{title.replace('_', ' ')}")
            for other in others:
                say(f"  {shown(other.get('id'))}  {shown(other.get('resource'))}  {shown(other.get('state'))}")
    if events := as_objects(found.get("transitions")):
        say("\nnewest first")
        for event in events:
            after = shown(as_object(event.get("data")).get("state"))
            say(f"  {shown(event.get('at'))}  {shown(event.get('kind'))} {after}  {shown(event.get('actor'))}")


@verbs.command()
def retry(ctx: typer.Context, thing: Thing, app: App = None) -> None:
    """Repeat the operation that failed; finished steps are kept."""
    session = session_of(ctx)
    with session.api() as api:
        number = _number(ctx, thing, app)
        done = api.post(f"/api/resources/{number}/retry")
    session.show(done, lambda: say(f"Execution {shown(done.get('execution_id'))} repeats it."))


@verbs.command()
def resolve(
    ctx: typer.Context,
    thing: Thing,
    as_: Annotated[str, typer.Option("--as", metavar="active|gone", help="What became of it.")],
    app: App = None,
) -> None:
    """Say what became of a failed resource that a person has looked after: it is active, or it is gone."""
    session = session_of(ctx)
    with session.api() as api:
        number = _number(ctx, thing, app)
        done = api.post(f"/api/resources/{number}/resolve", {"as": as_})
    session.show(done, lambda: print_resources([done]))


def _number(ctx: typer.Context, thing: str, app: str | None) -> str:
    if thing.isdecimal():
        return thing
    with session_of(ctx).api() as api:
        return shown(api.get(f"/api/resources/{quote(thing)}", {"app": app}).get("id"))
