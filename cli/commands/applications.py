"""Applications: list, status, env, delete, graph-export, environments."""

from typing import Annotated

import typer

from cli.options import AnyEnvironment, Application, Environment, Wait, Yes
from cli.pausing import why_nothing_happens
from cli.session import Session, note, print_fields, print_table, say, session_of
from cli.text import as_number, as_object, as_objects, as_text, clean, dotenv, shown
from engine.domain.resource import AWAITS_TURN
from engine.domain.values import JsonObject


def listed(ctx: typer.Context, environment: AnyEnvironment = None) -> None:
    """List applications with their state."""
    _list(session_of(ctx), environment)


def _list(session: Session, environment: str | None) -> list[JsonObject]:
    with session.api() as api:
        items = list(api.every("/api/applications", {"environment": environment}))
    columns = ("name", "environment", "status", "version", "resource_count", "updated_at")
    session.show(
        [*items],
        lambda: print_table(
            ("name", "environment", "status", "version", "resources", "updated"),
            [[item.get(key) for key in columns] for item in items],
            empty="No applications. Deploy one: innominatus-ctl deploy FILE",
        ),
    )
    return items


def status(
    ctx: typer.Context,
    app: Annotated[str | None, typer.Argument(metavar="[APP]", help="The application's name; without it, all.")] = None,
    environment: Environment = None,
) -> None:
    """Show an application and its resources; without a name, list the applications."""
    session = session_of(ctx)
    if app is None:
        if _list(session, environment) and session.plain:
            note(f"More of one of them: {session.command('status', 'APP', environment=environment or '')}")
        return
    with session.api() as api:
        found = api.get(path_of(app), {"environment": environment})
        moves = found.get("status") in {"in_progress", "deleting"}
        held = why_nothing_happens(session, api) if session.plain and moves else ""

    def table() -> None:
        keys = ("name", "environment", "status", "version", "created_by", "expires_at")
        print_fields({key: found.get(key) for key in keys})
        say()
        print_resources(as_objects(found.get("resources")))

    session.show(found, table)
    if held:
        note(held)
    if session.plain:
        note_next_steps(session, as_objects(found.get("resources")))


def print_resources(items: list[JsonObject]) -> None:
    """Resources as a table; errors stand below it, whole."""
    print_table(
        ("id", "resource", "state", "provider", "updated"),
        [[r.get(k) for k in ("id", "resource", "state", "provider_id", "updated_at")] for r in items],
        empty="No resources.",
    )
    names = {as_number(item.get("id")): as_text(item.get("resource")) for item in items}
    for item in items:
        if error := as_text(item.get("error_message")):
            say(clean(f"\n{as_text(item.get('resource'))}: {error}"))
        elif item.get("reason") == AWAITS_TURN and not item.get("blocked_by"):
            say(clean(f"\n{as_text(item.get('resource'))}: asked for anew; it starts once what it waits for is there."))
        elif blocker := as_number(item.get("blocked_by")):
            by = f"`{names[blocker]}`" if blocker in names else f"resource {blocker}"
            say(clean(f"\n{as_text(item.get('resource'))}: blocked by {by}, which has failed."))


def note_next_steps(session: Session, items: list[JsonObject]) -> None:
    """Command lines to paste: why the first resource failed or is unwell. Whether a retry can help is told there."""
    failed = next((i for i in items if i.get("state") == "failed" and i.get("reason") != AWAITS_TURN), None)
    unwell = next((item for item in items if item.get("state") == "degraded"), None)
    if failed is not None:
        note("See why; it says whether to retry or to correct the spec and deploy it again:")
        note(session.command("resource", "explain", shown(failed.get("id"))))
        if run := as_number(failed.get("workflow_execution_id")):
            note(session.command("workflow", "logs", str(run)))
    elif unwell is not None:
        note("Look closer:")
        note(session.command("resource", "explain", shown(unwell.get("id"))))


