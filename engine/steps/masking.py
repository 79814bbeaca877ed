"""Hides secrets in everything people and models read."""

import base64
import json
import re
import shlex
import threading
from collections.abc import Iterable, Iterator
from typing import Final
from urllib.parse import quote, quote_plus

from engine.domain.values import Json
from engine.steps.streams import clean

MASK: Final = "***"
_SUBSTRING: Final = 4
"""Shorter secrets are hidden only where they stand alone: hiding every `a` would hide the text, not the secret."""
_ENCODED: Final = 6
"""Shorter values are not looked for inside base64, where their few letters would match by chance."""


class Masker:
    """Replaces every value added to it by `***`: as it is, line by line, and in base64, URL, JSON and shell form.

    Thread safe. A value stays masked from `add` on; nothing is ever taken out.
    """

    def __init__(self, values: Iterable[str] = ()) -> None:
        self._lock = threading.Lock()
        self._forms: frozenset[str] = frozenset()
        for value in values:
            self.add(value)

    def add(self, value: str) -> None:
        """Mask `value` from now on. Blank values are passed over."""
        with self._lock:
            self._forms |= {form for form in _forms(value) if form.strip()}

    def add_all(self, value: Json) -> None:
        """Mask every text and number in a value."""
        if isinstance(value, dict):
            for inner in value.values():
                self.add_all(inner)
        elif isinstance(value, list):
            for inner in value:
                self.add_all(inner)
        elif value is not None and not isinstance(value, bool):
            self.add(str(value))

    @property
    def idle(self) -> bool:
        """True while there is nothing to mask."""
        return not self._forms

    def mask(self, text: str) -> str:
        # looking for each form is far quicker than one large pattern: most lines hold none
        hits = [form for form in self._forms if form in text]
        for form in sorted(hits, key=lambda form: (-len(form), form)):
            if len(form) >= _SUBSTRING:
                text = text.replace(form, MASK)
            else:
                text = re.sub(rf"(?<!\w){re.escape(form)}(?!\w)", MASK, text)
        return text


def _forms(value: str) -> Iterator[str]:
    yield value
    lines = [line.strip() for line in value.splitlines()]
    if len(lines) > 1:
        yield from (line for line in lines if len(line) >= _SUBSTRING)
    stripped = value.strip()
    for text in {value, stripped}:
        yield clean(text)
        yield quote(text, safe="", errors="replace")
        yield quote(text, errors="replace")
        yield quote_plus(text, errors="replace")
        yield json.dumps(text)[1:-1]
        yield json.dumps(text, ensure_ascii=False)[1:-1]
        yield shlex.quote(text)
    raw = stripped.encode("utf-8", "replace")
    if len(raw) >= _ENCODED:
        yield from _base64_forms(raw)


def _base64_forms(raw: bytes) -> Iterator[str]:
    """The letters that stand for `raw` in base64 wherever it begins, as in `user:password` of basic authentication."""
    for offset in range(3):
        first = -(-offset * 8 // 6)
        last = (offset + len(raw)) * 8 // 6
        for encode in (base64.b64encode, base64.urlsafe_b64encode):
            yield encode(b"\0" * offset + raw).decode()[first:last]
