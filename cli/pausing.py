"""Why nothing is taken up: claiming is paused, or no worker is there. Who waits is told so, and what changes it."""

import time
from collections.abc import Callable

from cli.client import Api
from cli.session import Session
from cli.text import as_text, clean
from engine.domain.values import JsonObject
from engine.errors import InnominatusError

_AGAIN_SECONDS = 5.0


def told(found: JsonObject) -> str:
    """Who paused claiming, since when and why; empty while it goes on."""
    if not found.get("paused"):
        return ""
    since, reason = as_text(found.get("since"))[:19], as_text(found.get("reason"))
    return clean(f"Claiming is paused by {as_text(found.get('by'))} since {since}Z" + (f": {reason}" if reason else ""))


def why_nothing_happens(session: Session, api: Api) -> str:
    """As the server sees it, with the command that changes it; empty while work is taken up, or where it cannot say."""
    try:
        found = api.get("/api/admin/claiming")
    except InnominatusError:  # what was asked for does not fail for what stands beside it
        return ""
    if words := told(found):
        return f"{words}; go on: {session.command('admin', 'resume')}"
    unattended = clean(as_text(found.get("unattended")))
    return f"Nothing is taken up: {unattended}" if unattended else ""


class Watch:
    """Asks now and then while nothing new is seen, and says each cause once."""

    def __init__(self, session: Session, api: Api, say: Callable[[str], object]) -> None:
        self._session, self._api, self._say = session, api, say
        self._asked = 0.0
        self._said = ""

    def look(self) -> None:
        now = time.monotonic()
        if self._asked and now - self._asked < _AGAIN_SECONDS:
            return
        self._asked = now
        words = why_nothing_happens(self._session, self._api)
        if words and words != self._said:
            self._say(words)
        self._said = words
