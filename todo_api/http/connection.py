"""A connection with a client, with bounds that uvicorn lacks: on how many clients there are, and on how slow they are.

Of the parsers that uvicorn knows, zttp is the strictest, and as fast as the fastest: h11 runs what is smuggled behind
a body with two lengths, httptools loses the body of a request that asks for another protocol.
"""

import asyncio
import re
import socket
import struct
import sys
from http import HTTPStatus
from typing import Any, cast
from urllib.parse import unquote

import zttp

try:
    import fcntl
    import termios
except ImportError:  # on Windows
    fcntl = None  # type: ignore[assignment]
from starlette.exceptions import HTTPException
from uvicorn.protocols.http.flow_control import CLOSE_HEADER
from uvicorn.protocols.http.zttp_impl import ZttpProtocol

from todo_api.http.headers import complete, new_request_id
from todo_api.http.open_files import bounds
from todo_api.http.problem import ProblemResponse
from todo_api.http.problems import HeadTooLarge
from todo_api.http.room import PIECE
from todo_api.http.strict import MAX_HEAD_SIZE
from todo_api.settings import load_settings

LOOKS = 4
"""Checks of a connection in each time-out. A slow client is told within a quarter of the time-out."""
LAST_CALL = 1.0
"""Seconds that an idle connection stays open when the server ends: its client may be sending a request just then."""
FAREWELL = 2.0
"""Seconds that a client may take to read why it was refused."""
_ABSOLUTE = re.compile(rb"(https?)://([^/@]+)(/.*)?", re.IGNORECASE)


