"""The platform in numbers, and whether it can work at all."""

from collections.abc import Mapping
from dataclasses import dataclass

import structlog

from engine.domain.event import Position
from engine.errors import Unavailable
from engine.services.platform import Platform
from engine.store import applications, events, executions, facts, resources
from engine.store.events import Tally

logger = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Overview:
    """`resources` are counted per (type, state), `executions` per state; both hold everything that ever was."""

    applications: int
    environments: int
    providers: int
    golden_paths: int
    resources: Mapping[tuple[str, str], int]
    executions: Mapping[str, int]


def of_platform(platform: Platform) -> Overview:
    registry = platform.providers.registry
    with platform.store.read() as tx:
        environments = applications.environments(tx)
        return Overview(
            applications=sum(count for _, count in environments),
            environments=len(environments),
            providers=len(registry.providers),
            golden_paths=sum(len(provider.golden_paths) for provider in registry.providers),
            resources=resources.counts(tx),
            executions=executions.counts(tx),
        )


def events_since(platform: Platform, after: Position) -> Tally:
    """How many events of each kind stand behind `after`."""
    with platform.store.read() as tx:
        return events.tally(tx, after=after)


def check_database(platform: Platform) -> None:
    """Return when the database answers. Raises Unavailable, whose message names no address and no user."""
    try:
        with platform.store.read() as tx:
            _ = tx.now
    except Exception as error:
        logger.warning("database.unreachable", error=repr(error))
        raise Unavailable(
            "The database does not answer.", code="database", hint="The server's log says why; it is asked again."
        ) from error


def left_lying(platform: Platform) -> str:
    """Says so when work has waited for a worker longer than two sweeps; empty while all is well."""
    longest = 2 * platform.settings.sweep_seconds
    with platform.store.read() as tx:
        paused = facts.get(tx, facts.PAUSED)
        waited = executions.longest_wait(tx)
    if paused is not None:
        return f"claiming is paused by {paused.actor}" + (f": {paused.reason}" if paused.reason else "")
    return f"the first execution in the queue has waited {waited:.0f} s for a worker" if waited > longest else ""
