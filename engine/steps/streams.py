"""What a child process prints, bounded: lines for the log at a rate a log can keep, and a capture of head and tail."""

import re
import time
from collections.abc import Callable
from typing import Final

LINE_BYTES: Final = 16_384
CUT: Final = f" [line cut at {LINE_BYTES} bytes]"
"""The end of a line that was longer."""
_BURST: Final = 4_000_000.0
_PER_SECOND: Final = 1_000_000.0
_LINE_COST: Final = 60
"""A line costs its bytes and this: most of the work is per line. 60,000 short lines at once, then 15,000/s."""
_RING_BYTES: Final = 16_384

_ESCAPES = re.compile(r"\x1b(\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(\x07|\x1b\\)?|[@-Z\\^_])")
_CONTROLS = dict.fromkeys([*range(9), *range(10, 32), *range(127, 160)])


def clean(text: str) -> str:
    """One line as a log may show it: no terminal escapes, NULs or other controls: it cannot act on its reader."""
    if text.isprintable():
        return text
    if "\x1b" in text:
        text = _ESCAPES.sub("", text)
    return text.translate(_CONTROLS)


class Capture:
    """Keeps the first and the last half of `limit` bytes."""

    def __init__(self, limit: int) -> None:
        self._half = max(1, limit // 2)
        self._head = bytearray()
        self._tail = bytearray()
        self._after_head = 0

    def feed(self, chunk: bytes) -> None:
        room = self._half - len(self._head)
        if room > 0:
            self._head += chunk[:room]
            chunk = chunk[room:]
        if chunk:
            self._after_head += len(chunk)
            self._tail += chunk
            if len(self._tail) > 2 * self._half:
                del self._tail[: -self._half]

    @property
    def cut(self) -> bool:
        return self._after_head > self._half

    def text(self) -> str:
        """What was kept, decoded; where bytes are missing a line says how many."""
        if not self.cut:
            return (self._head + self._tail).decode("utf-8", "replace")
        left_out = self._after_head - self._half
        head, tail = (part.decode("utf-8", "replace") for part in (self._head, self._tail[-self._half :]))
        return f"{head}\n[{left_out} bytes left out]\n{tail}"


class Lines:
    """Cuts a byte stream into lines and passes them on, no faster than a log can use them.

    What comes faster is counted, and its last lines are passed on when the stream calms down or ends. Lines that hold
    `marker` always pass, so that a flood cannot swallow an output.
    """

    def __init__(self, emit: Callable[[str], None], *, marker: bytes) -> None:
        self._emit = emit
        self._marker = marker
        self._pending = bytearray()
        self._ring = b""
        self._skipped = 0
        self._tokens = _BURST
        self._refilled = time.monotonic()

    def feed(self, chunk: bytes) -> None:
        whole, newline, rest = chunk.rpartition(b"\n")
        if newline:
            self._block(bytes(self._pending) + whole)
            self._pending.clear()
        if len(self._pending) <= LINE_BYTES:
            self._pending += rest

    def idle(self) -> None:
        """Nothing came for a moment: show what was skipped."""
        if self._skipped:
            self._show_skipped()

    def end(self) -> None:
        if self._pending:
            self._block(bytes(self._pending))
            self._pending.clear()
        self.idle()

    def _block(self, block: bytes) -> None:
        count = block.count(b"\n") + 1
        if self._afford(len(block) + count * _LINE_COST):
            self.idle()
            for line in block.split(b"\n"):
                self._pass(line)
            return
        self._skipped += count
        self._ring = (self._ring + b"\n" + block)[-_RING_BYTES:]
        if self._marker in block:
            for line in block.split(b"\n"):
                if self._marker in line:
                    self._pass(line)

    def _show_skipped(self) -> None:
        _partial, _, kept = self._ring.partition(b"\n")
        lines = kept.split(b"\n") if kept else []
        left_out = self._skipped - len(lines)
        self._ring, self._skipped = b"", 0
        if left_out > 0:
            self._emit(f"[{left_out} lines left out: they came faster than a log can keep]")
        for line in lines:
            if self._marker not in line:
                self._pass(line)

    def _afford(self, cost: int) -> bool:
        now = time.monotonic()
        self._tokens = min(_BURST, self._tokens + (now - self._refilled) * _PER_SECOND)
        self._refilled = now
        if cost > self._tokens:
            return False
        self._tokens -= cost
        return True

    def _pass(self, line: bytes) -> None:
        text = line[:LINE_BYTES].decode("utf-8", "replace")
        if self._marker not in line:  # whoever reads an output must see what is wrong with it
            text = clean(text)
        self._emit(text if len(line) <= LINE_BYTES else text + CUT)
