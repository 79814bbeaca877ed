"""What the start of `innominatus mcp` leaves out, because a client waits for its first answer."""

import importlib
import sys

_PRETTY = ("rich", "pygments")


def without_colours() -> None:
    """Whoever would import a library that only colours terminals finds none, and does without: stdout is the protocol.

    structlog, mcp and alembic's mako ask for them at import and have a plainer way.
    """
    for name in _PRETTY:
        if name not in sys.modules:
            sys.modules[name] = None  # pyright: ignore[reportArgumentType] # how Python is told that there is none


def import_protocol() -> None:
    """Import MCP's models of every message in every version of the protocol, to be built when they are first used.

    A client uses a few of one version. The models that all versions share are built as ever: adapters need them whole.
    """
    import mcp_types
    from pydantic import BaseModel

    BaseModel.model_config["defer_build"] = True
    try:
        importlib.import_module(f"{mcp_types.__name__}.methods")
    finally:
        del BaseModel.model_config["defer_build"]
