"""`python -m todo_api`: bring the database to the newest migration, then serve, or do what the command says."""

import json
import os
import signal
import socket
from argparse import ArgumentParser, ArgumentTypeError, Namespace
from collections.abc import Callable, Sequence
from typing import Any

from pydantic import ValidationError

from todo_api import __version__
from todo_api.access import commands
from todo_api.access.callers import is_loopback
from todo_api.database import backups
from todo_api.database.schema import DiskFullError, migrate
from todo_api.server import serve
from todo_api.settings import Settings, load_settings


def main() -> None:
    settings = load_settings()
    options = parse_arguments(settings)
    if "describe" in options:
        describe()
        return
    if "maintain" in options:
        backups.run(options, settings.database_url)
        return
    if settings.auth == "local" and "run" not in options and not is_loopback(options.host):
        raise SystemExit(
            f"todo_api: {options.host} can be reached from other machines, and TODO_AUTH=local serves this one alone,"
            " without login; to serve others, set TODO_AUTH=token"
        )
    for stop in (signal.SIGINT, signal.SIGTERM):
        # Until it serves there is nothing to end in order, and an exception could get lost in what is being imported.
        signal.signal(stop, lambda *_: os._exit(0))
    try:
        migrate()
    except SystemExit as ended:
        # On a full disk, what is at the newest migration can be read.
        if "run" in options or not isinstance(ended.__cause__, DiskFullError):
            raise
    if "run" in options:
        commands.run(options, settings)
        return
    port = options.port or free_port(options.host)
    address = f"http://{f'[{options.host}]' if ':' in options.host else options.host}:{port}"
    docs = f", and describes itself at {address}/docs" if settings.docs else ""
    announcement = f"todo_api serves {address}{docs}"
    serve(settings, options.host, port, options.workers, announcement, reload=options.reload)


def describe() -> None:
    """Print the OpenAPI document."""
    from todo_api.main import app  # no other command needs the application

    document = json.dumps(app.openapi(), indent=2)
    try:
        print(document, flush=True)
    except OSError as error:  # nobody reads on, or the disk is full
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # what is left is not to be written at the end
        raise SystemExit(f"todo_api: the document can't be written: {error.strerror}") from None


def parse_arguments(settings: Settings, arguments: Sequence[str] | None = None) -> Namespace:
    parser = ArgumentParser(prog="python -m todo_api", description="Serve todos over HTTP.")
    parser.add_argument("--host", default=settings.host, help="the address to serve on (default: %(default)s)")
    parser.add_argument(
        "--port", default=settings.port, type=_read("port"), help="the port to serve on (default: %(default)s)"
    )
    parser.add_argument(
        "--workers",
        default=settings.workers,
        type=_read("workers"),
        help="how many processes serve (default: %(default)s)",
    )
    parser.add_argument("--reload", action="store_true", help="serve anew whenever the code changes, for development")
    parser.add_argument("--version", action="version", version=f"todo_api {__version__}")
    nouns = parser.add_subparsers(title="instead of serving", metavar="COMMAND")
    openapi = nouns.add_parser("openapi", help="print the OpenAPI document, of which clients are generated")
    openapi.set_defaults(describe=True)
    commands.add_to(nouns)
    backups.add_to(nouns)
    options = parser.parse_args(arguments)
    if options.reload and options.workers > 1:
        parser.error("--reload serves by one process, so --workers must be 1")
    return options


def _read(name: str) -> Callable[[str], Any]:
    """Reads an option by the rules of the setting of its name."""

    def read(text: str) -> Any:
        try:
            return getattr(Settings.model_validate({name: text}), name)
        except ValidationError as error:
            raise ArgumentTypeError(error.errors()[0]["msg"]) from None

    return read


def free_port(host: str) -> int:
    """A port of `host` that nobody listens on at the moment; every worker is told the same."""
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as probe:
        probe.bind((host, 0))
        port: int = probe.getsockname()[1]
        return port


if __name__ == "__main__":
    main()
