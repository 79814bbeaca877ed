"""Claiming as a whole: an operator pauses it for every worker and lets it go on."""

from dataclasses import dataclass, replace

from engine.domain.event import Event
from engine.domain.execution import ExecutionState
from engine.domain.values import Actor
from engine.services.platform import Platform
from engine.store import events, executions, facts
from engine.store.again import transacted
from engine.store.database import Transaction
from engine.store.facts import Fact


@dataclass(frozen=True, slots=True)
class Claiming:
    """Whether work is claimed: `paused` says by whom it is not. What runs goes on all the same.

    `unattended` says what to start where work is left lying and no worker is at work; it is empty otherwise.
    """

    paused: Fact | None
    running: int
    queued: int
    unattended: str = ""


def state(platform: Platform) -> Claiming:
    with platform.store.read() as tx:
        found = _state(tx)
        return found if found.paused else replace(found, unattended=left_lying(platform, tx)[1])


def _state(tx: Transaction) -> Claiming:
    counted = executions.unfinished(tx)
    return Claiming(
        facts.get(tx, facts.PAUSED), counted[ExecutionState.RUNNING.value], counted[ExecutionState.PENDING.value]
    )


def left_lying(platform: Platform, tx: Transaction) -> tuple[float, str]:
    """For how many seconds work has waited, if longer than two sweeps, and what to start if no worker is at work."""
    waited = executions.longest_wait(tx)
    if waited <= 2 * platform.settings.sweep_seconds:
        return 0.0, ""
    if platform.settings.embedded or executions.any_held(tx):
        return waited, ""
    return waited, "no worker is at work: start one on the same database with `innominatus worker`"


def pause(platform: Platform, actor: Actor, *, reason: str = "") -> Claiming:
    """No worker claims anything from now on but what is cancelled, to end it; submissions are accepted and wait.

    A pause that holds already stays.
    """

    def work(tx: Transaction) -> Claiming:
        if facts.put(tx, facts.PAUSED, actor=str(actor), reason=reason):
            events.record(tx, [Event("claiming.paused", str(actor), data={"reason": reason})])
        return _state(tx)

    return transacted(platform.store, work)


def resume(platform: Platform, actor: Actor) -> Claiming:
    """Claiming goes on, at once in the engines that can be reached."""

    def work(tx: Transaction) -> Claiming:
        before = facts.get(tx, facts.PAUSED)
        if before is not None and facts.drop(tx, facts.PAUSED):
            data = {"paused_by": before.actor, "paused_at": before.at.isoformat(timespec="milliseconds")}
            events.record(tx, [Event("claiming.resumed", str(actor), data={**data, "reason": before.reason})])
        return _state(tx)

    after = transacted(platform.store, work)
    platform.signals.nudge()
    return after
