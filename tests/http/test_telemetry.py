"""OpenTelemetry by FastAPI's own means: spans go to the provider of the process, without code of ours."""

import subprocess
import sys

from tests.databases import ROOT, SQLite
from tests.servers import PATIENCE

PROGRAM = """
import sys

from fastapi.testclient import TestClient
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

exporter = InMemorySpanExporter()
provider = TracerProvider()
provider.add_span_processor(SimpleSpanProcessor(exporter))
trace.set_tracer_provider(provider)

from todo_api.main import app

with TestClient(app, base_url="http://127.0.0.1:8000", client=("127.0.0.1", 50000)) as client:
    assert client.post("/todos", json={"task": "hunter2"}).status_code == 201
    client.get("/todos/1?q=hunter2")
spans = [span for span in exporter.get_finished_spans() if span.kind == trace.SpanKind.SERVER]
for span in spans:
    print(span.name, span.attributes["http.route"], span.attributes["http.response.status_code"])
"""


def test_a_request_is_a_span_named_by_its_route(sqlite_backend: SQLite) -> None:
    """In a process of its own: OpenTelemetry's provider can be set once in a process."""
    ended = subprocess.run(
        [sys.executable, "-c", PROGRAM],
        cwd=ROOT,
        env={"TODO_DATABASE_URL": sqlite_backend.migrated()},
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )

    assert ended.stdout.splitlines() == ["POST /todos /todos 201", "GET /todos/{todo_id} /todos/{todo_id} 422"], ended
