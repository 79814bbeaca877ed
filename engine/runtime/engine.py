"""The engine of one process: claims executions and runs them on worker threads, keeps leases, sweeps, stops cleanly."""

import secrets
import socket
import threading
import time
from collections.abc import Mapping

import structlog

from engine.config import Settings
from engine.domain.values import ExecutionId
from engine.providers.active import ActiveProviders
from engine.runtime.alarm import Alarm
from engine.runtime.attempt import Workshop
from engine.runtime.background import Repeating
from engine.runtime.bench import Bench
from engine.runtime.cancellation import StopReason
from engine.runtime.claimer import Claimer, Held
from engine.runtime.heartbeat import Heartbeat
from engine.runtime.ledger import Abandoned
from engine.runtime.live_logs import LiveLogs
from engine.runtime.places import Places
from engine.runtime.queue import LocalQueue
from engine.runtime.requests import Requests
from engine.runtime.run import Run
from engine.runtime.signals import Sender
from engine.runtime.turns import Carrying, Turns
from engine.runtime.warden_client import WardenClient
from engine.runtime.workspace import Workspaces
from engine.store import claims, repair
from engine.store.database import DatabaseFailure, Store
from engine.store.journal import Journal

logger = structlog.get_logger()
_LOG_FLUSH_SECONDS = 0.5


