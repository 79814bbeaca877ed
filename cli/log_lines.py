"""The log of an execution, printed as it grows."""

import time
from collections.abc import Callable

from cli.changes import log_socket, messages
from cli.client import Api
from cli.text import as_number, as_object, as_objects, as_text, clean, shown
from engine.domain.values import JsonObject
from engine.errors import Unavailable

_PAUSE = 0.5
_ENDED = frozenset({"succeeded", "failed", "cancelled"})
_Place = tuple[int, int]


class LogLines:
    """Gives on each piece of a log once, also when it is told again from its beginning."""

    def __init__(self, say: Callable[[JsonObject, str], object], *, step: str | None = None) -> None:
        """`say` is given the attempt of a step and the text that is new in its log."""
        self._say = say
        self._step = step
        self._said: dict[_Place, int] = {}
        self._told: dict[_Place, int] = {}

    def again(self) -> None:
        """What comes now is told from the beginning."""
        self._told.clear()

    def add(self, attempt: JsonObject, text: str) -> None:
        if self._step is not None and attempt.get("step_name") != self._step:
            return
        place = as_number(attempt.get("step_number")), as_number(attempt.get("attempt"))
        start = self._told.get(place, 0)
        self._told[place] = start + len(text)
        new = text[max(0, self._said.get(place, 0) - start) :]
        if new:
            self._said[place] = self._told[place]
            self._say(attempt, new)


def plainly(say: Callable[[str], object]) -> Callable[[JsonObject, str], None]:
    """For people: a line says whose log it is whenever that changes."""
    title = ""

    def piece(attempt: JsonObject, text: str) -> None:
        nonlocal title
        now = f"--- {shown(attempt.get('step_name'))} (attempt {shown(attempt.get('attempt'))})"
        if now != title:
            title = now
            say(title)
        say(clean(text).rstrip("\n"))

    return piece


def follow(api: Api, execution_id: int, lines: LogLines) -> JsonObject:
    """Until the execution has ended; returns it.

    Where the server has no live log, or it breaks off, the log is asked for now and then.
    """
    while True:
        try:
            with log_socket(api, execution_id) as connection:
                lines.again()
                for message in messages(connection):
                    if message.get("type") == "log":
                        lines.add(message, as_text(message.get("text")))
                    elif message.get("type") == "end":
                        return as_object(message.get("execution"))
        except Unavailable:
            pass
        found = api.get(f"/api/workflows/{execution_id}")
        lines.again()
        for item in as_objects(api.get(f"/api/workflows/{execution_id}/logs").get("items")):
            lines.add(item, as_text(item.get("output_logs")))
        if as_text(found.get("status")) in _ENDED:
            return found
        time.sleep(_PAUSE)