class Protocol(ZttpProtocol):
    """uvicorn's connection with a client, which is refused when there are too many or when it takes too long.

    A timer of the connection looks from time to time what the client is awaited for, so that a request costs nothing.
    """

    settings = load_settings()
    bounds = bounds(settings.max_connections)

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.patience: float = self.settings.request_timeout
        self.awaited: tuple[object, ...] = ()
        self.awaited_since = 0.0
        self.timer: asyncio.TimerHandle | None = None
        self.ending = False

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        transport.set_write_buffer_limits(PIECE)
        if len(self.connections) <= self.bounds.served:
            self.look()
        elif len(self.connections) <= self.bounds.open:
            self.refuse(HTTPException(503, "The server has as many connections as it may.", {"Retry-After": "1"}))
        else:
            self.cut()

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        self._unset_keepalive_if_required()  # which would hold the dead connection, and its last answer
        self.set_timer(None)

    def set_timer(self, timer: asyncio.TimerHandle | None) -> None:
        if self.timer is not None:
            self.timer.cancel()
        self.timer = timer

    def data_received(self, data: bytes) -> None:
        cycle = self.cycle
        if cycle is not None and not (cycle.response_complete or cycle.more_body):
            self.flow.pause_reading()  # it sends ahead: read on when this request is answered, which uvicorn sees to
        super().data_received(data)

    def eof_received(self) -> bool:  # type: ignore[override]  # asyncio's own signature
        """Keep a connection that the client has closed on its side alone until it has its answer."""
        cycle = self.cycle
        is_answering = cycle is not None and not cycle.response_complete and not cycle.more_body
        if is_answering and cycle is not None:
            cycle.keep_alive = False
        return is_answering

    def handle_events(self, event: zttp.Event) -> None:
        try:
            super().handle_events(event)
        except UnicodeDecodeError:
            raise zttp.RemoteProtocolError("a target that is not ASCII") from None
        if self.cycle is not None and self.scope["http_version"] == "1.0":
            self.cycle.keep_alive = False  # such a client would wait for an end that it is not told of
        if self.cycle is not None and self.cycle.more_body:
            self.cycle.transport = cast("asyncio.Transport", _Transport(self))

    def _should_upgrade(self) -> bool:
        # Asked once for each request, before the application sees it.
        self.scope["query_string"].decode("ascii")  # as uvicorn does it for the path; it would be taken for Latin-1
        if not self.scope["raw_path"].startswith(b"/"):
            self.resolve_target()
        return False  # HTTP/1.1 is all there is, and a request for more is answered in it (RFC 9110, section 7.8)

    def resolve_target(self) -> None:
        """Take an absolute target for the path and the host in it, whatever Host says (RFC 9112, section 3.2.2).

        One of another scheme or form is left as it is, and found nowhere.
        """
        scope = self.scope
        target = _ABSOLUTE.fullmatch(scope["raw_path"])
        if target is not None and target[1].lower() == scope["scheme"].encode():
            scope["raw_path"] = target[3] or b"/"
            scope["path"] = unquote(scope["raw_path"].decode())
            scope["headers"] = [(b"host", target[2]), *(each for each in self.headers if each[0] != b"host")]

    def handle_remote_protocol_error(self) -> None:
        reason = str(sys.exception())
        unreadable = HTTPException(400, f"This can't be read as a request: {reason}.")
        self.refuse(HeadTooLarge(MAX_HEAD_SIZE) if "size limit" in reason else unreadable)

    def look(self) -> None:
        """Refuse a client that has kept the server waiting for too long; else look again later."""
        awaited, now = self.what_is_awaited(), self.loop.time()
        if awaited != self.awaited:
            self.awaited, self.awaited_since = awaited, now
        elif awaited and now - self.awaited_since >= self.patience:
            if self.transport.get_write_buffer_size():
                self.cut()
            else:
                self.refuse(HTTPException(408, f"The request did not arrive within {self.patience:g} seconds."))
            return
        self.set_timer(self.loop.call_later(self.patience / LOOKS, self.look))

    def what_is_awaited(self) -> tuple[object, ...]:
        """What the client is to do: read on, or send on; nothing while a request runs or between two requests."""
        if unread := self.transport.get_write_buffer_size():
            return ("read", unread, self.unsent())
        cycle = self.cycle
        if self.timeout_keep_alive_task is not None:
            return ()
        if cycle is None or cycle.response_complete or cycle.more_body:
            return ("send", cycle, cycle is not None and cycle.response_complete)
        return ()

    def unsent(self) -> int:
        """The bytes that the system has and the client has not, which tell that a slow client goes on reading."""
        if fcntl is None:
            return 0
        handle = self.transport.get_extra_info("socket").fileno()
        return int.from_bytes(fcntl.ioctl(handle, termios.TIOCOUTQ, bytes(4)), sys.byteorder)

    def refuse(self, problem: HTTPException) -> None:
        """Answer in place of the application unless it has begun to, and end the connection."""
        self._unset_keepalive_if_required()
        cycle, request_id = self.cycle, new_request_id()
        if cycle is not None and not cycle.response_complete:
            request_id = cast("dict[str, Any]", cycle.scope).get("request_id", request_id)
            cycle.disconnected = True
            cycle.message_event.set()
        if cycle is None or not cycle.response_started or not (cycle.more_body or cycle.disconnected):
            response, status = ProblemResponse(problem), problem.status_code
            complete(response.raw_headers, request_id)
            fields = dict.fromkeys([*self.server_state.default_headers, *response.raw_headers, CLOSE_HEADER])
            head = [f"HTTP/1.1 {status} {HTTPStatus(status).phrase}".encode(), *map(b": ".join, fields), b"", b""]
            self.transport.write(b"\r\n".join(head) + bytes(response.body))
            host = self.client and self.client[0]
            said = {"request_id": request_id, "client": host, "status": status, "detail": problem.detail}
            self.logger.info("%(request_id)s of %(client)s refused: %(status)d %(detail)s", said)
        self.say_farewell()

    def say_farewell(self) -> None:
        """End the connection, though not at once: that would take the answer from a client that is still sending."""
        self.ending = True
        if self.transport.can_write_eof():
            self.transport.write_eof()
        self.transport.set_protocol(_Farewell(self))
        self.flow.resume_reading()
        self.set_timer(self.loop.call_later(FAREWELL, self.cut))

    def cut(self) -> None:
        """End the connection now; the system is not to keep what its client does not read."""
        at_once = struct.pack("ii", 1, 0)
        self.transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, at_once)
        self.transport.abort()

    def shutdown(self) -> None:
        """End the connection with the answer to the request that runs, arrives, or is already on its way."""
        if self.ending:
            return
        cycle = self.cycle
        for fields in [self.server_state.default_headers] + ([cycle.default_headers] if cycle is not None else []):
            if CLOSE_HEADER not in fields:
                fields.append(CLOSE_HEADER)
        if self.timeout_keep_alive_task is not None:
            self._unset_keepalive_if_required()
            self.timeout_keep_alive_task = self.loop.call_later(LAST_CALL, self.timeout_keep_alive_handler)
        if cycle is not None and not cycle.response_complete:
            cycle.keep_alive = False
            self.patience = min(self.patience, self.settings.shutdown_timeout / 2)
        else:
            self.patience = LAST_CALL
        self.look()


class _Farewell(asyncio.Protocol):
    """Reads what the client still sends, and forgets it."""

    def __init__(self, connection: Protocol) -> None:
        self.connection = connection

    def connection_lost(self, exc: Exception | None) -> None:
        self.connection.connection_lost(exc)


class _Transport:
    """A transport for an answer before the end of a request. It closes when the client could read the answer."""

    def __init__(self, connection: Protocol) -> None:
        self.connection = connection
        self.write = connection.transport.write
        self.is_closing = connection.transport.is_closing

    def close(self) -> None:
        if self.connection.cycle.more_body:
            self.connection.say_farewell()
        else:
            self.connection.transport.close()
