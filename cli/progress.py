"""Live progress: a table that changes on a terminal, a line per change elsewhere."""

import time
from collections.abc import Generator
from contextlib import AbstractContextManager, contextmanager
from types import TracebackType
from typing import TYPE_CHECKING, Self

import typer

from cli import changes, pausing
from cli.client import Api
from cli.commands.applications import path_of
from cli.exits import INTERRUPTED
from cli.session import STYLES, Session, console, note
from cli.text import as_objects, as_text, shown
from engine.domain.values import JsonObject
from engine.errors import Internal, NotFound

if TYPE_CHECKING:
    from rich.table import Table

_MOVING = frozenset({"requested", "provisioning", "updating", "terminating"})
_SETTLED = frozenset({"active", "degraded"})


def follow_application(session: Session, api: Api, app: str, environment: str | None) -> JsonObject:
    """The application once nothing of it moves any more. Ctrl-C leaves the deployment going."""
    watching = changes.of_application(api, app, environment)
    with _Board(session, api) as board, _left_alone(app), watching as change:
        while True:
            found = api.get(path_of(app), {"environment": environment})
            resources = as_objects(found.get("resources"))
            board.show(resources)
            if not any(_moves(resource) for resource in resources):
                return found
            board.still_waiting()
            change.wait()


def follow_deletion(session: Session, api: Api, app: str, environment: str | None) -> None:
    """Return when the application is gone. Raises Internal when a resource of it cannot be deleted."""
    watching = changes.of_application(api, app, environment)
    with _Board(session, api) as board, _left_alone(app), watching as change:
        while True:
            try:
                found = api.get(path_of(app), {"environment": environment})
            except NotFound:
                board.gone()
                return
            resources = as_objects(found.get("resources"))
            board.show(resources)
            if resources and not any(_moves(resource) for resource in resources):
                break
            board.still_waiting()
            change.wait()
    look = session.command("status", app, environment=environment or "")
    raise Internal(f"`{app}` could not be deleted whole.", code="not_deleted", hint=f"Look: {look}")


def follow_execution(session: Session, api: Api, execution_id: int) -> JsonObject:
    """The execution once it has ended, its steps shown as they go; one that waits for a person is returned too."""
    watching = changes.of_execution(api, execution_id)
    with _Board(session, api) as board, _left_alone(f"execution {execution_id}"), watching as change:
        while True:
            found = api.get(f"/api/workflows/{execution_id}")
            steps = as_objects(found.get("steps"))
            board.show([{"resource": f"step {shown(s.get('step_name'))}", "state": s.get("status")} for s in steps])
            asks = any(asks_a_person(step) for step in steps)
            if as_text(found.get("status")) in {"succeeded", "failed", "cancelled"} or asks:
                return found
            board.still_waiting()
            change.wait()


def asks_a_person(step: JsonObject) -> bool:
    """Whether the step waits until a person continues it."""
    waits = step.get("waits_for")
    return step.get("status") == "waiting" and isinstance(waits, dict) and waits.get("kind") == "person"


def _moves(resource: JsonObject) -> bool:
    state = as_text(resource.get("state"))
    wanted = resource.get("desired_operation") is not None and resource.get("blocked_by") is None
    return state in _MOVING or (state in _SETTLED and wanted)


@contextmanager
def _left_alone(what: str) -> Generator[None]:
    """Ctrl-C ends the watching, not the work, and says so."""
    try:
        yield
    except KeyboardInterrupt:
        note(f"\nNo longer watching; {what} goes on. Look: innominatus-ctl list, innominatus-ctl list-workflows")
        raise typer.Exit(INTERRUPTED) from None


class _Board(AbstractContextManager["_Board"]):
    """The newest state of each resource."""

    def __init__(self, session: Session, api: Api) -> None:
        from rich.live import Live

        self._console = console(stderr=True)
        self._seen: dict[str, tuple[str, float]] = {}
        self._began = time.monotonic()
        self._quiet = not session.plain
        self._pauses = pausing.Watch(session, api, self._console.print)
        terminal = self._console.is_terminal and not self._quiet
        self._live: Live | None = Live(console=self._console, auto_refresh=False) if terminal else None

    def __enter__(self) -> Self:
        if self._live is not None:
            self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._live is not None:
            self._live.stop()

    def show(self, resources: list[JsonObject]) -> None:
        states = {shown(item.get("resource")): shown(item.get("state")) for item in resources}
        gone = [name for name in self._seen if name not in states and self._seen[name][0] != "gone"]
        for name, state in [*states.items(), *((name, "gone") for name in gone)]:
            if self._seen.get(name, ("", 0.0))[0] != state:
                self._seen[name] = (state, time.monotonic() - self._began)
                self._line(name)
        if self._live is not None:
            self._live.update(self._table(), refresh=True)

    def still_waiting(self) -> None:
        """Say so when nothing moves since claiming is paused or no worker is there."""
        if not self._quiet:
            self._pauses.look()

    def gone(self) -> None:
        self.show([])

    def _line(self, name: str) -> None:
        if self._live is None and not self._quiet:
            state, seconds = self._seen[name]
            self._console.print(f"  {seconds:5.1f}s  {state:<13} {name}")

    def _table(self) -> "Table":
        from rich.table import Table
        from rich.text import Text

        table = Table.grid(padding=(0, 2))
        for name, (state, seconds) in self._seen.items():
            table.add_row(
                Text(f"{seconds:6.1f}s", style="dim"), Text(state, style=STYLES.get(state, "cyan")), Text(name)
            )
        return table
