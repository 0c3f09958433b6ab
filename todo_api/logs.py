"""The log: one line for each request, and the lines of the server, in one form, on stderr."""

import json
import logging
import os
import time
from contextlib import suppress
from datetime import UTC, datetime
from queue import SimpleQueue
from threading import Event, Thread
from time import perf_counter
from typing import Any, Final, Literal

from starlette.types import Scope

logger = logging.getLogger("todo_api")

LogFormat = Literal["text", "json"]

CAUSE = "todo_api.cause"
"""Where a request's scope says why it failed: in words, or by an exception that nobody foresaw."""

STDERR: Final = 2
PIECE: Final = 4096
"""Bytes that a pipe takes in one piece, whoever else writes to it (PIPE_BUF of Linux)."""
MAX_WAITING: Final = 10_000
"""Lines that wait for a slow reader of the log."""
LOST: Final = "%d lines of the log were lost, as they were not read in time"
PAUSE: Final = 0.01
"""Seconds in which lines gather, so that the event loop is not interrupted for each."""
FAREWELL: Final = 0.5
"""Seconds that the end of the process waits for the reader of the log."""

_REQUEST = "%(request_id)s %(method)s %(route)s %(status)d %(duration_ms).1f ms"


def log_request(scope: Scope, status: int, started: float) -> None:
    """Log the one line of a request that has ended, with what made it fail; 7 µs, or none above the level info.

    Never the path, the query, a header or the body: all of them may hold what is secret.
    """
    cause = scope.get(CAUSE)
    level = logging.INFO if cause is None else logging.WARNING if status in (503, 507) else logging.ERROR
    if not logger.isEnabledFor(level):
        return
    members: dict[str, Any] = {
        "request_id": scope["request_id"],
        "method": scope["method"],
        "route": getattr(scope.get("route"), "path_format", "-"),
        "status": status,
        "duration_ms": round((perf_counter() - started) * 1000, 1),
    }
    if cause is None:
        logger.info(_REQUEST, members)
    elif isinstance(cause, BaseException):
        logger.error(_REQUEST, members, exc_info=cause)
    else:
        logger.log(level, _REQUEST + ": %(cause)s", members | {"cause": cause})


class TextFormatter(logging.Formatter):
    """A line for people: time, level, message."""

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802  # logging's own name
        return f"{_time(record)} {record.levelname:7} {record.message}"


class JsonFormatter(logging.Formatter):
    """A line for programs: a JSON object, with the members of a request where there is one."""

    def format(self, record: logging.LogRecord) -> str:
        members = record.args if isinstance(record.args, dict) else {"message": record.getMessage()}
        entry = {"time": _time(record), "level": record.levelname.lower(), **members}
        if record.exc_info:
            entry["traceback"] = self.formatException(record.exc_info)
        return json.dumps(entry)


_second: tuple[int, str] = (0, "")


def _time(record: logging.LogRecord) -> str:
    """RFC 3339 in UTC. The part up to the second is kept: to format it takes as long as all the rest of a line."""
    global _second
    second = int(record.created)
    if second != _second[0]:
        _second = second, datetime.fromtimestamp(second, UTC).strftime("%Y-%m-%dT%H:%M:%S")
    return f"{_second[1]}.{int(record.msecs):03d}Z"


class StderrHandler(logging.Handler):
    """Writes lines to stderr in a thread of its own: a reader that hangs holds up no request.

    Meanwhile lines wait, up to a number; further ones are lost, and counted.
    """

    def __init__(self) -> None:
        super().__init__()
        self._waiting: SimpleQueue[str | Event] = SimpleQueue()
        self._lost = 0
        Thread(target=self._write_all, name="log", daemon=True).start()

    def emit(self, record: logging.LogRecord) -> None:
        if self._waiting.qsize() < MAX_WAITING:
            self._waiting.put(self.format(record))
        else:
            self._lost += 1

    def close(self) -> None:
        """Write what waits, if that is soon done."""
        closed = Event()
        self._waiting.put(closed)
        closed.wait(FAREWELL)
        super().close()

    def _write_all(self) -> None:
        while True:
            taken = [self._waiting.get()]
            while not self._waiting.empty():
                taken.append(self._waiting.get())
            lines = [each for each in taken if isinstance(each, str)]
            if self._lost:
                lost, self._lost = self._lost, 0
                lines.append(self.format(logging.makeLogRecord(_LOST | {"args": (lost,)})))
            with suppress(OSError):  # the reader is gone
                _write(lines)
            for each in taken:
                if isinstance(each, Event):
                    each.set()
                    return
            time.sleep(PAUSE)


_LOST = {"name": logger.name, "levelno": logging.WARNING, "levelname": "WARNING", "msg": LOST}


def _write(lines: list[str]) -> None:
    """Write whole lines together, up to what a pipe takes in one piece: several processes may share it."""
    piece = b""
    for line in lines:
        encoded = line.encode(errors="backslashreplace") + b"\n"
        if piece and len(piece) + len(encoded) > PIECE:
            os.write(STDERR, piece)
            piece = b""
        piece += encoded
    while piece:
        piece = piece[os.write(STDERR, piece) :]


def log_config(form: LogFormat, level: str) -> dict[str, Any]:
    """The configuration of logging, for this process and for uvicorn, whose log of requests is off."""
    return {
        "version": 1,
        "disable_existing_loggers": False,
        "formatters": {"line": {"()": JsonFormatter if form == "json" else TextFormatter}},
        "handlers": {"stderr": {"()": StderrHandler, "formatter": "line"}},
        "loggers": {
            "todo_api": {"handlers": ["stderr"], "level": level.upper()},
            "uvicorn": {"handlers": ["stderr"], "level": level.upper(), "propagate": False},
            "uvicorn.access": {"handlers": [], "propagate": False},
        },
    }