class Engine:
    """`start`, `nudge`, `stop`. Everything it knows is in the database; a kill at any moment loses nothing."""

    def __init__(
        self,
        store: Store,
        settings: Settings,
        providers: ActiveProviders,
        requests: Requests,
        *,
        base_environment: Mapping[str, str],
        others: Sender | None = None,
    ) -> None:
        """`others` wakes the engines of other processes when there is more to do than this one can take on."""
        self.worker = f"{socket.gethostname()}-{secrets.token_hex(4)}"
        self._store = store
        self._settings = settings
        self._providers = providers
        lease = settings.lease_seconds
        places = Places(settings.data_dir)
        self._warden = WardenClient()
        self._queue = LocalQueue(self._work, threads=settings.threads)
        self._claimer = Claimer(
            store.by_keys,
            worker=self.worker,
            threads=settings.threads,
            cap=settings.max_concurrent_per_application,
            lease=lease,
        )
        self._journal = Journal(
            store.by_keys,
            choose=providers.choose,
            refill=self._claimer,
            woken=self.nudge,
            lost=self._claimer.database_was_lost,
        )
        self._turns = Turns(self._journal, self._claimer, begin=self._carry, wake=self._queue.nudge, others=others)
        self._heartbeat = Heartbeat(store.by_keys, self._claimer, self._warden, worker=self.worker, lease=lease)
        self._logs = LiveLogs(store)
        self._alarm = Alarm(self._ring)
        self._bench = Bench(
            store,
            providers,
            requests,
            Workshop(
                workspaces=Workspaces(places.workspaces, artifact_bytes=settings.artifact_bytes),
                warden=self._warden,
                base_environment=base_environment,
                provider_data=places.provider_data,
                lease_left=self._heartbeat.lease_left,
                step_timeout=settings.step_timeout_seconds,
                log_bytes=settings.step_log_bytes,
                output_bytes=settings.step_output_bytes,
            ),
            places.here(),
            self._logs.register,
            self.cancel,
            self._turns.aside,
        )
        self._background = [
            Repeating("heartbeat", self._heartbeat.beat, seconds=min(lease / 3, 1.0)),
            Repeating("sweep", self.sweep, seconds=settings.sweep_seconds),
            Repeating("logs", self._logs.flush, seconds=_LOG_FLUSH_SECONDS),
        ]
        self._rested = threading.Condition()

    def start(self) -> None:
        """Take up whatever is ready, this process's unfinished work of before included."""
        self._warden.start()
        self._queue.start()
        self._alarm.start()
        for thread in self._background:
            thread.start()
        if self._settings.health_seconds:
            self._check_all()
        self._set_alarm()
        self.nudge()

    @property
    def ailing(self) -> str:
        """Why this engine does not work; empty while it does."""
        dead = [thread.name for thread in self._background if not thread.alive]
        return f"the engine's {' and '.join(dead)} stopped" if dead else ""

    def nudge(self, count: int = 1) -> None:
        """There may be `count` executions to claim. One thread is woken; it wakes others as they are needed."""
        del count
        self._claimer.hope()
        self._queue.nudge()

    def offer(self) -> bool:
        """As `nudge`, from another process. False when all threads are taken."""
        self.nudge()
        return self._claimer.has_room

    def cancel(self, execution_id: ExecutionId) -> None:
        """Stop a run of this process now; `nudge` ends one that is queued or asleep."""
        self._claimer.cancel(execution_id)
        self.nudge()

    def stop(self, *, grace: float | None = None) -> None:
        """Claim nothing more, give running steps `grace` seconds, then stop the rest; it goes on at the next start."""
        grace = self._settings.grace_seconds if grace is None else grace
        self._release(self._claimer.close())
        for held in self._claimer.held():
            held.token.draining.set()
        deadline = time.monotonic() + grace
        with self._rested:
            while not self._claimer.idle and (left := deadline - time.monotonic()) > 0:
                self._rested.wait(left)
        for held in self._claimer.held():
            held.token.set(StopReason.STOPPING)
        self._alarm.stop()
        for thread in self._background:
            thread.stop()
        self._journal.stop()
        self._queue.stop(timeout=5.0)
        self._warden.stop()
        self._release(self._claimer.close())  # claimed by the journal's last commits
        self._logs.flush()

    def sweep(self) -> None:
        """Repeat whatever was lost and start what came due."""
        batch = self._settings.sweep_batch
        with self._store.begin() as tx:
            found = repair.start_forgotten(tx, limit=batch)
            found += repair.wake_forgotten(tx, limit=batch)
            repair.fail_orphans(tx, limit=batch)
            repair.drop_old_keys(tx)
        if self._settings.health_seconds:
            self._check_health(older_than=self._settings.health_seconds)
        self._set_alarm()
        self.nudge(max(1, found))

    def _check_all(self) -> None:
        """Ask for every health check; a database that is away at the start of an engine does not end it."""
        try:
            self._check_health(older_than=0)
        except DatabaseFailure as error:
            logger.warning("health.failed", error=str(error).splitlines()[0])

    def _check_health(self, *, older_than: float) -> None:
        with self._store.begin() as tx:
            queued = repair.queue_health_checks(
                tx, older_than=older_than, choose=self._providers.choose, limit=self._settings.sweep_batch
            )
        if queued:
            self.nudge(queued)

    def _set_alarm(self) -> None:
        """For the earliest sleeper; the next sweep sets it when the database is away."""
        try:
            with self._store.read() as tx:
                seconds = repair.next_due(tx)
        except DatabaseFailure as error:
            logger.warning("alarm.failed", error=str(error).splitlines()[0])
            return
        if seconds is not None:
            self._alarm.set(seconds + 0.002)

    def _ring(self) -> None:
        """Somebody's sleep is over; the alarm is set for whoever sleeps longer."""
        self.nudge()
        self._set_alarm()

    def _work(self) -> None:
        self._turns.work()

    def _carry(self, held: Held) -> Carrying:
        """The run of a claim, to its rest."""
        try:
            if (yield from Run(self._bench, held.claim, held.token).go()):
                self._set_alarm()
        except Abandoned as left:
            if left.give_back and held.token.reason is not StopReason.LEASE_LOST:
                self._release([held])
        except Exception as error:
            logger.exception("run.defect", execution=held.claim.execution.id, error=repr(error))
        finally:
            self._claimer.done(held)
            with self._rested:
                self._rested.notify_all()

    def _release(self, unrun: list[Held]) -> None:
        """Give claims back now; a database that is away learns it when their leases are over."""
        if not unrun:
            return
        named = [(held.claim.execution.id, held.claim.execution.fence) for held in unrun]
        try:
            with self._store.begin() as tx:
                claims.release(tx, worker=self.worker, claims=named)
        except DatabaseFailure as error:
            logger.warning("release.failed", executions=len(named), error=str(error).splitlines()[0])
