"""Configure logging: once per process, from the composition root and the command line. Rooms use `logging` as it is.

INVARIANT: no log line holds what a record, a query or a token says. An exception's message may quote any of them (a
database driver quotes the row), so of an exception only its type and the lines of our code are written.
"""

from __future__ import annotations

import logging
import sys
import traceback
from datetime import UTC, datetime
from types import TracebackType
from typing import IO

_FACTS = ("method", "route", "status", "ms", "request_id", "client_id")
_ROOT = "fhir_server"
_REQUEST = "request"
_ExcInfo = tuple[type[BaseException], BaseException, TracebackType | None]


def configure(level: str, form: str, *, messages: bool = False, stream: IO[str] | None = None) -> None:
    """Write log lines to standard error.

    Args:
        level: `DEBUG`, `INFO`, `WARNING` or `ERROR`, for our own loggers; libraries are heard from `WARNING` on, since
            some of them log statements and headers below.
        form: `console` or `json`, one object per line.
        messages: Write the messages of exceptions too; only where there is no real record.
        stream: Instead of standard error.
    """
    import orjson  # noqa: PLC0415 - as structlog
    import structlog  # noqa: PLC0415 - slow to import; most commands log nothing

    def tell(exc_info: _ExcInfo) -> str:
        return _told(exc_info[1], messages=messages)

    out = stream or sys.stderr
    renderer: structlog.typing.Processor
    if form == "json":
        renderer = structlog.processors.JSONRenderer(
            serializer=lambda event, **_: orjson.dumps(event, default=str).decode()
        )
    else:
        renderer = structlog.dev.ConsoleRenderer(
            colors=out.isatty(), sort_keys=False, exception_formatter=structlog.dev.plain_traceback
        )
    handler = logging.StreamHandler(out)
    general = structlog.stdlib.ProcessorFormatter(
        foreign_pre_chain=[
            structlog.stdlib.add_log_level,
            structlog.stdlib.add_logger_name,
            structlog.stdlib.ExtraAdder(_FACTS),
            structlog.processors.TimeStamper(fmt="iso", utc=True),
        ],
        processors=[
            structlog.stdlib.ProcessorFormatter.remove_processors_meta,
            structlog.processors.ExceptionRenderer(tell),
            renderer,
        ],
    )
    handler.setFormatter(_RequestLines(general) if form == "json" else general)
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(logging.WARNING)
    logging.getLogger(_ROOT).setLevel(level)


class _RequestLines(logging.Formatter):
    """Writes the line of a request, of which there are thousands a second, without the steps that others need."""

    def __init__(self, general: logging.Formatter) -> None:
        """Leave every other line to a formatter."""
        super().__init__()
        self._general = general

    def format(self, record: logging.LogRecord) -> str:
        """Return the line."""
        if record.msg != _REQUEST or record.args or record.exc_info:
            return self._general.format(record)
        import orjson  # noqa: PLC0415 - as in `configure`

        found = record.__dict__
        facts = {name: found[name] for name in _FACTS if name in found}
        at = datetime.fromtimestamp(record.created, UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")
        about = {"event": _REQUEST, "level": record.levelname.lower(), "logger": record.name}
        return orjson.dumps({**facts, **about, "timestamp": at}, default=str).decode()


def _told(error: BaseException, *, messages: bool) -> str:
    """Return an exception and its causes, the first cause first, as `traceback` orders them."""
    parts: list[str] = []
    seen: set[int] = set()
    current: BaseException | None = error
    while current is not None and id(current) not in seen:
        seen.add(id(current))
        frames = "".join(traceback.format_tb(current.__traceback__))
        name = f"{type(current).__module__}.{type(current).__qualname__}"
        parts.append(f"{frames}{name}{f': {current}' if messages else ''}")
        current = current.__cause__ or (None if current.__suppress_context__ else current.__context__)
    return "\n".join(reversed(parts))
