"""Repeats what was lost and starts what came due: at intervals, and by an alarm for the earliest sleeper."""

from collections.abc import Callable

import structlog

from engine.config import Settings
from engine.providers.active import ActiveProviders
from engine.runtime.alarm import Alarm
from engine.store import repair
from engine.store.away import DatabaseFailure, in_short
from engine.store.database import Store

logger = structlog.get_logger()
_AFTER_SECONDS = 0.002
"""The alarm rings a little late rather than a little early."""


class Sweeper:
    """One per engine. `sweep` is called at intervals; `nudge` tells the engine that there may be work."""

    def __init__(
        self, store: Store, providers: ActiveProviders, settings: Settings, *, nudge: Callable[[], None]
    ) -> None:
        self._store = store
        self._providers = providers
        self._batch = settings.sweep_batch
        self._health_seconds = settings.health_seconds
        self._nudge = nudge
        self._alarm = Alarm(self._ring)

    def start(self) -> None:
        """Set the alarm, and ask how everything is that was made before. A database that is away is asked later."""
        self._alarm.start()
        try:
            self._check_health(older_than=0)
        except DatabaseFailure as error:
            logger.warning("health.failed", error=in_short(error))
        self.set_alarm()

    def stop(self) -> None:
        self._alarm.stop()

    def sweep(self) -> None:
        with self._store.begin() as tx:
            found = repair.start_forgotten(tx, limit=self._batch)
            found += repair.wake_forgotten(tx, limit=self._batch)
            repair.fail_orphans(tx, limit=self._batch)
            repair.drop_old_keys(tx)
            repair.count_events(tx, limit=100 * self._batch)
        self._check_health(older_than=self._health_seconds)
        self._look_ahead()
        self._nudge()

    def set_alarm(self) -> None:
        """Ring when the earliest execution that sleeps is due; the next sweep sets it when the database is away."""
        try:
            self._look_ahead()
        except DatabaseFailure as error:
            logger.warning("alarm.failed", error=in_short(error))

    def _look_ahead(self) -> None:
        with self._store.read() as tx:
            seconds = repair.next_due(tx)
        if seconds is not None:
            self._alarm.set(seconds + _AFTER_SECONDS)

    def _check_health(self, *, older_than: float) -> None:
        if not self._health_seconds:
            return
        with self._store.begin() as tx:
            queued = repair.queue_health_checks(
                tx, older_than=older_than, choose=self._providers.choose, limit=self._batch
            )
        if queued:
            self._nudge()

    def _ring(self) -> None:
        """Somebody's sleep is over; the alarm is set for whoever sleeps longer."""
        self._nudge()
        self.set_alarm()
