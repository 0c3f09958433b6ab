"""The problems that clients are told of (RFC 9457). The docstring of each is the page that its `type` leads to."""

from collections.abc import Mapping, Sequence
from typing import Any

from starlette.exceptions import HTTPException

from todo_api.http.problem import InvalidValue, Problem


class Malformed(Problem):
    """The body is not JSON (RFC 8259)."""

    status, title, type = 400, "Malformed body", "/problems/malformed"


class Unauthorized(Problem):
    """The request has no valid token.

    Send `Authorization: Bearer` with a token that the operator of this server made for you by the command line
    (`python -m todo_api token create OWNER`), and never in the address, which browsers and proxies keep.
    """

    status, title, type = 401, "Unauthorized", "/problems/unauthorized"

    def __init__(self, detail: str, *, error: str = "") -> None:
        challenge = f', error="{error}"' if error else ""
        super().__init__(detail, headers={"WWW-Authenticate": f'Bearer realm="todo"{challenge}'})


class InsufficientScope(Problem):
    """The token may read and not change anything (RFC 6750, section 3.1)."""

    status, title, type = 403, "Insufficient scope", "/problems/insufficient-scope"

    def __init__(self) -> None:
        challenge = 'Bearer realm="todo", error="insufficient_scope"'
        super().__init__("The token may only read.", headers={"WWW-Authenticate": challenge})


class NotLocal(Problem):
    """This server serves the machine that it runs on, and nobody else.

    It needs no login (`TODO_AUTH=local`), so it refuses what comes from another machine or through a proxy. To serve
    others, its operator sets `TODO_AUTH=token` and makes a token for each of them.
    """

    status, title, type = 403, "Not from this machine", "/problems/not-local"

    def __init__(self, reason: str) -> None:
        super().__init__(f"Only this machine is served, and {reason}. To serve others, set TODO_AUTH=token.")


class OtherOrigin(Problem):
    """A web page of another origin sent the request, which may not call; `TODO_CORS_ORIGINS` names those that may."""

    status, title, type = 403, "Web page of another origin", "/problems/other-origin"

    def __init__(self) -> None:
        super().__init__("A web page of another origin sent the request. If it may, name it in TODO_CORS_ORIGINS.")


class NotFound(Problem):
    """There is no such resource: it never was, or it was deleted."""

    status, title, type = 404, "Not found", "/problems/not-found"


class TooMany(Problem):
    """More match than can be changed at once; nothing was changed.

    They are more than `max_affected` allows: `matched` is how many match, and `changed` how many would be changed or
    deleted, subtasks that go along included. Or their change took longer than the server lets one take
    (`TODO_BULK_TIMEOUT`): narrow the filter, and change them in several requests.
    """

    status, title, type = 409, "Too many affected", "/problems/too-many-affected"

    def __init__(self, matched: int | None = None, changed: int = 0) -> None:
        """Without numbers, the time was up."""
        if matched is None:
            super().__init__(
                "The change took too long, so nothing was changed: narrow the filter, or send fewer at once."
            )
        else:
            numbers = f"{matched} matched and {changed} would be changed"
            super().__init__(f"{numbers}, which is more than max_affected allows.")
            self.members = {"matched": matched, "changed": changed}


class NotEmpty(Problem):
    """The list has todos, so it was not deleted; `matched` is how many. `with_todos=true` deletes them with it."""

    status, title, type = 409, "Not empty", "/problems/not-empty"

    def __init__(self, matched: int) -> None:
        super().__init__(f"Todos in this list: {matched}. Send with_todos=true to delete them with it.")
        self.members = {"matched": matched}


class PreconditionFailed(Problem):
    """The resource is not as `If-Match` or `If-None-Match` says; nothing was changed.

    `current` is the resource as it is now and `ETag` its tag: make the change anew from there, and send that tag. A
    change of many has neither.
    """

    status, title, type = 412, "Precondition failed", "/problems/precondition-failed"

    def __init__(self, detail: str, current: Mapping[str, Any] | None = None, entity_tag: str = "") -> None:
        super().__init__(detail, headers={"ETag": entity_tag} if entity_tag else None)
        self.members = {} if current is None else {"current": current}


class TooLarge(Problem):
    """The body has more bytes than the server reads."""

    status, title, type = 413, "Content too large", "/problems/too-large"

    def __init__(self, limit: int) -> None:
        super().__init__(f"The body must have at most {limit} bytes.")


