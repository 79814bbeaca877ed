"""How a server process logs: one line per event on stderr, JSON for machines, coloured for a person at a terminal."""

import logging
import sys
from collections.abc import Sequence

import structlog
from structlog.typing import EventDict, Processor, WrappedLogger

from engine.errors import Invalid

_QUIET = {"uvicorn.access": logging.CRITICAL, "httpx2": logging.WARNING, "alembic": logging.WARNING}


def configure(*, form: str, level: str) -> None:
    """`form` is auto, json or console; `level` is a name of `logging`. Libraries' own logs take the same way."""
    number = logging.getLevelNamesMapping().get(level.upper())
    if number is None:
        raise Invalid(
            f"There is no log level `{level}`.",
            code="invalid_setting",
            hint="INNOMINATUS_LOG_LEVEL is one of DEBUG, INFO, WARNING, ERROR, CRITICAL.",
        )
    console = form == "console" or (form == "auto" and sys.stderr.isatty())
    shared: Sequence[Processor] = (
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        _without_empty,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    )
    # A traceback with local variables would show secrets.
    ending: Sequence[Processor] = (
        (structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty(), exception_formatter=structlog.dev.plain_traceback),)
        if console
        else (structlog.processors.format_exc_info, structlog.processors.JSONRenderer())
    )
    structlog.configure(
        processors=[*shared, *ending],
        wrapper_class=structlog.make_filtering_bound_logger(number),
        logger_factory=structlog.WriteLoggerFactory(sys.stderr),
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(sys.stderr)
    strip = structlog.stdlib.ProcessorFormatter.remove_processors_meta
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(foreign_pre_chain=list(shared), processors=[strip, *ending])
    )
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(max(number, logging.WARNING))
    for name, least in _QUIET.items():
        logging.getLogger(name).setLevel(max(number, least))


def _without_empty(_logger: WrappedLogger, _method: str, line: EventDict) -> EventDict:
    """`error=None` in the line of what went well is noise."""
    return {name: value for name, value in line.items() if value is not None and value != ""}
