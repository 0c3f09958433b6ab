"""The settings, read from the environment and from the file `.env`."""

import os
import re
from difflib import get_close_matches
from ipaddress import ip_network
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from dotenv import load_dotenv
from pydantic import AliasChoices, BeforeValidator, Field, InstanceOf, ValidationError, model_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict
from sqlalchemy import URL

from todo_api.database.engines import MANY_TIMEOUT, TIMEOUT, parse_url
from todo_api.logs import LogFormat

PREFIX = "TODO_"
DEFAULT_PORT = 8000
TEST_PREFIX = "TODO_TEST_"
"""Variables that the test suite reads, and the product leaves alone."""
_OF_A_SERVICE = re.compile(
    r"TODO_(\w+_)?((SERVICE_HOST|SERVICE_PORT(_\w+)?|PORT_\d+_(TCP|UDP|SCTP)(_\w+)?)=.*|PORT=(tcp|udp|sctp)://.*)"
)
"""Variables that Kubernetes sets in every pod beside a Service that is named `todo` or `todo-…`."""
UNIX = "unix"
"""Names, among trusted proxies, the peer of a Unix socket."""


def _url(value: str | URL) -> URL:
    return value if isinstance(value, URL) else parse_url(value)


def _url_in_file(name: Any) -> Any:
    try:
        return parse_url(Path(name).read_text()) if isinstance(name, str) else name
    except OSError as error:
        raise ValueError(f"can't be read: {error.strerror}") from None


def _port(value: Any) -> Any:
    """The port; of an address that Kubernetes sets, the default."""
    return DEFAULT_PORT if isinstance(value, str) and _OF_A_SERVICE.fullmatch(f"TODO_PORT={value}") else value


def _origins(value: str | list[str]) -> list[str]:
    origins = [origin.strip() for origin in value.split(",")] if isinstance(value, str) else value
    for origin in origins:
        if not re.fullmatch(r"\*|https?://[^/\s]+", origin):
            raise ValueError("must be origins such as https://app.example, separated by commas")
    return origins


def _hosts(value: str | list[str]) -> list[str]:
    hosts = [host.strip().lower() for host in value.split(",")] if isinstance(value, str) else value
    for host in hosts:
        if not re.fullmatch(r"[a-z0-9.-]+|\[[0-9a-f:.]+\]", host):
            raise ValueError("must be names such as todo.lan, without ports, separated by commas")
    return hosts


def _public_url(value: str | None) -> str | None:
    if value is not None and not re.fullmatch(r"https?://[^/?#\s]+(/[^?#\s]*)?", value):
        raise ValueError("must be an address such as https://example.org/api, without a query")
    return value


def _proxies(value: str | list[Any]) -> list[Any]:
    names = [name.strip() for name in value.split(",")] if isinstance(value, str) else value
    try:
        return [name if name == UNIX or not isinstance(name, str) else ip_network(name) for name in names]
    except ValueError:
        raise ValueError("must be addresses and networks such as 10.0.0.0/8, or unix, separated by commas") from None


