"""The address of a PostgreSQL server, as libpq, providers and other drivers write it."""

import re
import ssl
from difflib import get_close_matches
from functools import partial
from pathlib import Path
from typing import Any, Final
from urllib.parse import parse_qsl, unquote, urlencode

import asyncpg
from sqlalchemy import URL

from todo_api.database.postgresql.driver import AsyncpgConnection

DRIVER: Final = "postgresql+asyncpg"
SCHEMES: Final = ("postgres", "postgresql", DRIVER)
CONNECT_TIMEOUT: Final = 3.0
"""Seconds that opening a connection may take, unless the address says `connect_timeout`."""

_FORMS = [
    re.compile(
        rf"(?:(?P<user>[^:/?@]*)(?::(?P<password>{password}))?@)?(?P<hosts>[^/?@]*)(?:/(?P<database>[^?]*))?(?:\?(?P<query>.*))?"
    )
    for password in ("[^@/?]*", "[^@]*")  # as it should be, and with signs that should be escaped
]
_HOST = re.compile(r"(\[[0-9a-fA-F:.%]+\]|[^:\[\]]+)(?::(\d+))?")

_FILES = {"sslcert", "sslkey", "sslrootcert", "sslcrl"}
_OPTIONS = {
    **dict.fromkeys(("host", "user", "password", "dbname", "passfile", "service", "sslpassword"), ".+"),
    **dict.fromkeys(("application_name", "options", "krbsrvname", *_FILES), ".+"),
    "port": r"\d+(,\d+)*",
    "connect_timeout": r"\d+",
    "sslmode": "disable|allow|prefer|require|verify-ca|verify-full",
    "sslnegotiation": "postgres|direct",
    "ssl_min_protocol_version": r"TLSv1(\.[123])?",
    "ssl_max_protocol_version": r"TLSv1(\.[123])?",
    "target_session_attrs": "any|primary|standby|prefer-standby|read-write|read-only",
    "pooler": "session|transaction",
}
"""The options, each with the pattern of its values."""
_WITHOUT_EFFECT = {
    # asyncpg can't bind a login to its TLS channel; verify-full is what keeps a stranger from taking part.
    "channel_binding": "disable|prefer|require",
    "client_encoding": "(?i:utf-?8|unicode|auto)",
    "fallback_application_name": ".*",
    "gssencmode": "disable|prefer",
    "sslcompression": "0|1",
    "sslsni": "1",
    "tcp_user_timeout": r"\d+",
    **dict.fromkeys(("keepalives", "keepalives_idle", "keepalives_interval", "keepalives_count"), r"\d+"),
}
"""Options that are taken and change nothing: each request has its own deadline."""
_SYNONYMS = {
    ("ssl", "true"): ("sslmode", "require"),
    ("ssl", "false"): ("sslmode", "disable"),
    ("pgbouncer", "true"): ("pooler", "transaction"),
    ("pgbouncer", "false"): ("pooler", "session"),
}


def parse(text: str) -> URL | None:
    """The URL of what stands behind the scheme and `://`; None when it has another form.

    Raises ValueError for an option that is unknown or has a wrong value.
    """
    for form in filter(None, (each.fullmatch(text) for each in _FORMS)):
        hosts = [_HOST.fullmatch(each) for each in form["hosts"].split(",")] if form["hosts"] else []
        if all(hosts):
            break
    else:
        return None
    names = [unquote(host[1]) for host in hosts if host]
    ports = [host[2] or "5432" for host in hosts if host]
    options = dict(
        _option(*each) for each in parse_qsl((form["query"] or "").replace("+", "%2B"), keep_blank_values=True)
    )
    options = {name: value for name, value in options.items() if name not in _WITHOUT_EFFECT}
    if options.get("pooler") == "transaction" and re.match(r"\s*-", options.get("options", "")):
        raise ValueError("has options that a pooler of transactions can't keep; set them by ALTER ROLE … SET …")
    several = len(names) > 1 or "/" in "".join(names)
    if several:
        options |= {"host": ",".join(names), "port": ",".join(ports)}
    return URL.create(
        DRIVER,
        username=unquote(form["user"] or "") or options.pop("user", None),
        password=unquote(form["password"] or "") or options.pop("password", None),
        host=names[0].strip("[]") if names and not several else None,
        port=int(hosts[0][2]) if hosts and hosts[0] and hosts[0][2] and not several else None,
        database=unquote(form["database"] or "") or options.pop("dbname", None),
        query=options,
    )


