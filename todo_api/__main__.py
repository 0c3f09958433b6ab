"""`python -m todo_api`: bring the database to the newest migration, then serve, or do what the command says."""

import signal
import socket
import sys
from argparse import ArgumentParser, Namespace
from collections.abc import Sequence

import uvicorn

from todo_api import commands
from todo_api.callers import is_loopback
from todo_api.settings import Settings, load_settings
from todo_api.startup import migrate

KEEP_ALIVE = 75
"""Seconds that an idle connection stays open: longer than the 60 of usual proxies, which reuse it."""
GRACEFUL_SHUTDOWN = 10
"""Seconds that running requests may take to end after SIGTERM."""


def main() -> None:
    settings = load_settings()
    options = parse_arguments(settings)
    if "run" in options:
        migrate()
        commands.run(options, settings)
        return
    if settings.auth == "local" and not is_loopback(options.host):
        raise SystemExit(
            f"todo_api: {options.host} can be reached from other machines, and TODO_AUTH=local serves this one alone,"
            " without login; to serve others, set TODO_AUTH=token"
        )
    migrate()
    port = options.port or free_port(options.host)
    address = f"http://{f'[{options.host}]' if ':' in options.host else options.host}:{port}"
    docs = f", and describes itself at {address}/docs" if settings.docs else ""
    print(f"todo_api serves {address}{docs}", flush=True)
    # uvicorn shuts down in order and then raises the signal again, for which a process would end with status -15.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    uvicorn.run(
        "todo_api.main:app",
        host=options.host,
        port=port,
        workers=options.workers,
        log_level=settings.log_level,
        http="h11",
        server_header=False,
        timeout_keep_alive=KEEP_ALIVE,
        timeout_graceful_shutdown=GRACEFUL_SHUTDOWN,
    )


def parse_arguments(settings: Settings, arguments: Sequence[str] | None = None) -> Namespace:
    parser = ArgumentParser(prog="python -m todo_api", description="Serve todos over HTTP.")
    parser.add_argument("--host", default=settings.host, help="the address to serve on (default: %(default)s)")
    parser.add_argument("--port", default=settings.port, type=int, help="the port to serve on (default: %(default)s)")
    parser.add_argument(
        "--workers",
        default=settings.workers,
        type=int,
        help="how many processes serve (default: %(default)s)",
    )
    commands.add_to(parser)
    return parser.parse_args(arguments)


def free_port(host: str) -> int:
    """A port of `host` that nobody listens on at the moment; every worker is told the same."""
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as probe:
        probe.bind((host, 0))
        port: int = probe.getsockname()[1]
        return port


if __name__ == "__main__":
    main()
