"""The platform in numbers, and whether it can work at all."""

from collections.abc import Mapping
from dataclasses import dataclass

import structlog

from engine.errors import Unavailable
from engine.services import claiming
from engine.services.platform import Platform
from engine.store import applications, executions, facts, resources, tallies
from engine.store.away import in_short

logger = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Overview:
    """`resources` are counted per (type, state) and `executions` per state: those that are not over.

    `totals` are the events of each kind that there ever were, also those that are no longer kept.
    """

    applications: int
    environments: int
    providers: int
    golden_paths: int
    resources: Mapping[tuple[str, str], int]
    executions: Mapping[str, int]
    totals: Mapping[str, int]


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
            executions=executions.unfinished(tx),
            totals=tallies.totals(tx),
        )


def check_database(platform: Platform) -> None:
    """Return when the database answers. Raises Unavailable, whose message names no address and no user."""
    try:
        with platform.store.read() as tx:
            _ = tx.now
    except Exception as error:
        logger.warning("database.unreachable", error=in_short(error))
        raise Unavailable(
            "The database does not answer.",
            code="database_unavailable",
            hint="The server's log says why; it is asked again.",
        ) from error


def left_lying(platform: Platform) -> str:
    """Says so when work has waited for a worker longer than two sweeps; empty while all is well."""
    if told := paused(platform):
        return told
    with platform.store.read() as tx:
        waited, unattended = claiming.left_lying(platform, tx)
    told = f"the first execution in the queue has waited {waited:.0f} s for a worker" if waited else ""
    return f"{told}; {unattended}" if unattended else told


def paused(platform: Platform) -> str:
    """Says who paused all claiming, and why; empty while it goes on."""
    with platform.store.read() as tx:
        found = facts.get(tx, facts.PAUSED)
    if found is None:
        return ""
    return f"claiming is paused by {found.actor}" + (f": {found.reason}" if found.reason else "")
