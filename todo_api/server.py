"""How `python -m todo_api` serves: by uvicorn, in one process or in several under a supervisor."""

import os
import signal
import socket
import sys
from contextlib import suppress
from multiprocessing import parent_process
from pathlib import Path
from threading import Thread
from time import monotonic
from typing import Any, Final

from uvicorn import Config, Server
from uvicorn.config import STARTUP_FAILURE
from uvicorn.supervisors import ChangeReload, Multiprocess
from uvicorn.supervisors.multiprocess import Process

from todo_api.http.connection import Protocol
from todo_api.logs import log_config, logger
from todo_api.settings import Settings

__all__ = ["Protocol", "serve"]

ORPHAN_TIMEOUT: Final = 1
"""Seconds that running requests may take to end when the supervisor was killed."""
LONGEST_PAUSE: Final = 30.0
"""Seconds until a worker that can't start is tried again; the first pause is a second, each next one twice as long."""
BACKLOG = 2048
"""Connections that wait to be accepted, and are accepted at once."""
BACKLOG_OF_FEW = 16
"""The same where the limit of open files is low, so that the database finds files."""


def serve(settings: Settings, host: str, port: int, workers: int, announcement: str, *, reload: bool = False) -> None:
    """Serve until a signal says to stop: let the running requests end, and raise that signal again.

    The announcement is printed when the port is bound.
    """
    served = Protocol.bounds.served
    is_limited = served < settings.max_connections
    config = WatchfulConfig(
        "todo_api.main:app",
        host=host,
        port=port,
        workers=workers,
        reload=reload,
        # Else it would look through the virtual environment too.
        reload_dirs=[str(Path(__file__).parent)] if reload else None,
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
    if reload:
        listening = config.bind_socket()
        announce(announcement)
        ChangeReload(config, Server(config).run, [listening]).run()
        return
    if workers == 1:
        config.load()
    # uvicorn shuts down in order and then raises the signal again, for which a process would end with a bad status.
    for stop in (signal.SIGINT, signal.SIGTERM):
        signal.signal(stop, lambda *_: sys.exit(0))
    if workers == 1:
        AnnouncedServer(config, announcement).run()
        return
    supervisor = Supervisor(config, [config.bind_socket()])
    announce(announcement)
    supervisor.run()
    if supervisor.failed:
        sys.exit(STARTUP_FAILURE)


def announce(line: str) -> None:
    """Print a line. A disk that is full is no reason not to serve, nor to end with a bad status."""
    if sys.stdout is not None:
        with suppress(OSError):
            os.write(sys.stdout.fileno(), f"{line}\n".encode())


class AnnouncedServer(Server):
    """uvicorn's, which prints a line when it serves."""

    def __init__(self, config: Config, announcement: str) -> None:
        super().__init__(config)
        self.announcement = announcement

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        announce(self.announcement)


class WatchfulConfig(Config):
    """uvicorn's, by which a worker ends with its supervisor: nobody would restart it, and it would hold the port."""

    def load(self) -> None:
        super().load()
        if (supervisor := parent_process()) is not None:
            Thread(target=self._end_with, args=(supervisor,), daemon=True).start()

    def _end_with(self, supervisor: Any) -> None:
        supervisor.join()
        self.timeout_graceful_shutdown = ORPHAN_TIMEOUT
        os.kill(os.getpid(), signal.SIGTERM)


class Supervisor(Multiprocess):
    """uvicorn's, which goes on when a worker can't start because the database is away.

    Only when none has ever served, the command ends: what keeps them all from starting is lasting.
    """

    def __init__(self, config: Config, sockets: list[socket.socket]) -> None:
        super().__init__(config, sockets)
        self.failed = False
        self._has_served = False
        self._pauses: dict[int, float] = {}
        self._resumes: dict[int, float] = {}
        """By the number of a worker that can't start: seconds until the next try, and when that is."""

    def keep_subprocess_alive(self) -> None:
        for number, worker in enumerate(self.processes):
            if worker.process.is_alive() and worker.is_ready(self.config.timeout_worker_healthcheck):
                self._has_served = True
                self._pauses.pop(number, None)
            elif not worker.is_alive(self.config.timeout_worker_healthcheck) and not self.should_exit.is_set():
                self._replace(number, worker)

    def _replace(self, number: int, worker: Process) -> None:
        worker.kill()  # it hangs, perhaps
        worker.join()
        if worker.exitcode == STARTUP_FAILURE:
            if not self._has_served:
                self.failed = True
                self.should_exit.set()
                return
            if number not in self._resumes:
                pause = self._pauses[number] = min(2 * self._pauses.get(number, 0.5), LONGEST_PAUSE)
                self._resumes[number] = monotonic() + pause
                logger.error("worker %d could not start; the next one starts in %.0f s", worker.pid, pause)
            if monotonic() < self._resumes[number]:
                return
        self._resumes.pop(number, None)
        self.processes[number] = Process(self.config, self.sockets)
        self.processes[number].start()

    def terminate_all(self) -> None:
        super().terminate_all()
        for listening in self.sockets:
            listening.close()  # uvicorn keeps it open while the workers end: clients would connect and never be heard
