"""Keeps the leases of everything this process runs, with one statement per beat."""

import time
from collections.abc import Callable, Mapping

from engine.domain.values import ExecutionId
from engine.runtime.cancellation import StopReason
from engine.runtime.claimer import Claimer, Held
from engine.runtime.warden_client import WardenClient
from engine.store import claims
from engine.store.database import Store


class Heartbeat:
    """`beat` extends all leases, learns of cancellations, and stops what is no longer ours.

    When the database is away for longer than a lease, runs are stopped: another worker may have taken them by then.
    An engine that is `alone` on its database goes on with them.
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
        self._alone = alone
        self._clock = clock
        self._confirmed = clock()

    def lease_left(self, execution_id: ExecutionId) -> float:
        """Seconds for which this process is sure of a lease: since the last beat, or the claim if that is later."""
        since = max(self._confirmed, self._claimer.claimed_at(execution_id))
        return max(0.0, since + self._lease - self._clock())

    def beat(self) -> None:
        before = self._clock()
        held = self._claimer.held()
        if not held:
            self._confirmed = self._clock()
            self._warden.extend((), self._lease)  # a warden that died is replaced before the next step needs it
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
                self._warden.extend([item.claim.execution.id for item in held], self._lease)
            elif self._clock() - self._confirmed > self._lease:
                for item in held:
                    item.token.set(StopReason.LEASE_LOST)
            self._claimer.database_was_lost()
            raise
        self._confirmed = before
        self._claimer.database_answered()
        # The lease began when the database wrote it, not when its answer came.
        self._warden.extend(ours, before + self._lease - self._clock())
        for item in held:
            self._judge(item, ours)

    def _judge(self, held: Held, ours: Mapping[ExecutionId, bool]) -> None:
        execution_id = held.claim.execution.id
        if ours.get(execution_id):
            held.token.set(StopReason.CANCELLED)
        elif execution_id not in ours and held in self._claimer.held():  # it did not simply end, or begin anew, since
            held.token.set(StopReason.LEASE_LOST)
            self._warden.drop(execution_id)
