"""`python -m todo_api`: bring the database to the newest migration, then serve."""

import signal
import socket
import sys
from argparse import ArgumentParser, Namespace

from todo_api.server import serve
from todo_api.settings import Settings, load_settings
from todo_api.startup import migrate


def main() -> None:
    settings = load_settings()
    options = parse_arguments(settings)
    # uvicorn shuts down in order and then raises the signal again, for which a process would end with a bad status.
    for stop in (signal.SIGINT, signal.SIGTERM):
        signal.signal(stop, lambda *_: sys.exit(0))
    migrate()
    port = options.port or free_port(options.host)
    address = f"http://{f'[{options.host}]' if ':' in options.host else options.host}:{port}"
    print(f"todo_api serves {address}, and describes itself at {address}/docs", flush=True)
    serve(settings, options.host, port, options.workers)


def parse_arguments(settings: Settings) -> Namespace:
    parser = ArgumentParser(prog="python -m todo_api", description="Serve todos over HTTP.")
    parser.add_argument("--host", default=settings.host, help="the address to serve on (default: %(default)s)")
    parser.add_argument("--port", default=settings.port, type=int, help="the port to serve on (default: %(default)s)")
    parser.add_argument(
        "--workers",
        default=settings.workers,
        type=int,
        help="how many processes serve (default: %(default)s)",
    )
    return parser.parse_args()


def free_port(host: str) -> int:
    """A port of `host` that nobody listens on at the moment; every worker is told the same."""
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as probe:
        probe.bind((host, 0))
        port: int = probe.getsockname()[1]
        return port


if __name__ == "__main__":
    main()
