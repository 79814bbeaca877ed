"""The engine of one process: claims executions and runs them on worker threads, keeps leases, sweeps, stops cleanly."""

import secrets
import socket
import threading
import time
from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager

import structlog

from engine.config import Settings
from engine.domain.values import ExecutionId
from engine.providers.active import ActiveProviders
from engine.runtime.background import Repeating
from engine.runtime.bench import Bench
from engine.runtime.cancellation import StopReason
from engine.runtime.claimer import Claimer, Held
from engine.runtime.ender import Ender
from engine.runtime.heartbeat import Heartbeat
from engine.runtime.ledger import Abandoned
from engine.runtime.live_logs import LiveLogs
from engine.runtime.places import Places
from engine.runtime.queue import LocalQueue
from engine.runtime.requests import Requests
from engine.runtime.run import Run
from engine.runtime.signals import Sender
from engine.runtime.sweeper import Sweeper
from engine.runtime.turns import Carrying, Turns
from engine.runtime.warden_client import WardenClient
from engine.runtime.workshop import Workshop
from engine.runtime.workspace import Workspaces
from engine.store import claims
from engine.store.away import DatabaseFailure, in_short
from engine.store.database import Store, Transaction
from engine.store.journal import Journal

logger = structlog.get_logger()
_LOG_FLUSH_SECONDS = 0.5
_MISSED_SWEEPS = 3
"""After so many, and a lease more, an engine that has not swept counts as not working."""


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
        duties: Mapping[str, Callable[[], object]] | None = None,
    ) -> None:
        """`others` wakes the engines of other processes when there is more to do than this one can take on.

        `duties` are done as often as a sweep, each on a thread of its own: one that fails holds up no other.
        """
        self.worker = f"{socket.gethostname()}-{secrets.token_hex(4)}"
        self._store = store
        self._settings = settings
        self._warden = WardenClient()
        self._queue = LocalQueue(self._work, threads=settings.threads)
        self._claimer = _claimer(store, settings, self.worker)
        self._journal = Journal(
            store.by_keys,
            choose=providers.choose,
            refill=self._claimer,
            woken=self.nudge,
            lost=self._claimer.database_was_lost,
        )
        self._turns = Turns(self._journal, self._claimer, begin=self._carry, wake=self._queue.nudge, others=others)
        self._ender = Ender(self._claimer, lambda held: self._turns.carry_alone(self._carry(held)))
        self._heartbeat = _heartbeat(store, settings, self.worker, self._claimer, self._warden)
        self._sweeper = Sweeper(store.by_keys, providers, settings, nudge=self.nudge)
        self._logs = LiveLogs(store)
        self._bench = self._equipped(providers, requests, base_environment)
        self._beating = Repeating("heartbeat", self._heartbeat.beat, seconds=min(settings.lease_seconds / 3, 1.0))
        self._background = [
            self._beating,
            Repeating("sweep", self.sweep, seconds=settings.sweep_seconds),
            Repeating("logs", self._logs.flush, seconds=_LOG_FLUSH_SECONDS),
            *(Repeating(name, duty, seconds=settings.sweep_seconds) for name, duty in (duties or {}).items()),
        ]
        self._rested = threading.Condition()
        self._swept = time.monotonic()
        self._at_work = False

    def _equipped(self, providers: ActiveProviders, requests: Requests, base_environment: Mapping[str, str]) -> Bench:
        """What every run of this process works with."""
        settings = self._settings
        places = Places(settings.data_dir)
        workshop = Workshop(
            workspaces=Workspaces(places.workspaces, artifact_bytes=settings.artifact_bytes),
            warden=self._warden,
            base_environment=base_environment,
            provider_data=places.provider_data,
            program_deadline=self._heartbeat.deadline,
            step_timeout=settings.step_timeout_seconds,
            log_bytes=settings.step_log_bytes,
            output_bytes=settings.step_output_bytes,
        )
        return Bench(
            store=self._store,
            providers=providers,
            requests=requests,
            workshop=workshop,
            place=places.here(),
            live_logs=self._logs.register,
            cancelled=self.cancel,
            aside=self._turns.aside,
        )

    def start(self) -> None:
        """Take up whatever is ready, this process's unfinished work of before included."""
        self._swept = time.monotonic()
        self._warden.start()
        self._queue.start()
        for thread in self._background:
            thread.start()
        self._ender.start()
        self._sweeper.start()
        self._at_work = True
        self.nudge()

    @property
    def ailing(self) -> str:
        """Why this engine does not work; empty while it does. Names no address, no user and no value."""
        if dead := [thread.name for thread in self._background if not thread.alive]:
            return f"the engine's {' and '.join(dead)} stopped"
        if why := self._journal.waits_because:
            return f"records wait, because {why}"
        if why := self._beating.fails_because:
            return f"leases are not kept, because {why}"
        since = time.monotonic() - self._swept
        patience = _MISSED_SWEEPS * self._settings.sweep_seconds + self._settings.lease_seconds
        return f"the engine's last whole sweep was {since:.0f} s ago" if since > patience else ""

    def nudge(self) -> None:
        """There may be executions to claim. One thread is woken; it wakes others as they are needed."""
        self._claimer.hope()
        self._turns.rouse()

    @contextmanager
    def beginning(self) -> Generator[Callable[[Transaction], None]]:
        """Around a transaction that makes executions ready; what it gives claims them: that costs none of its own."""
        if not self._at_work:
            yield lambda _: None
            self.nudge()
            return
        with self._claimer.booking() as book:
            yield book
        if self._at_work:
            self._turns.rouse()
        else:
            self._release(self._claimer.close())

    def offer(self) -> bool:
        """As `nudge` or `cancel`, from another process. False when all threads are taken."""
        self.nudge()
        has_room = self._claimer.has_room
        if not has_room:  # else whoever claims takes what is cancelled first
            self._ender.wake()
        return has_room

    def cancel(self, execution_id: ExecutionId, attempt: int | None = None) -> None:
        """Stop a run of this process now, or end one that is queued or asleep, though all threads be taken."""
        self._claimer.cancel(execution_id, attempt)
        self._ender.wake()

    def stop(self, *, grace: float | None = None) -> None:
        """Claim nothing more, give running steps `grace` seconds, then stop the rest; it goes on at the next start."""
        grace = self._settings.grace_seconds if grace is None else grace
        self._at_work = False
        self._release(self._claimer.close())
        for held in self._claimer.held():
            held.token.draining = True
        deadline = time.monotonic() + grace
        with self._rested:
            while not self._claimer.idle and (left := deadline - time.monotonic()) > 0:
                self._rested.wait(left)
        for held in self._claimer.held():
            held.token.set(StopReason.STOPPING)
        self._sweeper.stop()
        for thread in self._background:
            thread.stop()
        self._journal.stop()
        self._ender.stop()
        self._turns.close()
        self._queue.stop(timeout=5.0)
        self._warden.stop()
        self._release(self._claimer.close())  # claimed by the journal's last commits
        self._flush_logs()

    def sweep(self) -> None:
        """Repeat whatever was lost and start what came due."""
        self._ender.wake()
        self._sweeper.sweep()
        self._swept = time.monotonic()

    def _work(self) -> None:
        self._turns.work()

    def _carry(self, held: Held) -> Carrying:
        """The run of a claim, to its rest."""
        asleep = False
        try:
            asleep = yield from Run(self._bench, held.claim, held.token).go()
        except Abandoned as left:
            if left.give_back and held.token.reason is not StopReason.LEASE_LOST:
                self._release([held])
        except Exception as error:
            logger.exception("run.defect", execution=held.claim.execution.id, error=repr(error))
        finally:
            self._claimer.done(held)
            with self._rested:
                self._rested.notify_all()
        if asleep:  # what it waits for may be over already, and nobody could claim it while it was held
            self._sweeper.set_alarm()
            self.nudge()

    def _release(self, unrun: list[Held]) -> None:
        """Give claims back now; a database that is away learns it when their leases are over."""
        if not unrun:
            return
        named = [(held.claim.execution.id, held.claim.execution.fence) for held in unrun]
        try:
            with self._store.begin() as tx:
                claims.release(tx, worker=self.worker, claims=named)
        except DatabaseFailure as error:
            logger.warning("release.failed", executions=len(named), error=in_short(error))

    def _flush_logs(self) -> None:
        try:
            self._logs.flush()
        except DatabaseFailure as error:
            logger.warning("logs.lost", error=in_short(error))


def _claimer(store: Store, settings: Settings, worker: str) -> Claimer:
    return Claimer(
        store.by_keys,
        worker=worker,
        threads=settings.threads,
        cap=settings.max_concurrent_per_application,
        most=settings.max_concurrent_workflows,
        lease=settings.lease_seconds,
    )


def _heartbeat(store: Store, settings: Settings, worker: str, claimer: Claimer, warden: WardenClient) -> Heartbeat:
    """In embedded mode no other engine can take over what this one runs."""
    return Heartbeat(
        store.by_keys, claimer, warden, worker=worker, lease=settings.lease_seconds, alone=settings.embedded
    )
