"""The application in process, called as from this machine."""

from typing import Any

from fastapi.testclient import TestClient

from todo_api.main import create_app
from todo_api.settings import Settings


def in_process(**settings: Any) -> TestClient:
    """A client of an application with these settings, which starts by `with`."""
    app = create_app(Settings(**settings))
    return TestClient(app, base_url="http://127.0.0.1:8000", client=("127.0.0.1", 50000))
