"""Keeps the leases of everything this process runs, with one statement per beat."""

import time
from collections.abc import Callable, Iterable, Mapping
from typing import Final

from engine.domain.values import ExecutionId
from engine.runtime.cancellation import StopReason
from engine.runtime.claimer import Claimer, Held
from engine.runtime.warden_client import WardenClient
from engine.store import claims
from engine.store.database import Store

_MARGIN: Final = 1.0
"""Seconds before the end of a lease at which the warden begins to end programs: its grace, and time to get to it."""


class Heartbeat:
    """`beat` extends all leases, learns of cancellations, and stops what is no longer ours.

    When the database is away for longer than a lease, runs are stopped: another worker may have taken them by then.
    An engine that is `alone` on its database goes on with them.

    Programs get less than the lease: the last part of it is for the warden, so that they are gone, also those that
    ignore SIGTERM, before another worker may begin the same.
    """

    def __init__(
        self,
        store: Store,
        claimer: Claimer,
        warden: WardenClient,
        *,
        worker: str,
        lease: float,
        alone: bool = False,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._store = store
        self._claimer = claimer
        self._warden = warden
        self._worker = worker
        self._lease = lease
        self._program_time = lease - min(_MARGIN, lease / 4)
        self._alone = alone
        self._clock = clock
        self._confirmed = clock()
        self._renewed: Mapping[ExecutionId, float] = {}

    def deadline(self, execution_id: ExecutionId) -> float:
        """Until when a program of the execution may run: from its last beat, or from the claim if that is later."""
        renewed = self._renewed.get(execution_id, 0.0)
        return max(renewed, self._claimer.claimed_at(execution_id)) + self._program_time

    def beat(self) -> None:
        before = self._clock()
        held = self._claimer.held()
        if not held:
            self._confirmed = self._clock()
            self._warden.extend((), before)  # a warden that died is replaced before the next step needs it
            return
        try:
            with self._store.begin() as tx:
                ours = claims.extend_leases(
                    tx,
                    worker=self._worker,
                    lease=self._lease,
                    held=[(item.claim.execution.id, item.claim.execution.fence) for item in held],
                )
        except Exception:
            if self._alone:
                self._confirmed = before
                self._renew([item.claim.execution.id for item in held], before)
            elif self._clock() - self._confirmed > self._lease:
                for item in held:
                    item.token.set(StopReason.LEASE_LOST)
            self._claimer.database_was_lost()
            raise
        self._confirmed = before
        self._claimer.database_answered()
        self._renew(ours, before)
        for item in held:
            self._judge(item, ours)

    def _renew(self, executions: Iterable[ExecutionId], before: float) -> None:
        """Their leases began when the database wrote them, `before` or later, not when its answer came."""
        self._renewed = dict.fromkeys(executions, before)
        self._warden.extend(self._renewed, before + self._program_time)

    def _judge(self, held: Held, ours: Mapping[ExecutionId, bool]) -> None:
        execution_id = held.claim.execution.id
        if ours.get(execution_id):
            held.token.set(StopReason.CANCELLED)
        elif execution_id not in ours and self._claimer.holds(held):  # it did not simply end, or begin anew, since
            held.token.set(StopReason.LEASE_LOST)
            self._warden.drop(execution_id)
