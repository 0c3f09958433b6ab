"""What load balancers and orchestrators ask."""

import sqlite3
from contextlib import closing

import pytest
from fastapi.testclient import TestClient

from tests.databases import SQLite
from todo_api.main import create_app
from todo_api.settings import Settings


@pytest.mark.parametrize(("path", "said"), [("/livez", {"status": "ok"}), ("/readyz", {"status": "ok", "disk": "ok"})])
def test_a_healthy_server_says_so_to_any_probe(client: TestClient, path: str, said: dict[str, str]) -> None:
    answer = client.get(path, params={"verbose": "1"})

    assert answer.status_code == 200
    assert answer.json() == said
    assert client.head(path).status_code == 200


def test_a_server_is_not_ready_while_its_database_is_at_another_migration(sqlite_backend: SQLite) -> None:
    url = sqlite_backend.migrated()
    app = create_app(Settings(database_url=url))  # type: ignore[arg-type]  # parsed by the field
    with TestClient(app, base_url="http://127.0.0.1:8000") as client, closing(sqlite3.connect(url[10:])) as database:
        (newest,) = database.execute("SELECT version_num FROM alembic_version").fetchone()
        database.execute("UPDATE alembic_version SET version_num = '0001'")
        database.commit()

        refused = client.get("/readyz")
        assert refused.status_code == 503
        assert refused.headers["content-type"] == "application/problem+json"
        assert refused.headers["retry-after"] == "1"
        assert refused.json()["detail"] == f"The database is at migration 0001, and this server needs {newest}."
        assert client.get("/livez").status_code == 200

        database.execute("UPDATE alembic_version SET version_num = ?", [newest])
        database.commit()
        assert client.get("/readyz").status_code == 200
