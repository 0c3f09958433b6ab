"""The linters of the OpenAPI document, which run in Node.js."""

import json
import os
import shutil
import subprocess
from pathlib import Path

from tests.databases import ROOT

LINTERS = ROOT / "tests" / "linters"
PATIENCE = 600
"""Seconds after which a tool will never end."""
QUIET = {
    "DO_NOT_TRACK": "1",
    "NO_COLOR": "1",
    "NPM_CONFIG_UPDATE_NOTIFIER": "false",
    "REDOCLY_SUPPRESS_UPDATE_NOTICE": "true",
    "REDOCLY_TELEMETRY": "off",
    "SCARF_ANALYTICS": "false",
}
"""Keeps the tools from telling anybody that they run, and from asking for newer versions of themselves."""


def run(folder: Path, *command: str | Path, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command,
        cwd=folder,
        env=os.environ | QUIET | environment,
        capture_output=True,
        encoding="utf-8",
        timeout=PATIENCE,
        check=False,
    )


def install(folder: Path) -> Path:
    """Install the linters as the lock file says; the folder of their commands."""
    for name in ("package.json", "package-lock.json"):
        shutil.copyfile(LINTERS / name, folder / name)
    installed = run(folder, "npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund")
    assert installed.returncode == 0, installed.stderr
    return folder / "node_modules" / ".bin"


def lint_by_spectral(linters: Path, document: Path) -> None:
    ruleset = LINTERS / "spectral.yaml"
    linted = run(
        document.parent, linters / "spectral", "lint", "--ruleset", ruleset, "--fail-severity", "hint", document
    )

    assert linted.returncode == 0, linted.stdout + linted.stderr


def lint_by_redocly(linters: Path, document: Path) -> None:
    linted = run(
        document.parent, linters / "redocly", "lint", "--extends", "recommended", "--format", "json", document.name
    )

    assert linted.stdout, linted.stderr
    problems = json.loads(linted.stdout)["problems"]
    assert [
        f"{each['severity']} {each['ruleId']}: {each['message']} {each['location'][0]['pointer']}" for each in problems
    ] == []
