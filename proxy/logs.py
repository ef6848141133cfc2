"""The log of a process: one JSON object a line on stderr, for our own events and for those of the libraries alike.

Calls are not logged, they are recorded; a log line tells of the processes themselves. Secrets are taken out here, as
the last resort: what is logged should not hold any.
"""

import logging
import re
import sys
from collections.abc import MutableMapping
from typing import Any

import msgspec
import structlog

_SECRET_KEYS = re.compile(r"(?i)(password|passwd|secret|api[-_]?key|authorization|cookie|credential|(^|[-_])token$)")
_SECRET_TEXT = re.compile(
    r"(?i)\b(sk-[\w-]{6,}|(?:bearer|basic)\s+[\w.~+/=-]{6,}|eyJ[\w-]{8,}\.[\w.-]+)|(?<=://)[^/\s@]+(?=@)"
)
_REDACTED = "[redacted]"


def configure(process: str, *, level: int = logging.INFO) -> None:
    """Send structlog and the standard library's logging to stderr as JSON; `process` names this one on every line."""
    shared: list[structlog.typing.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True, key="at"),
        _named(process),
        structlog.processors.format_exc_info,
        redact,
    ]
    renderer = structlog.processors.JSONRenderer(serializer=_dump)
    structlog.configure(
        processors=[*shared, renderer],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.WriteLoggerFactory(file=sys.stderr),
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[structlog.stdlib.add_logger_name, *shared],
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, renderer],
        )
    )
    # Its every retry is a warning, and whoever uses it says what came of them; its level is set by a driver.
    handler.addFilter(lambda record: record.levelno >= logging.ERROR or not record.name.startswith("urllib3"))
    logging.basicConfig(handlers=[handler], level=max(level, logging.WARNING), force=True)
    logging.captureWarnings(capture=True)


def redact(_logger: Any, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Blank what a key calls a secret, and what looks like one inside a text."""
    for key, value in event.items():
        if _SECRET_KEYS.search(key) and value:
            event[key] = _REDACTED
        elif isinstance(value, str):
            event[key] = _SECRET_TEXT.sub(_REDACTED, value)
    return event


def _named(process: str) -> structlog.typing.Processor:
    def add(_logger: Any, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
        event["process"] = process
        return event

    return add


def _dump(event: Any, **_: Any) -> str:
    return msgspec.json.encode(event, enc_hook=repr).decode()
