"""The composition root: settings become a running platform. Only here everyone is known."""

import os
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from typing import IO

import structlog

from cli import data_dir, live, waiting
from engine.config import Settings
from engine.domain.provider import Registry
from engine.errors import Conflict, Unavailable
from engine.providers.active import ActiveProviders
from engine.providers.loading import default_folders, load
from engine.runtime.engine import Engine
from engine.runtime.far_hints import FarHints
from engine.runtime.queue import Nudges
from engine.runtime.signals import Elsewhere, Sender
from engine.services import duties
from engine.services.platform import Platform, Relay
from engine.services.requests import PlatformRequests
from engine.store import bundles, database, events, facts, schema
from engine.store.database import Store
from engine.store.sealing import Sealer, key_from_file, parse_key

logger = structlog.get_logger()
_MOST_CONNECTIONS = 16
"""Threads ask the database for milliseconds at a time; a PostgreSQL admits a hundred connections from all processes."""
_PASSED = ("PATH", "HOME", "LANG", "LC_ALL", "TZ", "TMPDIR")


@dataclass(frozen=True)
class Running:
    """A platform, with its engine unless engines run elsewhere. `close` stops all of it."""

    platform: Platform
    engine: Engine | None
    nudges: Nudges | None
    lock: IO[str]
    hints: FarHints | None = None

    def close(self, *, grace: float | None = None) -> None:
        if self.engine is not None:
            self.engine.stop(grace=grace)
        if self.nudges is not None:
            self.nudges.stop()
        if self.hints is not None:
            self.hints.stop()
        self.platform.store.close()
        self.lock.close()


def sealer_of(settings: Settings) -> Sealer:
    """The platform's key: from the settings, or from a file in embedded mode."""
    given = settings.secret_key.get_secret_value()
    if given:
        return Sealer(parse_key(given))
    if not settings.embedded:
        raise Unavailable(
            "INNOMINATUS_SECRET_KEY is not set; API and workers on PostgreSQL must share one.",
            code="secret_key_missing",
            hint='Make one: python3 -c "import base64, os; print(base64.urlsafe_b64encode(os.urandom(32)).decode())"',
        )
    return Sealer(key_from_file(settings.data_dir / "secret.key"))


def open_store(settings: Settings) -> Store:
    """The database, as it stands: nothing has been asked of it yet."""
    return database.open_store(
        settings.sqlalchemy_url, sealer_of(settings), pool_size=min(settings.threads + 12, _MOST_CONNECTIONS)
    )


def activate_providers(store: Store, settings: Settings, *, stop: threading.Event | None = None) -> ActiveProviders:
    """Make sure of the database, then load the provider folders into it and the registry.

    A PostgreSQL that is not there yet, or goes away in between, is waited for. Raises Invalid with every problem of the
    folders, Unavailable or Conflict for a database that is not of use, and Stopped when `stop` is set meanwhile.
    """
    loaded = load(settings.provider_folders or default_folders())
    providers = loaded.checked()

    def activate() -> int:
        with schema.in_words(store.engine):
            _check_database(store, settings)
            with store.begin() as tx:
                return bundles.activate(tx, providers, loaded.archives)

    seconds = 0 if settings.embedded else settings.wait_seconds
    generation = waiting.for_database(activate, seconds=seconds, stop=stop)
    return ActiveProviders(store, Registry(providers, generation), settings.data_dir / "bundles")


def _check_database(store: Store, settings: Settings) -> None:
    """The tables are the code's and the key is theirs. Embedded mode migrates by itself, else a command does."""
    if not settings.embedded:
        schema.check(store.engine)
    elif schema.current(store.engine) != schema.HEAD:
        schema.upgrade(store.engine)
    with store.begin() as tx:
        facts.check_key(tx)
        if events.mend_order(tx):
            logger.info("timeline.mended", meaning="the database came from another server; its events keep their order")


def base_environment(environment: Mapping[str, str]) -> dict[str, str]:
    """What of the server's environment steps may see."""
    return {"PATH": os.defpath, **{name: environment[name] for name in _PASSED if name in environment}}


def start(
    settings: Settings, *, lock: IO[str] | None = None, run_engine: bool = True, stop: threading.Event | None = None
) -> Running:
    """Everything, running, on a data directory whose lock is taken unless the caller hands it over.

    Raises waiting.Stopped when `stop` is set while it waits for the database.
    """
    data_dir.prepare(settings)
    lock = lock or hold(settings)
    try:
        return _assemble(settings, lock, run_engine=run_engine and settings.engine, stop=stop)
    except BaseException:
        lock.close()
        raise


def hold(settings: Settings) -> IO[str]:
    """The lock of the data directory. Raises Conflict, which says where the one that has it is reached."""
    lock = live.take_lock(settings.data_dir, shared=not settings.embedded)
    if lock is not None:
        return lock
    found = live.find(settings.data_dir)
    where = f" and serves {found.url} (process {found.pid})" if found else ""
    raise Conflict(
        f"innominatus runs already: another engine holds the data directory `{settings.data_dir}`{where}.",
        code="data_dir_taken",
        hint=f"{'Use it, or stop it' if found else 'Stop it'}; a second one needs its own --data-dir and --port.",
    )


def _assemble(settings: Settings, lock: IO[str], *, run_engine: bool, stop: threading.Event | None) -> Running:
    store = open_store(settings)
    try:
        providers = activate_providers(store, settings, stop=stop)
    except BaseException:
        store.close()
        raise
    relay = Relay()
    platform = Platform(store, settings, providers, relay)
    nudges = Nudges(settings.redis_url) if settings.redis_url else None
    hints = _far_hints(store, settings.redis_url) if settings.redis_url else None
    engine = _engine(platform, nudges) if run_engine else None
    relay.connect(engine or Elsewhere(nudges))
    if engine is not None:
        engine.start()
    if nudges is not None:
        nudges.start(engine.offer if engine is not None else None)
    return Running(platform, engine, nudges, lock, hints)


def _far_hints(store: Store, redis_url: str) -> FarHints:
    far = FarHints(redis_url, store.hints, platform=store.sealer.fingerprint(b"innominatus hints"))
    far.start()
    return far


def _engine(platform: Platform, others: Sender | None) -> Engine:
    settings = platform.settings
    return Engine(
        platform.store,
        settings,
        platform.providers,
        PlatformRequests(platform),
        base_environment=base_environment(os.environ),
        others=others,
        duties=duties.of_platform(platform),
    )
