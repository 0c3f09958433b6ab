"""Who may call: with `TODO_AUTH=local` this machine alone, with `TODO_AUTH=token` whoever has a token."""

import re
from ipaddress import ip_address
from typing import Protocol

from fastapi import Request
from starlette._utils import get_route_path
from starlette.types import Scope

from todo_api.access import tokens
from todo_api.database.engines import Database
from todo_api.database.owners import LOCAL
from todo_api.http.gate import Check
from todo_api.http.headers import OPEN_PATHS
from todo_api.http.problem import Problem
from todo_api.http.problems import Misdirected, NotLocal, OtherOrigin
from todo_api.settings import Settings

_LOCAL_NAMES = (b"127.0.0.1", b"localhost", b"[::1]")
_FORWARDING = frozenset(
    (b"forwarded", b"via", b"x-real-ip", b"x-client-ip", b"true-client-ip", b"cf-connecting-ip", b"fastly-client-ip")
)
_PORT = re.compile(rb":[0-9]{1,5}$")


class Callers(Protocol):
    """Finds the owner on whose behalf a request is sent."""

    async def identify(self, request: Request) -> str:
        """The owner; raises Unauthorized or InsufficientScope."""


class LocalCaller:
    """Treats everyone whom LocalOnly lets in as the same owner."""

    async def identify(self, request: Request) -> str:
        return LOCAL


def choose(settings: Settings, database: Database) -> Callers:
    return LocalCaller() if settings.auth == "local" else tokens.TokenCallers(database.reader, database.timeout)


def checks(settings: Settings) -> list[Check]:
    """The checks that the gate runs first: with `TODO_AUTH=local`, that the caller is local."""
    return [LocalOnly(settings.allowed_hosts, settings.cors_origins)] if settings.auth == "local" else []


class LocalOnly:
    """Refuses other machines, requests that a proxy passed on, and web pages of other origins.

    A web page can point its own host name at its reader's machine (DNS rebinding), so `Host` must be one of the
    server's names. `allowed_hosts` adds further names.
    """

    def __init__(self, allowed_hosts: list[str], origins: list[str]) -> None:
        self.hosts = frozenset((*_LOCAL_NAMES, *(name.encode() for name in allowed_hosts)))
        self.origins = frozenset(origin.encode() for origin in origins)

    def __call__(self, scope: Scope) -> Problem | None:
        if get_route_path(scope) in OPEN_PATHS:
            return None
        hosts, origin = [], None
        for name, value in scope["headers"]:
            if name == b"host":
                hosts.append(value.lower())
            elif name == b"origin":
                origin = value
            elif name in _FORWARDING or name.startswith(b"x-forwarded-"):  # even if the peer looks local
                return NotLocal("a proxy passed the request on")
        if not _is_local(scope):
            return NotLocal("the request came from another one")
        if len(hosts) != 1 or _PORT.sub(b"", hosts[0]) not in self.hosts:
            return Misdirected()
        # A preflight passes: its answer tells the browser which origins may call.
        if origin is not None and scope["method"] != "OPTIONS" and not self._may_call(origin, hosts[0]):
            return OtherOrigin()
        return None

    def _may_call(self, origin: bytes, host: bytes) -> bool:
        return origin in (b"http://" + host, b"https://" + host) or not self.origins.isdisjoint((origin, b"*"))


def _is_local(scope: Scope) -> bool:
    """Whether the peer is on this machine: at a loopback address, or on a Unix socket, which has no peer address."""
    peer, server = scope.get("client"), scope.get("server")
    if peer is None:
        return server is not None and server[1] is None
    return is_loopback(peer[0])


def is_loopback(host: str) -> bool:
    if host in ("127.0.0.1", "::1", "localhost"):
        return True
    try:
        address = ip_address(host)
    except ValueError:
        return False
    return (getattr(address, "ipv4_mapped", None) or address).is_loopback
