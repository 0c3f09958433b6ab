"""How `python -m todo_api` serves: by uvicorn, in one process or in several under a supervisor."""

import signal
import socket
import sys

from uvicorn import Config, Server
from uvicorn.config import STARTUP_FAILURE
from uvicorn.supervisors import Multiprocess

from todo_api.http.connection import Protocol
from todo_api.logs import log_config, logger
from todo_api.settings import Settings

__all__ = ["Protocol", "serve"]

BACKLOG = 2048
"""Connections that wait to be accepted, and are accepted at once."""
BACKLOG_OF_FEW = 16
"""The same where the limit of open files is low, so that the database finds files."""


def serve(settings: Settings, host: str, port: int, workers: int, announcement: str) -> None:
    """Serve until a signal says to stop: let the running requests end, and raise that signal again.

    The announcement is printed when the port is bound.
    """
    served = Protocol.bounds.served
    is_limited = served < settings.max_connections
    config = Config(
        "todo_api.main:app",
        host=host,
        port=port,
        workers=workers,
        log_config=log_config(settings.log_format, settings.log_level),
        http="todo_api.server:Protocol",
        ws="none",
        server_header=False,
        proxy_headers=False,  # who is trusted, and with what, is our own setting
        timeout_keep_alive=settings.keep_alive,
        timeout_graceful_shutdown=settings.shutdown_timeout,
        backlog=BACKLOG_OF_FEW if is_limited else BACKLOG,
    )
    if is_limited:
        logger.warning(
            "each process serves %d connections, not the %d of TODO_MAX_CONNECTIONS: the limit of open files is lower",
            served,
            settings.max_connections,
        )
    if workers == 1:
        config.load()
    # uvicorn shuts down in order and then raises the signal again, for which a process would end with a bad status.
    for stop in (signal.SIGINT, signal.SIGTERM):
        signal.signal(stop, lambda *_: sys.exit(0))
    if workers == 1:
        AnnouncedServer(config, announcement).run()
        return
    supervisor = Supervisor(config, [config.bind_socket()])
    print(announcement, flush=True)
    supervisor.run()
    if any(process.exitcode == STARTUP_FAILURE for process in supervisor.processes):
        sys.exit(STARTUP_FAILURE)


class AnnouncedServer(Server):
    """uvicorn's, which prints a line when it serves."""

    def __init__(self, config: Config, announcement: str) -> None:
        super().__init__(config)
        self.announcement = announcement

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        print(self.announcement, flush=True)


class Supervisor(Multiprocess):
    """uvicorn's, which would keep the socket open while its workers end: clients would connect and never be heard."""

    def terminate_all(self) -> None:
        super().terminate_all()
        for listening in self.sockets:
            listening.close()
