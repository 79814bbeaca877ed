"""What the platform does by itself, again and again, in every process with an engine."""

from collections.abc import Callable, Mapping
from functools import partial

from engine.services.expiry import expire_due
from engine.services.platform import Platform


def of_platform(platform: Platform) -> Mapping[str, Callable[[], object]]:
    """By name; each may be done by several processes at once."""
    return {"expiry": partial(expire_due, platform)}
