"""`innominatus migrate`: the database's tables forward, back, or just looked at."""

from cli import data_dir, live
from engine.config import Settings
from engine.domain.values import JsonObject
from engine.store import schema
from engine.store.database import open_engine


def migrate(settings: Settings, *, down: str | None) -> None:
    """Bring the tables to this version, or back to `down`. In embedded mode no engine may be running."""
    data_dir.prepare(settings)
    if not settings.embedded:
        _migrate(settings, down)
        return
    with live.alone(settings.data_dir):
        _migrate(settings, down)


def _migrate(settings: Settings, down: str | None) -> None:
    if down is None:
        schema.upgrade(settings.sqlalchemy_url)
    else:
        schema.downgrade(settings.sqlalchemy_url, down)


def status(settings: Settings) -> JsonObject:
    """The version of the tables beside the one of this program. Writes nothing."""
    found = None
    if not settings.embedded or (settings.data_dir / "innominatus.db").exists():
        engine = open_engine(settings.sqlalchemy_url)
        try:
            found = schema.current(engine)
        finally:
            engine.dispose()
    return {
        "database": found or "no tables yet",
        "program": schema.HEAD,
        "state": "up to date" if found == schema.HEAD else "run `innominatus migrate`",
    }