def env(
    ctx: typer.Context,
    app: Application,
    environment: Environment = None,
    container: Annotated[str | None, typer.Option(help="The container; needed when there are several.")] = None,
    *,
    reveal: Annotated[bool, typer.Option("--reveal", help="Show secrets too; this is written down.")] = False,
) -> None:
    """Print the resolved variables of an application as NAME=value lines that sh can read; secrets are `***`."""
    from engine.errors import Conflict, Invalid, NotFound, quoted

    session = session_of(ctx)
    try:
        with session.api() as api:
            answer = api.get(f"{path_of(app)}/variables", {"environment": environment, "reveal": reveal})
    except Conflict as error:
        if error.code == "resource_failed":
            error.hint = f"See: {session.command('status', app, environment=environment or '')}"
        raise
    found = {
        name: {key: str(value) for key, value in as_object(values).items()}
        for name, values in sorted(as_object(answer.get("containers")).items())
    }
    if container is not None and container not in found:
        raise NotFound("container", container, known=found, hint=f"There are: {quoted(found)}.")
    chosen = found if container is None else {container: found[container]}
    if not session.plain:
        session.show({name: {**values} for name, values in chosen.items()}, lambda: None)
        return
    if len(chosen) > 1 and _differ(list(chosen.values())):
        raise Invalid(
            f"`{app}` has several containers whose variables contradict each other.",
            code="several_containers",
            hint=f"Choose one with --container: {quoted(chosen)}.",
        )
    merged = {name: value for values in chosen.values() for name, value in values.items()}
    typer.echo(dotenv(merged), nl=False)
    if not reveal and any(as_object(answer.get("secret")).get(name) for name in chosen):
        note("*** is secret: --reveal shows it, and that is written down.")


def _differ(containers: list[dict[str, str]]) -> bool:
    seen: dict[str, str] = {}
    return any(seen.setdefault(name, value) != value for values in containers for name, value in values.items())


def delete(
    ctx: typer.Context, app: Application, environment: Environment = None, *, yes: Yes = False, wait: Wait = False
) -> None:
    """Delete an application and what only it uses, in reverse order. The plan is shown first."""
    from cli.plans import agree, print_plan
    from cli.progress import follow_deletion

    session = session_of(ctx)
    with session.api() as api:
        query = {"environment": environment}
        plan = api.delete(path_of(app), {**query, "dry_run": True})
        if session.plain:
            print_plan(as_object(plan.get("plan")))
        if not yes:
            agree(f"Delete `{app}`?")
        done = api.delete(path_of(app), {**query, "plan_hash": as_text(plan.get("plan_hash"))})
        if wait:
            follow_deletion(session, api, app, environment)
        session.show(done, lambda: say(f"Deleted {app}." if wait else f"Deleting {app}."))
    if not wait and session.plain:
        note(f"Follow it: {session.command('status', app, environment=environment or '')}")


def graph_export(
    ctx: typer.Context,
    app: Application,
    environment: Environment = None,
    form: Annotated[str, typer.Option("--format", "-f", help="tree, mermaid, dot or json.")] = "tree",
) -> None:
    """Print the graph of an application: what exists and why."""
    with session_of(ctx).api() as api:
        text = api.text(f"/api/graph/{quote(app)}/export", {"format": form, "environment": environment})
    typer.echo(clean(text).rstrip("\n"))


def environments(ctx: typer.Context) -> None:
    """List environments with the number of their applications."""
    session = session_of(ctx)
    with session.api() as api:
        items = as_objects(api.get("/api/environments").get("items"))
    columns = list(items[0]) if items else ["name"]
    session.show([*items], lambda: print_table(columns, [[item.get(key) for key in columns] for item in items]))


def quote(name: str) -> str:
    """A name as one segment of a path."""
    from urllib.parse import quote as quoted_url

    return quoted_url(name, safe="") if name not in {".", ".."} else name.replace(".", "%2E")


def path_of(app: str) -> str:
    return f"/api/applications/{quote(app)}"
