"""Python's collector of cycles, in a process that serves for long."""

import gc
from typing import Final

_YOUNG: Final = 5_000
"""Objects made since the last look; Python's own 700 are less than one request makes."""


def settle() -> None:
    """Say that the process is ready: what it imported and put together stays, and is not looked through again.

    A fifth of what a call over MCP costs was spent looking for cycles among objects that last as long as the process.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(_YOUNG)
    gc.enable()
