"""`innominatus prune`: remove what is old from the database, beside whatever runs on it."""

from pathlib import Path

from cli import logs
from cli.compose import sealer_of
from engine.config import Settings
from engine.domain.parameters import parse_duration
from engine.errors import Invalid, Unavailable
from engine.services import retention
from engine.store import database, schema


def prune(settings: Settings, *, older_than: str, batch: int, dry_run: bool) -> dict[str, int]:
    """Rows per table that were removed, or would be. Raises Invalid for what is no time."""
    try:
        seconds = parse_duration(older_than)
    except ValueError as error:
        message = f"`{older_than}` is not a duration."
        raise Invalid(message, code="invalid_duration", hint="Write for example --older-than 90d.") from error
    if settings.embedded:
        _check_exists(settings.data_dir / "innominatus.db")
    logs.configure(form=settings.log_format, level=settings.log_level)
    store = database.open_store(settings.sqlalchemy_url, sealer_of(settings), pool_size=2)
    try:
        schema.check(store.engine)
        return retention.prune(store, older_than=seconds, batch=batch, trial=dry_run)
    finally:
        store.close()


def _check_exists(file: Path) -> None:
    if not file.exists():
        raise Unavailable(
            f"There is no database `{file}`.",
            code="no_database",
            hint="Name the data directory with --data-dir, or set INNOMINATUS_DATABASE_URL.",
        )
