"""How a place in a document is written for people."""

import re
from collections.abc import Iterable

Path = tuple[str | int, ...]
"""Keys and list positions (from 0) from the root."""

_PLAIN_KEY = re.compile(r"[A-Za-z0-9_-]+")


def dotted(path: Iterable[str | int]) -> str:
    """`containers.main.args[0]`; keys that hold more than letters, digits, `_` and `-` are quoted."""
    written = ""
    for part in path:
        if isinstance(part, int):
            written += f"[{part}]"
        elif _PLAIN_KEY.fullmatch(part):
            written += f".{part}" if written else part
        else:
            written += f'["{shortened(part)}"]'
    return written


def shortened(text: str, *, most: int = 80) -> str:
    """The text for use in a message: one line, not longer than `most`."""
    line = text.encode("unicode_escape").decode("ascii") if not text.isprintable() else text
    return line if len(line) <= most else line[: most - 1] + "…"
