"""The composition root: settings become a running platform. Only here everyone is known."""

import fcntl
import os
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from typing import IO

from engine.config import Settings
from engine.domain.provider import Registry
from engine.errors import Conflict, Unavailable
from engine.providers.active import ActiveProviders
from engine.providers.loading import default_folders, load
from engine.runtime.engine import Engine
from engine.services.platform import Platform, Relay
from engine.services.requests import PlatformRequests
from engine.store import bundles, schema
from engine.store.database import Store, open_engine
from engine.store.sealing import Sealer, key_from_file, parse_key

_PASSED = ("PATH", "HOME", "LANG", "LC_ALL", "TZ", "TMPDIR")


@dataclass(frozen=True)
class Running:
    """A platform with its engine. `close` stops both."""

    platform: Platform
    engine: Engine
    lock: IO[str] | None

    def close(self, *, grace: float | None = None) -> None:
        self.engine.stop(grace=grace)
        self.platform.store.close()
        if self.lock is not None:
            self.lock.close()


def prepare_data_dir(settings: Settings) -> None:
    """The data directory, readable by its owner only. Raises Unavailable when it cannot be written."""
    try:
        settings.data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
        probe = settings.data_dir / f".probe-{secrets.token_hex(4)}"
        probe.touch()
        probe.unlink()
    except OSError as error:
        raise Unavailable(
            f"The data directory `{settings.data_dir}` cannot be written: {error.strerror}.",
            code="data_dir",
            hint="Free space or change its permissions, or name another one in INNOMINATUS_DATA_DIR.",
        ) from error


def take_lock(settings: Settings) -> IO[str] | None:
    """Hold the data directory's lock for this process; None when a live engine holds it."""
    file = (settings.data_dir / "engine.lock").open("a")
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        file.close()
        return None
    return file


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


def api_token(settings: Settings) -> str:
    """The bearer token: from the settings, or the file `token` in the data directory, made on first use."""
    given = settings.api_token.get_secret_value()
    if given:
        return given
    path = settings.data_dir / "token"
    known = path.read_text().strip() if path.exists() else ""
    if known:
        return known
    made = f"inn_{secrets.token_urlsafe(32)}"
    draft = path.with_name(f".token-{secrets.token_hex(4)}")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w") as file:
        file.write(f"{made}\n")
    # Whole or not at all: a token file cut short by a full disk or a kill would let everyone out, or in.
    draft.replace(path)
    return made


def open_store(settings: Settings) -> Store:
    """The database, at the code's schema: embedded mode migrates by itself, PostgreSQL says which command does."""
    engine = open_engine(settings.sqlalchemy_url, pool_size=settings.threads + 8)
    if settings.embedded:
        if schema.current(engine) != schema.HEAD:
            schema.upgrade(engine)
    else:
        schema.check(engine)
    return Store(engine, sealer_of(settings))


def activate_providers(store: Store, settings: Settings) -> ActiveProviders:
    """Load the provider folders into the database and the registry. Raises Invalid with every problem."""
    folders = settings.provider_folders or default_folders()
    loaded = load(folders)
    providers = loaded.checked()
    with store.begin() as tx:
        generation = bundles.activate(tx, providers, loaded.archives)
    return ActiveProviders(store, Registry(providers, generation), settings.data_dir / "bundles")


def base_environment(environment: Mapping[str, str]) -> dict[str, str]:
    """What of the server's environment steps may see."""
    return {"PATH": os.defpath, **{name: environment[name] for name in _PASSED if name in environment}}


def start(settings: Settings, *, lock: IO[str] | None = None, run_engine: bool = True) -> Running:
    """Everything, running. In embedded mode the caller holds `lock`."""
    prepare_data_dir(settings)
    if settings.embedded and lock is None:
        lock = take_lock(settings)
        if lock is None:
            raise Conflict(
                f"Another engine holds the data directory `{settings.data_dir}`.",
                code="data_dir_taken",
                hint="Stop it, or give this one another INNOMINATUS_DATA_DIR.",
            )
    try:
        platform, engine = _assemble(settings)
    except BaseException:
        if lock is not None:
            lock.close()
        raise
    if run_engine:
        engine.start()
    return Running(platform, engine, lock)


def _assemble(settings: Settings) -> tuple[Platform, Engine]:
    store = open_store(settings)
    try:
        providers = activate_providers(store, settings)
    except BaseException:
        store.close()
        raise
    relay = Relay()
    platform = Platform(store, settings, providers, relay)
    engine = Engine(
        store,
        settings,
        providers,
        PlatformRequests(platform),
        base_environment=base_environment(os.environ),
    )
    relay.connect(engine)
    return platform, engine
