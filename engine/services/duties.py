"""What the platform does by itself, again and again, in every process with an engine."""

from collections.abc import Callable, Mapping
from functools import partial

from engine.services.expiry import expire_due
from engine.services.platform import Platform
from engine.services.retention import Retention


def of_platform(platform: Platform) -> Mapping[str, Callable[[], object]]:
    """By name; each may be done by several processes at once."""
    settings = platform.settings
    found: dict[str, Callable[[], object]] = {"expiry": partial(expire_due, platform)}
    if settings.retention_days:
        found["retention"] = Retention(
            platform.store, days=settings.retention_days, batch=min(settings.sweep_batch, 2000)
        ).turn
    return found
