"""The real command on a real socket."""

import asyncio
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path

import httpx2 as httpx

from tests.databases import ROOT
from todo_api.__main__ import free_port

OTHER_ROOT = "TODO_TEST_ROOT"
"""The variable that names the folder of the project, when it is another one."""
PATIENCE = 30
"""Seconds after which a process that has not done its work never will."""


def run(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run a command of this project to its end."""
    return subprocess.run(
        [sys.executable, "-m", *arguments],
        cwd=environment.get(OTHER_ROOT, ROOT),
        env=os.environ | environment,
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )


Call = tuple[str, str, object]
"""Method, path and body of a request."""


def at_once(
    client: httpx.Client, calls: Sequence[Call], headers: Mapping[str, str] | None = None
) -> list[httpx.Response]:
    """The answers to requests that are sent together, each by a connection of its own, to the server of a client."""

    async def send() -> list[httpx.Response]:
        limits = httpx.Limits(max_connections=len(calls))
        async with httpx.AsyncClient(
            base_url=client.base_url, headers=headers, limits=limits, timeout=PATIENCE
        ) as many:
            return await asyncio.gather(*(many.request(method, path, json=body) for method, path, body in calls))

    return asyncio.run(send())


class Server:
    """A running server, and what it printed."""

    def __init__(self, process: subprocess.Popen[bytes], output: Path) -> None:
        self.process = process
        self._output = output
        self.url = ""

    @property
    def output(self) -> str:
        return self._output.read_text()

    def wait_until_ready(self) -> None:
        deadline = time.monotonic() + PATIENCE
        while time.monotonic() < deadline:
            if self.process.poll() is not None:
                raise AssertionError(f"the server ended with {self.process.returncode}:\n{self.output}")
            if running := re.search(r"(?:Uvicorn running on|todo_api serves) (http://([^:]+):(\d+))", self.output):
                self.url = running[1]
                with suppress(ConnectionRefusedError), socket.create_connection((running[2], int(running[3]))):
                    return
            time.sleep(0.02)  # between two looks: nothing tells of a printed line or a socket that listens
        raise AssertionError(f"the server did not come up:\n{self.output}")

    def wait_until_said(self, words: str, times: int = 1) -> None:
        deadline = time.monotonic() + PATIENCE
        while self.output.count(words) < times:
            assert time.monotonic() < deadline, f"the server did not say {words!r}:\n{self.output}"
            time.sleep(0.01)  # between two looks: nothing tells of a printed line

    @property
    def address(self) -> tuple[str, int]:
        host, _, port = self.url.removeprefix("http://").rpartition(":")
        return host, int(port)

    def connect(self) -> socket.socket:
        return socket.create_connection(self.address, PATIENCE)

    def stop(self, how: signal.Signals = signal.SIGTERM) -> int:
        self.process.send_signal(how)
        return self.process.wait(PATIENCE)

    def kill(self) -> None:
        """End the server and its workers where they are."""
        os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait(PATIENCE)


@contextmanager
def starting(folder: Path, *command: str, before: Sequence[str] = (), **environment: str) -> Iterator[Server]:
    """A server that was started and may not be ready; it is killed in the end.

    `before` is a command that runs the one behind it.
    """
    output = folder / f"output-{time.monotonic_ns()}.txt"
    with output.open("wb") as file:
        process = subprocess.Popen(
            [*before, sys.executable, "-m", *(command or ("todo_api", "--port", "0"))],
            cwd=environment.get(OTHER_ROOT, ROOT),
            env=os.environ | environment,
            stdout=file,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    server = Server(process, output)
    try:
        yield server
    finally:
        if process.poll() is None:
            server.kill()


@contextmanager
def serving(
    folder: Path, *command: str, before: Sequence[str] = (), **environment: str
) -> Iterator[tuple[Server, httpx.Client]]:
    """A server that answers, and a client of it."""
    with starting(folder, *command, before=before, **environment) as server:
        server.wait_until_ready()
        with httpx.Client(base_url=server.url, timeout=PATIENCE) as client:
            yield server, client


HAPROXY = """
defaults
    mode http
    timeout connect 1s
    timeout client 30s
    timeout server 30s
    option redispatch 1
    {check}
frontend todos
    bind 127.0.0.1:{port}
    default_backend servers
backend servers
    default-server check inter 100 fall 1 rise 1
{servers}
"""


@contextmanager
def proxy(folder: Path, *servers: Server | int, check: str = "") -> Iterator[str]:
    """haproxy (from the Debian package of that name) in front of servers, or of ports where one may start; its URL."""
    port = free_port("127.0.0.1")
    addresses = [f"127.0.0.1:{each}" if isinstance(each, int) else each.url.removeprefix("http://") for each in servers]
    lines = [f"    server server{number} {address}" for number, address in enumerate(addresses)]
    configuration = folder / "haproxy.cfg"
    configuration.write_text(HAPROXY.format(port=port, check=check, servers="\n".join(lines)))
    process = subprocess.Popen(["/usr/sbin/haproxy", "-f", configuration])
    try:
        url = f"http://127.0.0.1:{port}"
        while True:
            with suppress(httpx.ConnectError):
                if httpx.get(f"{url}/todos").status_code == 200:
                    break
        yield url
    finally:
        process.terminate()
        process.wait(PATIENCE)


def exchange(server: Server, *pieces: bytes) -> bytes:
    """Send pieces of bytes over a new connection, each by itself; what comes back until the server ends it."""

    def send() -> None:
        for piece in pieces:
            connection.sendall(piece)

    with server.connect() as connection, ThreadPoolExecutor(1) as thread:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        sending = thread.submit(send)
        answer = receive(connection)
        sending.result()
        return answer


def receive(connection: socket.socket) -> bytes:
    """What comes until the server ends the connection."""
    return b"".join(iter(lambda: connection.recv(65536), b""))


def statuses(answers: bytes) -> list[int]:
    return [int(status) for status in re.findall(rb"HTTP/1\.1 (\d{3}) ", answers)]
