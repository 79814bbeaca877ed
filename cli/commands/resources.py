"""Resources: list-resources, resource (show, retry, resolve)."""

from typing import TYPE_CHECKING, Annotated

import typer

from cli.commands.applications import print_resources
from cli.diagnosis import note_warning, print_diagnosis
from cli.options import AnyEnvironment
from cli.session import note, print_fields, print_table, say, session_of
from cli.text import as_number, as_object, as_objects, as_text, shown
from engine.domain.values import JsonObject
from engine.errors import Conflict, NotFound, nearest, quoted

if TYPE_CHECKING:
    from cli.client import Api

App = Annotated[str | None, typer.Option("--app", "-a", help="Of this application only.")]
Thing = Annotated[str, typer.Argument(metavar="ID|NAME", help="Its number, `type/id`, or its name in the spec.")]
verbs = typer.Typer(
    help="Show a resource (`resource ID`), learn why it failed, repeat that, or set a left-over straight."
)


def listed(
    ctx: typer.Context,
    app: App = None,
    environment: AnyEnvironment = None,
    type: Annotated[str | None, typer.Option("--type", "-t", help="Of this type only.")] = None,
    state: Annotated[str | None, typer.Option("--state", "-s", help="In this state only.")] = None,
) -> None:
    """List resources."""
    session = session_of(ctx)
    with session.api() as api:
        query = {"app": app, "type": type, "state": state, "environment": environment}
        items = list(api.every("/api/resources", query))
        unknown = _unknown_type(api, type) if type and not items and session.plain else ""
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
    if unknown:
        note(unknown)


def _unknown_type(api: "Api", type: str) -> str:
    """What to say of a type that no provider knows, with the nearest one; empty for a known one."""
    lists = [item.get("resource_types") for item in as_objects(api.get("/api/providers").get("items"))]
    known = [as_text(name) for names in lists if isinstance(names, list) for name in names]
    if type in known:
        return ""
    close = nearest(type, known)
    more = f"Did you mean {quoted(close)}?" if close else "`innominatus-ctl providers` shows the types."
    return f"No provider knows the type `{type}`. {more}"


@verbs.command()
def show(
    ctx: typer.Context,
    thing: Thing,
    app: App = None,
    environment: AnyEnvironment = None,
    *,
    reveal: Annotated[bool, typer.Option("--reveal", help="Show secret outputs; this is written down.")] = False,
) -> None:
    """Show one resource: state, params, outputs, what it needs, what happened to it."""
    session = session_of(ctx)
    with session.api() as api:
        found = api.get(f"/api/resources/{_number(api, thing, app, environment)}", {"reveal": reveal})
    session.show(found, lambda: _print(found, reveal=reveal))


def _print(found: JsonObject, *, reveal: bool) -> None:
    names = ("id", "resource", "application_name", "environment", "state", "health_status", "provider_id")
    more = (
        "workflow_execution_id",
        "desired_operation",
        "blocked_by",
        "used_by",
        "error_message",
        "reason",
        "updated_at",
    )
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
        say("\nhistory, newest first")
        for event in events:
            data = as_object(event.get("data"))
            what = f"{shown(event.get('kind'))} {shown(data.get('state'))}"
            say(f"  {shown(event.get('at'))}  {what}  {shown(event.get('actor'))}")
            if event.get("kind") == "execution.failed" and data.get("error"):
                say(f"      {shown(data.get('error'))}")


@verbs.command()
def explain(ctx: typer.Context, thing: Thing, app: App = None, environment: AnyEnvironment = None) -> None:
    """Say why a resource is failed, blocked or degraded: the deepest cause, what is left behind, what to do next."""
    session = session_of(ctx)
    with session.api() as api:
        number = _number(api, thing, app, environment)
        found = api.get(f"/api/resources/{number}/explain")
    session.show(found, lambda: print_diagnosis(session, found))


@verbs.command()
def retry(ctx: typer.Context, thing: Thing, app: App = None, environment: AnyEnvironment = None) -> None:
    """Repeat the operation that failed; finished steps are kept."""
    session = session_of(ctx)
    with session.api() as api:
        number = _number(api, thing, app, environment)
        done = api.post(f"/api/resources/{number}/retry")
    note_warning(done)
    session.show(done, lambda: say(f"Execution {shown(done.get('id'))} repeats it."))


@verbs.command()
def resolve(
    ctx: typer.Context,
    thing: Thing,
    as_: Annotated[str, typer.Option("--as", metavar="active|gone", help="What became of it.")],
    app: App = None,
    environment: AnyEnvironment = None,
) -> None:
    """Say what became of a failed resource that a person has looked after: it is active, or it is gone."""
    session = session_of(ctx)
    with session.api() as api:
        number = _number(api, thing, app, environment)
        done = api.post(f"/api/resources/{number}/resolve", {"as": as_})
    session.show(done, lambda: print_resources([done]))


def _number(api: "Api", thing: str, app: str | None, environment: str | None) -> int:
    """The number of a resource that is named by number, `type/id` or name. Raises NotFound, Conflict for several."""
    if thing.isdecimal() and len(thing) < 19:
        return int(thing)
    known = list(api.every("/api/resources", {"app": app, "environment": environment}))
    matching = [r for r in known if thing in (r.get("resource"), r.get("resource_name"))]
    if not matching:
        names = [as_text(resource.get(key)) for key in ("resource_name", "resource") for resource in known]
        listed_by = "`innominatus-ctl list-resources` shows them." if names else "There are no resources."
        raise NotFound("resource", thing, known=names, hint="" if nearest(thing, names) else listed_by)
    if len(matching) > 1:
        choices = ", ".join(
            f"{shown(r.get('id'))} ({shown(r.get('resource'))} in {shown(r.get('environment'))})" for r in matching[:10]
        )
        hint = f"Use the number, or --app and --environment: {choices}."
        raise Conflict(f"`{thing}` names several resources.", code="ambiguous", hint=hint)
    return as_number(matching[0].get("id"))
