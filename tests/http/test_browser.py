"""/docs in a real browser, used as a person uses it."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import pytest

from tests.applications import command
from tests.databases import SQLite
from tests.servers import PATIENCE, serving

if TYPE_CHECKING:
    from playwright.sync_api import ConsoleMessage, Page

ARGUMENTS = ("--disable-gpu", "--disable-quic")
"""Beside those of Playwright, among them --headless, --no-sandbox and what keeps Chromium from calling home."""

REPORT_VIOLATIONS = """document.addEventListener("securitypolicyviolation", (event) =>
    console.error("The policy forbids", event.effectiveDirective, event.blockedURI))"""


@pytest.fixture
def chromium() -> str:
    """The path of Chromium; where there is none, its tests are skipped, but fail on CI."""
    for name in ("chromium", "chromium-browser", "google-chrome"):
        if path := shutil.which(name):
            return path
    reason = "there is no Chromium on the PATH; on Debian: apt-get install chromium"
    if os.environ.get("CI"):
        pytest.fail(reason)
    pytest.skip(reason)  # on a machine without a browser; CI fails above


def listen_for_complaints(page: Page) -> list[str]:
    """What the browser will find wrong with the page, as it comes."""
    complaints: list[str] = []

    def hear(message: ConsoleMessage) -> None:
        if message.type in ("error", "warning"):
            complaints.append(message.text)

    page.add_init_script(REPORT_VIOLATIONS)
    page.on("console", hear)
    page.on("pageerror", lambda error: complaints.append(str(error)))
    return complaints


def authorize(page: Page, token: str) -> None:
    """Press Authorize and fill in a token."""
    page.get_by_role("button", name="Authorize", exact=True).click()
    dialog = page.locator(".modal-ux")
    dialog.locator("input").fill(token)
    dialog.get_by_role("button", name="Apply credentials").click()
    dialog.get_by_role("button", name="Close", exact=True).click()


def execute(page: Page, operation: str, body: object = None, **parameters: str) -> tuple[str, Any]:
    """Unfold an operation, fill it in and press Execute; the status and the body that the page shows."""
    block = page.locator(f"[id$=todos-{operation}]")
    fold = block.locator(".opblock-summary-control")
    fold.click()
    for name, value in parameters.items():
        block.locator(f'tr[data-param-name="{name}"] input').fill(value)
    if body is not None:
        block.locator("textarea.body-param__text").fill(json.dumps(body))
    block.get_by_role("button", name="Execute", exact=True).click()
    answer = block.locator(".live-responses-table .response")
    status = answer.locator(".response-col_status").inner_text()
    shown = answer.locator(".highlight-code pre").all_inner_texts()
    # An answer that stays could pass for that of the next time. By key: a click waits for the animation to end.
    block.get_by_role("button", name="Clear", exact=True).press("Enter")
    fold.press("Enter")
    return status, json.loads(shown[0]) if shown else None


@pytest.mark.slow
def test_the_docs_try_every_step_of_a_todo_without_another_host_or_a_complaint(
    chromium: str, folder: Path, sqlite_backend: SQLite
) -> None:
    from playwright.sync_api import sync_playwright  # here, as the fast tests run without it

    hosts = set()
    with (
        serving(folder, TODO_DATABASE_URL=sqlite_backend.migrated()) as (server, _),
        sync_playwright() as playwright,
        playwright.chromium.launch(executable_path=chromium, args=ARGUMENTS) as browser,
    ):
        page = browser.new_page()
        page.on("request", lambda request: hosts.add(urlsplit(request.url).netloc))
        complaints = listen_for_complaints(page)

        page.goto(f"{server.url}/")
        assert page.url == f"{server.url}/docs"
        status, new = execute(page, "create_todo", {"task": "Buy milk"})
        assert (status, new) == ("201", new | {"id": 1, "task": "Buy milk", "complete": False})
        assert execute(page, "list_todos") == ("200", [new])
        status, done = execute(page, "update_todo", {"complete": True}, todo_id="1")
        assert (status, done) == ("200", done | {"id": 1, "task": "Buy milk", "complete": True})
        assert execute(page, "list_todos") == ("200", [done])
        assert execute(page, "delete_todo", todo_id="1") == ("204", None)
        assert execute(page, "list_todos") == ("200", [])

        assert complaints == []
        assert hosts == {urlsplit(server.url).netloc}


WRONG = {
    "a day in another order": ("list_todos", {"due_before": "24/12/2026"}, "due_before"),
    "a day where an instant is needed": ("list_todos", {"created_after": "24/12/2026"}, "created_after"),
    "a tag without its quotes": ("get_todo", {"todo_id": "1", "If-None-Match": "4"}, "If-None-Match"),
    "a blank in an order": ("list_todos", {"sort": "due -created_at"}, "sort"),
    "a limit that is too large": ("list_todos", {"limit": "501"}, "limit"),
    "a word for a number": ("list_todos", {"priority": "high"}, "priority"),
    "a cursor of nothing": ("list_todos", {"cursor": "a b"}, "cursor"),
}


@pytest.mark.slow
def test_the_docs_send_what_is_wrong_so_that_the_answer_says_why(
    chromium: str, folder: Path, sqlite_backend: SQLite
) -> None:
    from playwright.sync_api import sync_playwright

    with (
        serving(folder, TODO_DATABASE_URL=sqlite_backend.migrated()) as (server, client),
        sync_playwright() as playwright,
        playwright.chromium.launch(executable_path=chromium, args=ARGUMENTS) as browser,
    ):
        client.post("/todos", json={"task": "Buy milk"})
        for operation, parameters, pointer in WRONG.values():
            page = browser.new_page()
            page.goto(f"{server.url}/docs")
            status, problem = execute(page, operation, **parameters)

            assert (status, problem["errors"][0]["pointer"]) == ("422", pointer)

        page = browser.new_page()
        page.goto(f"{server.url}/docs")
        assert execute(page, "update_todo", {"task": 5}, todo_id="1")[1]["errors"][0]["pointer"] == "/task"


@pytest.mark.slow
@pytest.mark.parametrize("width", [1280, 390])
def test_the_docs_fit_into_a_window(chromium: str, folder: Path, sqlite_backend: SQLite, width: int) -> None:
    from playwright.sync_api import sync_playwright

    with (
        serving(folder, TODO_DATABASE_URL=sqlite_backend.migrated()) as (server, _),
        sync_playwright() as playwright,
        playwright.chromium.launch(executable_path=chromium, args=ARGUMENTS) as browser,
    ):
        page = browser.new_page(viewport={"width": width, "height": 800})
        page.goto(f"{server.url}/docs")
        operations = page.locator(".opblock")
        operations.first.wait_for()
        assert page.evaluate("document.documentElement.scrollWidth") == width
        for operation in operations.all():
            operation.locator(".opblock-summary-control").press("Enter")
            button = operation.get_by_role("button", name="Execute", exact=True)
            button.press("Enter")

            # What needs an id is not sent without one; all else is.
            assert page.evaluate("document.documentElement.scrollWidth") == width


@pytest.mark.slow
def test_the_docs_begin_with_a_first_call_that_works_and_lead_to_the_operations(
    chromium: str, folder: Path, sqlite_backend: SQLite
) -> None:
    from playwright.sync_api import sync_playwright

    with (
        serving(folder, TODO_DATABASE_URL=sqlite_backend.migrated()) as (server, client),
        sync_playwright() as playwright,
        playwright.chromium.launch(executable_path=chromium, args=ARGUMENTS) as browser,
    ):
        page = browser.new_page()
        page.goto(f"{server.url}/docs")
        page.locator(".opblock").first.wait_for()
        intro = page.locator(".info")
        curl, python, javascript = intro.locator("pre:has(code)").all_inner_texts()
        subprocess.run(["/bin/sh", "-c", curl], check=True, capture_output=True, timeout=PATIENCE)
        subprocess.run([sys.executable, "-c", python], check=True, timeout=PATIENCE)
        page.evaluate(f"(async () => {{ {javascript} }})()")
        assert [todo["task"] for todo in client.get("/todos").json()] == ["Buy milk"] * 3

        with page.context.expect_page() as opened:
            intro.get_by_role("link", name="patch_todos").click()
        opened.value.locator("[id$=todos-patch_todos].is-open").wait_for()
        names = (
            page.locator(".opblock-tag-section")
            .first.locator(".opblock")
            .evaluate_all("found => found.map(each => each.id.split('-').pop())")
        )
        assert names == [
            "create_todo",
            "list_todos",
            "get_todo",
            "update_todo",
            "patch_todo",
            "delete_todo",
            "move_todo",
        ]


@pytest.mark.slow
def test_the_docs_send_the_token_that_they_are_given(chromium: str, folder: Path, sqlite_backend: SQLite) -> None:
    from playwright.sync_api import sync_playwright

    url = sqlite_backend.migrated()
    token, reader = command(url, "token", "create", "alice"), command(url, "token", "create", "alice", "--read-only")
    with (
        serving(folder, TODO_DATABASE_URL=url, TODO_AUTH="token") as (server, _),
        sync_playwright() as playwright,
        playwright.chromium.launch(executable_path=chromium, args=ARGUMENTS) as browser,
    ):
        page = browser.new_page()
        complaints = listen_for_complaints(page)
        page.goto(f"{server.url}/docs")
        authorize(page, token)
        status, new = execute(page, "create_todo", {"task": "Buy milk"})
        assert (status, new) == ("201", new | {"id": 1, "task": "Buy milk"})
        assert execute(page, "list_todos") == ("200", [new])
        assert complaints == []
        first_calls = page.locator(".info pre:has(code)").all_inner_texts()
        assert len(first_calls) == 3
        for shown in first_calls:
            assert f"{server.url}/todos" in shown
            assert "Bearer todo_" in shown

        for sent, refusal in (("", "401"), (reader, "403")):
            page = browser.new_page()
            page.goto(f"{server.url}/docs")
            if sent:
                authorize(page, sent)
            status, problem = execute(page, "delete_todo", todo_id="1")
            assert (status, problem["status"]) == (refusal, int(refusal))