class Settings(BaseSettings):
    """One attribute for each variable `TODO_…`; an empty variable counts as absent."""

    model_config = SettingsConfigDict(
        env_prefix=PREFIX,
        env_ignore_empty=True,
        use_attribute_docstrings=True,
        validate_by_name=True,
        arbitrary_types_allowed=True,
    )

    database_url: Annotated[InstanceOf[URL], NoDecode, BeforeValidator(_url)] = Field(
        default=parse_url("sqlite:///todo.db"), validation_alias=AliasChoices("TODO_DATABASE_URL", "DATABASE_URL")
    )
    """Where the todos are kept: `sqlite:///file` or `postgresql://user:password@host/name`."""
    database_url_file: Annotated[InstanceOf[URL] | None, NoDecode, BeforeValidator(_url_in_file)] = None
    """A file that holds this address, such as a secret of Docker or Kubernetes."""
    database_timeout: float = Field(default=TIMEOUT, gt=0, le=600)
    """Seconds that a request waits for the database before it is answered 503."""
    bulk_timeout: float = Field(default=MANY_TIMEOUT, gt=0, le=3600)
    """Seconds that a change of many todos may take before it is undone and answered 409."""
    trash_days: int = Field(default=30, ge=0, le=3650)
    """Days for which deleted todos are kept in the trash; 0 keeps none."""
    host: str = "127.0.0.1"
    """The address to serve on."""
    port: Annotated[int, BeforeValidator(_port)] = Field(default=DEFAULT_PORT, ge=0, le=65535)
    """The port to serve on; 0 takes a free one."""
    workers: int = Field(default=1, ge=1)
    """The number of processes that serve."""
    auth: Literal["local", "token"] = "local"
    """Who may call: `local` for this machine alone, without login; `token` for whoever has a token."""
    allowed_hosts: Annotated[list[str], NoDecode, BeforeValidator(_hosts)] = []
    """Further names, separated by commas, of a server for this machine alone."""
    docs: bool = True
    """Whether /docs and /openapi.json are served."""
    require_if_match: bool = False
    """Whether a change of one todo without `If-Match` is refused (428)."""
    idempotency_hours: int = Field(default=24, ge=1, le=8760)
    """Hours for which the answer to a request with an `Idempotency-Key` is kept."""
    url: Annotated[str | None, BeforeValidator(_public_url)] = None
    """The address by which clients call the server, such as https://example.org/api; it is in `Location` and `Link`."""
    proxies: Annotated[list[Any], NoDecode, BeforeValidator(_proxies)] = []
    """The proxies, separated by commas, whose `X-Forwarded-Proto`, `-Host` and `-Prefix` are believed."""
    cors_origins: Annotated[list[str], NoDecode, BeforeValidator(_origins)] = []
    """The origins, separated by commas, whose web pages may call; `*` for all."""
    request_timeout: int = Field(default=20, ge=1)
    """Seconds that a client may take to send the head of a request, and again its body, and to go on reading."""
    keep_alive: int = Field(default=75, ge=1)
    """Seconds that an idle connection stays open; more than the 60 of usual proxies, which use it again."""
    max_connections: int = Field(default=2000, ge=1)
    """The number of connections that each process holds at the most."""
    shutdown_timeout: int = Field(default=10, ge=1)
    """Seconds that running requests may take to end when the server is told to stop."""
    log_level: Annotated[Literal["critical", "error", "warning", "info", "debug"], BeforeValidator(str.lower)] = "info"
    """The least severity that is logged; each request is at `info`."""
    log_format: LogFormat = "text"
    """Lines for people (`text`) or for programs (`json`)."""

    @model_validator(mode="after")
    def _take_url_of_file(self) -> Self:
        if self.database_url_file is not None:
            if os.environ.get("TODO_DATABASE_URL"):
                raise ValueError("TODO_DATABASE_URL and TODO_DATABASE_URL_FILE: set one of them")
            self.database_url = self.database_url_file
        return self

    @model_validator(mode="after")
    def _check_proxies(self) -> Self:
        if self.auth == "local" and self.proxies:
            raise ValueError("TODO_PROXIES needs TODO_AUTH=token: a local server serves nothing that a proxy passes on")
        if self.auth == "token" and "proxies" not in self.model_fields_set:
            self.proxies = _proxies("127.0.0.1")
        return self


def load_settings() -> Settings:
    """The settings of this process; a wrong or unknown variable ends it with one line that names it.

    Variables in the file `.env` of the current folder count where the environment has none of their name.
    """
    try:
        load_dotenv(".env", interpolate=False)
    except (OSError, UnicodeDecodeError) as error:
        raise SystemExit(f"todo_api: .env can't be read: {error}") from None
    known = {PREFIX + name.upper() for name in Settings.model_fields}
    for name, value in os.environ.items():
        if name in known or not name.startswith(PREFIX) or name.startswith(TEST_PREFIX):
            continue
        if not _OF_A_SERVICE.fullmatch(f"{name}={value}"):
            near = get_close_matches(name, known, n=1)
            hint = f"; did you mean '{near[0]}'?" if near else ""
            raise SystemExit(f"todo_api: {name} is not a setting{hint}")
    try:
        return Settings()
    except ValidationError as error:
        first = error.errors(include_input=False)[0]
        if not first["loc"]:
            raise SystemExit(f"todo_api: {first['msg'].removeprefix('Value error, ')}") from None
        variable = PREFIX + str(first["loc"][0]).upper().removeprefix(PREFIX)
        if variable == "TODO_DATABASE_URL" and not os.environ.get(variable):
            variable = "DATABASE_URL"
        raise SystemExit(f"todo_api: {variable}: {first['msg'].removeprefix('Value error, ')}") from None
