"""PostgreSQL as Debian packages it: another version than the one of the other tests, with TLS."""

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from todo_api.__main__ import free_port

BINARIES = max(Path("/usr/lib/postgresql").glob("*/bin"), default=Path("/usr/lib/postgresql"))
USER = "postgres" if os.getuid() == 0 else None
"""Who runs the programs of a server: root may not."""


def run(*command: str | Path, folder: Path) -> str:
    done = subprocess.run(command, cwd=folder, user=USER, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@contextmanager
def open_folder() -> Iterator[Path]:
    """A folder that the servers may use."""
    folder = Path(tempfile.mkdtemp(prefix="todo-api-debian-"))
    if USER:
        shutil.chown(folder, USER)
    folder.chmod(0o755)
    try:
        yield folder
    finally:
        shutil.rmtree(folder)


class Installed:
    """A server of Debian's package, in a folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.port = free_port("127.0.0.1")

    @property
    def url(self) -> str:
        return f"postgresql://postgres:hunter2@127.0.0.1:{self.port}/postgres"

    def create(self, *options: str) -> None:
        password = self.folder.parent / "password"
        password.write_text("hunter2")
        command: list[str | Path] = [
            BINARIES / "initdb",
            "-D",
            self.folder,
            "-U",
            "postgres",
            "--pwfile",
            password,
            "-N",
        ]
        run(*command, "--auth-host=scram-sha-256", *options, folder=self.folder.parent)
        self.configure("fsync = off", "listen_addresses = '127.0.0.1'", f"unix_socket_directories = '{self.folder}'")

    def configure(self, *lines: str) -> None:
        with (self.folder / "postgresql.conf").open("a") as file:
            file.writelines(f"{line}\n" for line in lines)

    def start(self) -> None:
        self._control("start", "-o", f"-p {self.port}", "-l", str(self.folder.parent / f"{self.port}.log"))

    def stop(self) -> None:
        self._control("stop", "-m", "immediate")

    def restart(self) -> None:
        self.stop()
        self.start()

    def promote(self) -> None:
        self._control("promote")

    def psql(self, statement: str, database: str = "postgres") -> str:
        command: list[str | Path] = [
            BINARIES / "psql",
            "-h",
            self.folder,
            "-p",
            str(self.port),
            "-U",
            "postgres",
            "-d",
            database,
        ]
        return run(*command, "-XAtq", "-v", "ON_ERROR_STOP=1", "-c", statement, folder=self.folder.parent).strip()

    def _control(self, *arguments: str) -> None:
        run(BINARIES / "pg_ctl", "-D", self.folder, "-w", "-s", *arguments, folder=self.folder.parent)

    @contextmanager
    def running(self) -> Iterator["Installed"]:
        self.start()
        try:
            yield self
        finally:
            if (self.folder / "postmaster.pid").exists():
                self.stop()


@contextmanager
def installed(*options: str, configuration: tuple[str, ...] = ()) -> Iterator[Installed]:
    """A new server with these options of initdb."""
    with open_folder() as folder:
        server = Installed(folder / "data")
        server.create(*options)
        server.configure(*configuration)
        with server.running():
            yield server
