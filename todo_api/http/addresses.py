"""The addresses in answers: absolute, and those by which the client called the server."""

import re
from collections.abc import Sequence
from ipaddress import IPv4Network, IPv6Network, ip_address

from fastapi import Request
from starlette._utils import get_route_path
from starlette.types import Scope

from todo_api.settings import UNIX

Network = IPv4Network | IPv6Network
_HOST = re.compile(r"[A-Za-z0-9._-]+(:[0-9]{1,5})?|\[[0-9A-Fa-f:.]+\](:[0-9]{1,5})?")
_PREFIX = re.compile(r"(/[A-Za-z0-9._~!$&'()*+,;=:@%-]+)*/?")


class Addresses:
    """How the server is called: by `url`, if it is set; else by what a trusted proxy says, or by the request itself."""

    def __init__(self, url: str | None = None, proxies: Sequence[Network | str] = ()) -> None:
        self.url = url and url.rstrip("/")
        self.proxies = proxies

    def base(self, scope: Scope) -> str:
        """Scheme, host and prefix, without a slash at the end."""
        if self.url:
            return self.url
        headers = _last_values(scope) if self._is_trusted(scope) else _last_values(scope, only=b"host")
        scheme = headers.get(b"x-forwarded-proto", "")
        host = headers.get(b"x-forwarded-host", "")
        prefix = headers.get(b"x-forwarded-prefix", "")
        scheme = scheme if scheme in ("http", "https") else scope["scheme"]
        host = host if _HOST.fullmatch(host) else headers.get(b"host") or _own_host(scope)
        prefix = prefix if prefix and _PREFIX.fullmatch(prefix) else scope.get("root_path", "")
        return f"{scheme}://{host}{prefix.rstrip('/')}"

    def _is_trusted(self, scope: Scope) -> bool:
        if not self.proxies:
            return False
        client = scope.get("client")
        if client is None or not client[0]:
            return UNIX in self.proxies
        try:
            peer = ip_address(client[0])
        except ValueError:
            return False
        peer = getattr(peer, "ipv4_mapped", None) or peer
        return any(peer in network for network in self.proxies if not isinstance(network, str))


def address_of(request: Request) -> str:
    """The absolute address of what a request is for."""
    addresses: Addresses = request.state.addresses
    return addresses.base(request.scope) + get_route_path(request.scope)


def _last_values(scope: Scope, only: bytes | None = None) -> dict[bytes, str]:
    """The last value of each field that says how the server was called: the proxy next to us has added it."""
    names = (b"host", b"x-forwarded-proto", b"x-forwarded-host", b"x-forwarded-prefix")
    sent = [(name, value) for name, value in scope["headers"] if name in names and only in (None, name)]
    return {name: value.decode("latin-1").rpartition(",")[2].strip() for name, value in sent}


def _own_host(scope: Scope) -> str:
    """For a client of HTTP/1.0, which need not send a host."""
    host, port = scope.get("server") or ("localhost", None)
    host = f"[{host}]" if ":" in host else host
    return f"{host}:{port}" if port else "localhost"