class UnsupportedMediaType(Problem):
    """The body is not of a media type that this operation reads."""

    status, title, type = 415, "Unsupported media type", "/problems/unsupported-media-type"

    def __init__(self, media_types: Sequence[str], method: str) -> None:
        accepted = ", ".join(media_types)
        name = "Accept-Patch" if method == "PATCH" else "Accept"
        super().__init__(f"Send the body as Content-Type: {accepted}.", headers={name: accepted})


class UnsupportedCoding(Problem):
    """The body is compressed, or coded in another way that this server does not read."""

    status, title, type = 415, "Unsupported content coding", "/problems/unsupported-content-coding"

    def __init__(self) -> None:
        super().__init__("Send the body as it is, without Content-Encoding.", headers={"Accept-Encoding": "identity"})


class Misdirected(Problem):
    """The request is for a server of another name.

    A server that needs no login (`TODO_AUTH=local`) answers as `localhost`, `127.0.0.1` and `[::1]` alone, since any
    web page could reach it under a name of its own. `TODO_ALLOWED_HOSTS` names further ones.
    """

    status, title, type = 421, "Misdirected request", "/problems/misdirected"

    def __init__(self) -> None:
        super().__init__("Host is none of this server's names. If it is one, add it to TODO_ALLOWED_HOSTS.")


class PreconditionRequired(Problem):
    """This server asks for `If-Match` with each change (RFC 6585), so that no change of somebody else is lost."""

    status, title, type = 428, "Precondition required", "/problems/precondition-required"


MAX_ERRORS = 100
"""Errors of one request that are named. More would only make the answer larger."""


class Invalid(Problem):
    """A parameter or a member of the body breaks a rule; `errors` names each of them, up to 100."""

    status, title, type = 422, "Validation failed", "/problems/validation"

    def __init__(self, errors: Sequence[InvalidValue], number: int | None = None) -> None:
        """`number` is that of all errors, if not all of them are given."""
        first, number = errors[0], number or len(errors)
        more = f" (and {number - 1} more)" if number > 1 else ""
        where = first["pointer"] or ("query" if first["code"] == "unknown_parameter" else "body")
        super().__init__(f"{where}: {first['detail']}{more}")
        self.members = {"errors": errors[:MAX_ERRORS]}


class KeyReused(Problem):
    """The `Idempotency-Key` was sent with another request before.

    Method, path, query and body of both must be the same, byte for byte. Give each request a key of its own.
    """

    status, title, type = 422, "Idempotency key reused", "/problems/idempotency-key-reused"

    def __init__(self) -> None:
        super().__init__("Another request has succeeded with this Idempotency-Key: send a new key.")


class HeadTooLarge(Problem):
    """The target and the fields of the request have more bytes than the server reads (RFC 6585)."""

    status, title, type = 431, "Request header fields too large", "/problems/head-too-large"

    def __init__(self, limit: int) -> None:
        super().__init__(f"The target and the fields must have at most {limit} bytes.")


class Internal(Problem):
    """The server failed, which is no fault of the request. Its log says why, under the `X-Request-Id` of the answer."""

    status, title, type = 500, "Internal server error", "/problems/internal"

    def __init__(self) -> None:
        super().__init__("The server failed to answer; its log says why.")


DAMAGED = "The database may be damaged, so nothing is written to it until it is looked through; the log says more."


class Unavailable(Problem):
    """The database does not answer in time; the same request may succeed later.

    Nothing was changed, unless the connection to the database broke, or fell silent, just as a change was being made:
    look before you repeat it.
    """

    status, title, type = 503, "Service unavailable", "/problems/unavailable"

    def __init__(self, detail: str = "The database does not answer; try again.") -> None:
        super().__init__(detail, headers={"Retry-After": "1"})


class DiskFull(Problem):
    """The disk of the database is full; nothing was changed.

    Reads are answered, and to delete is a write. There is no point in sending the request again before the operator of
    the server has made room.
    """

    status, title, type = 507, "Disk full", "/problems/disk-full"

    def __init__(self) -> None:
        super().__init__("The disk of the database is full, so nothing was changed; its operator has to make room.")


class NotModified(HTTPException):
    """304: the client has the present version. No error, so no problem document."""

    def __init__(self, entity_tag: str | None) -> None:
        super().__init__(304, headers={"ETag": entity_tag} if entity_tag else None)
