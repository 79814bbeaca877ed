"""`innominatus prune`: remove what is old from the database, beside whatever runs on it."""

import re
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cli import logs
from cli.compose import sealer_of
from engine.config import Settings
from engine.domain.parameters import parse_duration
from engine.errors import Invalid, Unavailable
from engine.services import retention
from engine.store import database, schema

Counts = dict[str, int]
"""Rows per table."""


@dataclass(frozen=True, slots=True)
class Pruning:
    """What is to go, by a moment: so what a person has agreed to is what goes, however long the answer took."""

    before: datetime
    batch: int

    @property
    def cut_off(self) -> str:
        return f"older than {self.before:%Y-%m-%d %H:%M} UTC"

    def counts(self, settings: Settings) -> Counts:
        """What would be removed now."""
        return self._run(settings, trial=True)

    def remove(self, settings: Settings) -> Counts:
        return self._run(settings, trial=False)

    def _run(self, settings: Settings, *, trial: bool) -> Counts:
        if settings.embedded:
            _check_exists(settings.data_dir / "innominatus.db")
        logs.configure(form=settings.log_format, level=settings.log_level)
        with closing(database.open_store(settings.sqlalchemy_url, sealer_of(settings), pool_size=2)) as store:
            schema.check(store.engine)
            seconds = (datetime.now(UTC) - self.before).total_seconds()
            return retention.prune(store, older_than=seconds, batch=self.batch, trial=trial)


def _seconds(older_than: str) -> float:
    """Raises Invalid for what is no time, and for a number alone: who writes 90 means days, not seconds."""
    text = older_than.strip()
    if re.fullmatch(r"[0-9]+(\.[0-9]+)?", text):
        hint = f"For days, write `{text}d`; for hours, `{text}h`."
        raise Invalid(f"`{text}` has no unit.", code="invalid_duration", hint=hint)
    try:
        return parse_duration(text)
    except ValueError as error:
        message = f"`{older_than}` is not a duration."
        raise Invalid(message, code="invalid_duration", hint="Write for example --older-than 90d.") from error


def plan(*, older_than: str, batch: int) -> Pruning:
    """Raises Invalid for what is no time."""
    return Pruning(datetime.now(UTC) - timedelta(seconds=_seconds(older_than)), batch)


def _check_exists(file: Path) -> None:
    if not file.exists():
        raise Unavailable(
            f"There is no database `{file}`.",
            code="no_database",
            hint="Name the data directory with --data-dir, or set INNOMINATUS_DATABASE_URL.",
        )
