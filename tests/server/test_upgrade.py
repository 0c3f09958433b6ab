"""A new version beside the old one, and the way back, behind haproxy on PostgreSQL: the steps of README."""

import itertools
import shutil
import threading
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path

import httpx2 as httpx
import pytest

from tests.database.test_migrations import newest_revision
from tests.databases import ROOT, PostgreSQL
from tests.server.test_shutdown import all_tasks
from tests.servers import OTHER_ROOT, PATIENCE, Server, proxy, run, serving
from todo_api.__main__ import free_port

pytestmark = pytest.mark.slow

MIGRATION = """
import sqlalchemy as sa
from alembic import op

revision = "9999"
down_revision = "{}"


def upgrade() -> None:
    op.add_column("todo_items", sa.Column("colour", sa.Text()))
    op.alter_column("todo_items", "priority", type_=sa.BigInteger())


def downgrade() -> None:
    op.alter_column("todo_items", "priority", type_=sa.Integer())
    op.drop_column("todo_items", "colour")
"""


@pytest.fixture
def new_version(folder: Path) -> Path:
    """The project with one more migration, which changes what the statements of the old version return."""
    new = folder / "new"
    for name in ("todo_api", "migrations"):
        shutil.copytree(ROOT / name, new / name)
    shutil.copyfile(ROOT / "alembic.ini", new / "alembic.ini")
    (new / "migrations" / "versions" / "9999_of_a_test.py").write_text(MIGRATION.format(newest_revision()))
    return new


class Clients:
    """They create and read todos, and note what they are answered."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._ended = threading.Event()
        self.statuses: Counter[tuple[str, int]] = Counter()
        self.created: list[str] = []

    @contextmanager
    def at_work(self) -> Iterator[None]:
        with ThreadPoolExecutor(8) as threads:
            runs = [threads.submit(self._run, number) for number in range(8)]
            try:
                yield
            finally:
                self._ended.set()
            for each in runs:
                each.result()

    def _run(self, name: int) -> None:
        with httpx.Client(base_url=self._url, timeout=PATIENCE) as client:
            for number in itertools.takewhile(lambda _: not self._ended.is_set(), itertools.count()):
                task = f"{number} of {name}"
                for method, answer in (
                    ("POST", client.post("/todos", json={"task": task})),
                    ("GET", client.get("/todos?limit=1")),
                ):
                    self.statuses[method, answer.status_code] += 1
                    if answer.status_code == 201:
                        self.created.append(task)

    def wait_until_served(self) -> None:
        """Wait until so many more todos were created that every process behind the proxy has made some."""
        done = len(self.created)
        deadline = time.monotonic() + PATIENCE
        while len(self.created) < done + 100:
            assert time.monotonic() < deadline, self.statuses
            time.sleep(0.01)  # between two looks


def test_a_new_version_takes_over_and_gives_back_behind_a_proxy(
    folder: Path, postgresql_backend: PostgreSQL, new_version: Path
) -> None:
    url = postgresql_backend.migrated()
    ports = [free_port("127.0.0.1") for _ in range(3)]
    old, new = {"TODO_DATABASE_URL": url}, {"TODO_DATABASE_URL": url, OTHER_ROOT: str(new_version)}

    with ExitStack() as stack:

        def start(port: int, version: dict[str, str]) -> Server:
            return stack.enter_context(serving(folder, "todo_api", "--port", str(port), **version))[0]

        first, second = start(ports[0], old), start(ports[1], old)
        at = stack.enter_context(proxy(folder, *ports, check="option httpchk GET /readyz"))
        clients = Clients(at)
        with clients.at_work():
            clients.wait_until_served()
            third = start(ports[2], new)  # it migrates, and the old ones refuse from then on
            clients.wait_until_served()
            for server in (first, second):
                assert server.stop() == 0
            first = start(ports[0], new)
            clients.wait_until_served()

            back = run("alembic", "downgrade", newest_revision(), **new)  # the new ones refuse from then on
            assert back.returncode == 0, back.stderr
            second = start(ports[1], old)
            clients.wait_until_served()
            for server in (first, third):
                assert server.stop() == 0
            first = start(ports[0], old)
            clients.wait_until_served()
        kept = all_tasks(at)

    assert {status for _, status in clients.statuses} <= {200, 201, 503}
    assert set(clients.created) <= set(kept)
    assert len(kept) == len(set(kept))