def without_password(text: str) -> str:
    """An address without what it has of passwords."""
    text = re.sub(r"(://[^:/?@]*:)[^@]*(?=@)", r"\1***", text)
    return re.sub(r"([?&](?:ssl)?password=)[^&]*", r"\1***", text)


def _option(name: str, value: str) -> tuple[str, str]:
    name, value = _SYNONYMS.get((name, value), (name, value))
    if name == "ssl" and re.fullmatch(_OPTIONS["sslmode"], value):  # as SQLAlchemy calls it
        name = "sslmode"
    known = _OPTIONS | _WITHOUT_EFFECT
    if name not in known:
        near = get_close_matches(name, known, n=1)
        raise ValueError(f"has the unknown option {name!r}{f'; did you mean {near[0]!r}?' if near else ''}")
    if not re.fullmatch(known[name], value):
        raise ValueError(f"has the option {name} with the wrong value {value!r}: it must match {known[name]}")
    if name in _FILES and (name, value) != ("sslrootcert", "system") and not Path(value).is_file():
        raise ValueError(f"has the option {name}, but there is no file {value}")
    return name, value


def is_pooled(url: URL) -> bool:
    """Whether each transaction may get another connection of the server: nothing is kept from one to the next."""
    return url.query.get("pooler") == "transaction"


def time_limits(timeout: float) -> dict[str, str]:
    """The server's own limits where a request has so many seconds.

    A little less than the request has: an answer of the server keeps the connection, giving up costs it.
    """
    milliseconds = f"'{timeout * 900:.0f}ms'"
    return {
        "statement_timeout": milliseconds,
        "lock_timeout": milliseconds,
        "idle_in_transaction_session_timeout": f"'{timeout * 2000:.0f}ms'",
    }


def connect_args(url: URL, timeout: float) -> dict[str, Any]:
    """What asyncpg connects with; a request has so many seconds."""
    options: dict[str, Any] = {**url.query}
    options.pop("pooler", None)
    arguments = {
        "timeout": min(float(options.pop("connect_timeout", 0)) or CONNECT_TIMEOUT, timeout),
        # The only one that poolers take. What else is set, is set by SQL.
        "server_settings": {"application_name": options.pop("application_name", "todo_api")},
        "connection_class": AsyncpgConnection,
    }
    if is_pooled(url):  # only unnamed statements: a name would be known on one of the pooler's connections
        arguments |= {"statement_cache_size": 0, "prepared_statement_cache_size": 0}
        arguments["prepared_statement_name_func"] = str
    if options.get("sslrootcert") == "system":
        arguments["ssl"] = ssl.create_default_context()
        del options["sslrootcert"]
    given = {"user": url.username, "password": url.password, "dbname": url.database}
    options |= {name: value for name, value in given.items() if value is not None}
    return arguments | {"async_creator_fn": partial(_connect, [urlencode(options | host) for host in _hosts(url)])}


def _hosts(url: URL) -> list[dict[str, str]]:
    """What differs between the addresses of a cluster, in the order in which they are tried."""
    if url.host is not None:
        port = {"port": str(url.port)} if url.port else {}
        return [{"host": f"[{url.host}]" if ":" in url.host else url.host, **port}]
    names, ports = (str(url.query.get(name, "")).split(",") for name in ("host", "port"))
    if len(ports) != len(names):  # one for all
        ports = ports[:1] * len(names)
    hosts = [
        {name: value for name, value in (("host", host), ("port", port)) if value}
        for host, port in zip(names, ports, strict=True)
    ]
    if url.query.get("target_session_attrs") == "prefer-standby":
        return [host | {"target_session_attrs": kind} for kind in ("standby", "any") for host in hosts]
    return hosts


async def _connect(addresses: list[str], *, timeout: float, **arguments: Any) -> Any:  # noqa: ASYNC109  # asyncpg's
    """Connect to the first server that may be used; asyncpg would spend all the time on one that does not answer."""
    failure: Exception = ConnectionError("no host is named")
    for address in addresses:
        try:
            return await asyncpg.connect(f"postgresql://?{address}", timeout=timeout / len(addresses), **arguments)
        except asyncpg.TargetServerAttributeNotMatched as error:
            failure = ConnectionError(str(error))
        except (OSError, asyncpg.CannotConnectNowError) as error:
            failure = error
    raise failure
