"""What becomes of malformed requests, and of those that try to smuggle another one past a proxy.

Each case is sent as it stands over a socket to the real command, with one more plain request behind it. The verdict is
the list of the statuses that come back until the server closes, and what was created: a request that is refused ends
its connection, so that what follows is never read as a request of its own.
"""

import socket
from collections.abc import Iterator

import httpx2 as httpx
import pytest

from tests.databases import SQLite
from tests.servers import Server, exchange, receive, serving, statuses

BODY = '{"task":"sent"}'


def request(line: str, *fields: str, body: str = "") -> bytes:
    """A request; what is not ASCII is sent as Latin-1."""
    return "\r\n".join([line, *fields, "", body]).encode("latin-1")


def get(*fields: str, target: str = "/todos") -> bytes:
    return request(f"GET {target} HTTP/1.1", "Host: 127.0.0.1", *fields)


def post(*fields: str, body: str = BODY, line: str = "POST /todos HTTP/1.1") -> bytes:
    return request(line, "Host: 127.0.0.1", "Content-Type: application/json", *fields, body=body)


def sized(*fields: str) -> bytes:
    return post("Content-Length: 15", *fields)


def chunked(body: str, *fields: str) -> bytes:
    return post("Transfer-Encoding: chunked", *fields, body=body)


SMUGGLED = post("Content-Length: 19", body='{"task":"smuggled"}').decode()
CHUNKS = f"f\r\n{BODY}\r\n0\r\n\r\n"
END = get("Connection: close", target="/end")
"""Sent behind every case: answered 404 when the case left the connection in order, never when it was refused."""

REFUSED = [400]
NOT_FOUND = [404, 404]
"""What names no resource of this server, the end behind it as well."""
MISDIRECTED = [421, 404]
"""What is for a server of another name."""
READ = [200, 404]
"""A GET of the list, then the end."""
CREATED = [201, 404]
"""BODY, and nothing else, was the body of one request; then came the end."""

CASES = {
    # The length of a body, and of what only looks like one.
    "a length": (sized(), CREATED),
    "a length with spaces around": (post("Content-Length:   15  "), CREATED),
    "a length with zeros before": (post("Content-Length: 0015"), CREATED),
    "a length and chunks (CL.TE)": (chunked("0\r\n\r\n" + SMUGGLED, "Content-Length: 5"), REFUSED),
    "chunks and a length (TE.CL)": (
        post("Content-Length: 4", "Transfer-Encoding: chunked", body=f"5c\r\n{SMUGGLED}\r\n0\r\n\r\n"),
        REFUSED,
    ),
    "a length of nothing and chunks": (chunked(CHUNKS, "Content-Length: 0"), REFUSED),
    "two lengths that differ": (post("Content-Length: 15", "Content-Length: 2"), REFUSED),
    "two lengths that agree": (post("Content-Length: 15", "Content-Length: 15"), CREATED),
    "a list of lengths that agree": (post("Content-Length: 15, 15"), REFUSED),
    "a list of lengths that differ": (post("Content-Length: 15, 2"), REFUSED),
    "a length with a sign": (post("Content-Length: +15"), REFUSED),
    "a negative length": (post("Content-Length: -1"), REFUSED),
    "a length in hexadecimal": (post("Content-Length: 0xf"), REFUSED),
    "a length with an underscore": (post("Content-Length: 1_5"), REFUSED),
    "a length with a space within": (post("Content-Length: 1 5"), REFUSED),
    "a length with a fraction": (post("Content-Length: 15.0"), REFUSED),
    "an empty length": (post("Content-Length:"), REFUSED),
    "a length in digits that are not ASCII": (post("Content-Length: 1\u00b2"), REFUSED),
    "a length of 2^64 + 15": (post("Content-Length: 18446744073709551631"), REFUSED),
    "a length of 40 digits": (post("Content-Length: " + "9" * 40), REFUSED),
    "a GET with a body": (get("Content-Length: 15") + BODY.encode(), READ),
    "a GET with a request as its body": (get(f"Content-Length: {len(SMUGGLED)}") + SMUGGLED.encode(), READ),
    # Transfer-Encoding, and its disguises.
    "chunks": (chunked(CHUNKS), CREATED),
    "an encoding in capitals": (post("TRANSFER-ENCODING: CHUNKED", body=CHUNKS), CREATED),
    "an encoding twice": (chunked(CHUNKS, "Transfer-Encoding: chunked"), REFUSED),
    "an encoding twice, once unknown (TE.TE)": (chunked(CHUNKS, "Transfer-Encoding: cow"), REFUSED),
    "an encoding twice in a list": (post("Transfer-Encoding: chunked, chunked", body=CHUNKS), REFUSED),
    "an unknown encoding": (post("Transfer-Encoding: cow", body=SMUGGLED), REFUSED),
    "a compressed body in chunks": (post("Transfer-Encoding: gzip, chunked", body=CHUNKS), [400, 404]),
    "chunked, then identity": (post("Transfer-Encoding: chunked, identity", body=CHUNKS), REFUSED),
    "the encoding identity": (post("Transfer-Encoding: identity", "Content-Length: 15"), REFUSED),
    "an encoding with a prefix": (post("Transfer-Encoding: xchunked", body=SMUGGLED), REFUSED),
    "an encoding in quotes": (post('Transfer-Encoding: "chunked"', body=CHUNKS), REFUSED),
    "an encoding with a parameter": (post("Transfer-Encoding: chunked;q=1", body=CHUNKS), REFUSED),
    "an empty encoding": (post("Transfer-Encoding:", "Content-Length: 15"), REFUSED),
    "an encoding behind a vertical tab": (post("Transfer-Encoding:\x0bchunked", body=CHUNKS), REFUSED),
    "a space before the colon": (sized("Transfer-Encoding : chunked"), REFUSED),
    "a tab before the colon": (sized("Transfer-Encoding\t: chunked"), REFUSED),
    "a field with a space before its name": (sized(" Transfer-Encoding: chunked"), REFUSED),
    "an encoding folded over two lines": (post("Transfer-Encoding:", " chunked", body=CHUNKS), REFUSED),
    "an encoding in HTTP/1.0": (
        post("Transfer-Encoding: chunked", body=CHUNKS, line="POST /todos HTTP/1.0"),
        [201],
    ),
    "an underscore for a hyphen": (sized("Transfer_Encoding: chunked", "Content_Length: 2"), CREATED),
    # Chunks.
    "two chunks": (chunked(f"1\r\n{BODY[0]}\r\ne\r\n{BODY[1:]}\r\n0\r\n\r\n"), CREATED),
    "a size in capitals with zeros before": (chunked(CHUNKS.replace("f", "000F", 1)), CREATED),
    "an extension": (chunked(CHUNKS.replace("f", "f;name=value", 1)), CREATED),
    "an extension that holds a line feed": (chunked(CHUNKS.replace("f", "f;a\nb", 1)), REFUSED),
    "an extension of 70,000 bytes": (chunked(CHUNKS.replace("f", "f;" + "a" * 70_000, 1)), REFUSED),
    "a size with a prefix": (chunked(CHUNKS.replace("f", "0xf", 1)), REFUSED),
    "a size with a sign": (chunked(CHUNKS.replace("f", "+f", 1)), REFUSED),
    "a negative size": (chunked("-1\r\n" + CHUNKS), REFUSED),
    "a size with a space before": (chunked(CHUNKS.replace("f", " f", 1)), REFUSED),
    "a size with an underscore": (chunked(CHUNKS.replace("f", "0_f", 1)), REFUSED),
    "an empty size": (chunked("\r\n" + CHUNKS), REFUSED),
    "a size that is no number": (chunked("xyz\r\n" + CHUNKS), REFUSED),
    "a size of 2^64 + 15": (chunked(CHUNKS.replace("f", "1000000000000000f", 1)), REFUSED),
    "a size too small for its chunk": (chunked(CHUNKS.replace("f", "e", 1)), REFUSED),
    "a size ended by a line feed alone": (chunked(CHUNKS.replace("f\r\n", "f\n", 1)), REFUSED),
    "a chunk ended by a line feed alone": (chunked(CHUNKS.replace("}\r\n", "}\n")), REFUSED),
    "a last chunk ended by line feeds alone": (chunked(f"f\r\n{BODY}\r\n0\n\n" + SMUGGLED), REFUSED),
    "a chunk ended by other bytes": (chunked(CHUNKS.replace("}\r\n", "}xx")), REFUSED),
    "a trailer": (chunked(CHUNKS[:-2] + "Checksum: 1\r\n\r\n"), CREATED),
    "a trailer that is no field": (chunked(CHUNKS[:-2] + "POST /todos HTTP/1.1\r\n\r\n"), REFUSED),
    "a length in a trailer": (chunked(CHUNKS[:-2] + f"Content-Length: {len(END)}\r\n\r\n"), REFUSED),
    "trailers of 70,000 bytes": (chunked(CHUNKS[:-2] + "A: b\r\n" * 12_000 + "\r\n"), [431]),
    # Lines and fields.
    "line feeds alone": (get().replace(b"\r\n", b"\n"), REFUSED),
    "a line feed alone behind a field": (get("X: y\nTransfer-Encoding: chunked"), REFUSED),
    "a line feed alone as the last line": (sized()[: -len(BODY) - 2] + b"\n" + BODY.encode(), REFUSED),
    "a carriage return alone in a value": (get("X: y\rTransfer-Encoding: chunked"), REFUSED),
    "a carriage return alone behind the name": (get("X\r: y"), REFUSED),
    "a carriage return twice": (get("X: y\r"), REFUSED),
    "NUL in a name": (get("X\0Y: z"), REFUSED),
    "NUL in a value": (get("X: y\0z"), REFUSED),
    "a control character in a value": (get("X: y\x01z"), REFUSED),
    "DEL in a value": (get("X: y\x7fz"), REFUSED),
    "a space within a name": (get("X Y: z"), REFUSED),
    "a bracket within a name": (get("X[Y]: z"), REFUSED),
    "a name that is not ASCII": (get("N\u00e4me: z"), REFUSED),
    "a value that is not ASCII": (get("X: \u00e4"), READ),
    "a value of nothing": (get("X:"), READ),
    "no name": (get(": x"), REFUSED),
    "no colon": (get("X"), REFUSED),
    "a folded value": (get("X: y", " z"), REFUSED),
    "a first field that is folded": (request("GET /todos HTTP/1.1", " Host: 127.0.0.1"), REFUSED),
    "an empty line before": (b"\r\n" + get(), REFUSED),
    "a value of 10,000 bytes": (get("X: " + "y" * 10_000), [431, 404]),
    "a value of 1,000,000 bytes": (get("X: " + "y" * 1_000_000), [431]),
    "a name of 10,000 bytes": (get("X" * 10_000 + ": y"), [431, 404]),
    "500 fields": (get(*["X: 123456789012345678"] * 500), [431]),
    "20,000 fields": (get(*["X: y"] * 20_000), [431]),
    "a target of 10,000 bytes": (get(target="/todos/" + "1" * 10_000), [431, 404]),
    "a target of 1,000,000 bytes": (get(target="/todos/" + "1" * 1_000_000), [431]),
    "a method of 100,000 bytes": (request("G" * 100_000 + " /todos HTTP/1.1", "Host: 127.0.0.1"), [431]),
    # The request line.
    "no host": (request("GET /todos HTTP/1.1"), REFUSED),
    "two hosts": (get("Host: evil.example"), REFUSED),
    "a host twice": (get("Host: 127.0.0.1"), REFUSED),
    "no host in HTTP/1.0": (request("GET /todos HTTP/1.0", "Connection: keep-alive"), [421]),
    "HTTP/1.0 that stays": (request("GET /todos HTTP/1.0", "Host: 127.0.0.1", "Connection: keep-alive"), [200]),
    "an absolute target": (get(target="http://127.0.0.1:8000/todos?limit=1"), READ),
    "an absolute target in capitals": (get(target="HTTP://LocalHost/todos"), READ),
    "an absolute target with a body": (
        post("Content-Length: 15", line="POST http://127.0.0.1/todos HTTP/1.1"),
        CREATED,
    ),
    "an absolute target in HTTP/1.0": (request("GET http://127.0.0.1/todos HTTP/1.0", "Connection: keep-alive"), [200]),
    "an absolute target with an encoded letter": (get(target="http://127.0.0.1/todo%73"), READ),
    "an absolute target without a path": (get(target="http://127.0.0.1?limit=1"), [307, 404]),
    "an absolute target of another host": (get(target="http://evil.example/todos"), MISDIRECTED),
    "an absolute target of another host, with its Host": (
        request("GET http://evil.example/todos HTTP/1.1", "Host: evil.example"),
        MISDIRECTED,
    ),
    "an absolute target of this host, with another Host": (
        request("GET http://127.0.0.1/todos HTTP/1.1", "Host: evil.example"),
        READ,
    ),
    "an absolute target, with a page of Host": (
        request("GET http://127.0.0.1/todos HTTP/1.1", "Host: evil.example", "Origin: http://evil.example"),
        [403, 404],
    ),
    "an absolute target of another host that begins as this one": (
        get(target="http://127.0.0.1.evil.example/todos"),
        MISDIRECTED,
    ),
    "an absolute target of another host in a query": (get(target="http://evil.example?@127.0.0.1/todos"), MISDIRECTED),
    "an absolute target of another host in a fragment": (
        get(target="http://evil.example#@127.0.0.1/todos"),
        NOT_FOUND,
    ),
    "an absolute target of another host behind a backslash": (
        get(target="http://127.0.0.1\\@evil.example/todos"),
        NOT_FOUND,
    ),
    "an absolute target with an encoded host": (get(target="http://127.0.0.1%2eevil.example/todos"), MISDIRECTED),
    "an absolute target with a user": (get(target="http://evil.example@127.0.0.1/todos"), NOT_FOUND),
    "an absolute target without a host": (get(target="http:///todos"), NOT_FOUND),
    "an absolute target without a Host": (request("GET http://127.0.0.1/todos HTTP/1.1"), REFUSED),
    "an absolute target with two Hosts": (get("Host: 127.0.0.1", target="http://127.0.0.1/todos"), REFUSED),
    "an absolute target within an absolute target": (get(target="http://127.0.0.1/http://127.0.0.1/todos"), NOT_FOUND),
    "an absolute target of another protocol": (get(target="https://127.0.0.1/todos"), NOT_FOUND),
    "an absolute target of 10,000 bytes": (get(target="http://" + "a" * 10_000 + "/todos"), MISDIRECTED),
    "an asterisk": (request("OPTIONS * HTTP/1.1", "Host: 127.0.0.1"), [204, 404]),
    "an asterisk for a GET": (get(target="*"), NOT_FOUND),
    "an authority": (request("CONNECT 127.0.0.1:80 HTTP/1.1", "Host: 127.0.0.1:80"), NOT_FOUND),
    "an authority for a GET": (get(target="127.0.0.1:80"), NOT_FOUND),
    "a target without a slash": (get(target="todos"), NOT_FOUND),
    "a target with a space": (get(target="/todos HTTP/1.1\u00a0"), REFUSED),
    "two spaces": (request("GET  /todos HTTP/1.1", "Host: 127.0.0.1"), REFUSED),
    "a tab for a space": (request("GET\t/todos\tHTTP/1.1", "Host: 127.0.0.1"), REFUSED),
    "no target": (request("GET HTTP/1.1", "Host: 127.0.0.1"), REFUSED),
    "a target that is not ASCII": (get(target="/todos/\u00e4"), REFUSED),
    "a query that is not ASCII": (get(target="/todos?q=\u00e4"), REFUSED),
    "a target with NUL": (get(target="/todos/\0"), REFUSED),
    "a target with a control character": (get(target="/todos/\x1f"), REFUSED),
    "a target with an encoded line break": (get(target="/todos/1%0d%0aX:%20y"), [422, 404]),
    "a target with encoded NUL": (get(target="/todos/%00"), [422, 404]),
    "a target with a fragment": (get(target="/todos#x"), NOT_FOUND),
    "HTTP/0.9": (b"GET /todos\r\n\r\n", REFUSED),
    "HTTP/0.9 with a version": (request("GET /todos HTTP/0.9", "Host: 127.0.0.1"), REFUSED),
    "HTTP/2.0": (request("GET /todos HTTP/2.0", "Host: 127.0.0.1"), REFUSED),
    "HTTP/1.2": (request("GET /todos HTTP/1.2", "Host: 127.0.0.1"), READ),
    "HTTP/1.10": (request("GET /todos HTTP/1.10", "Host: 127.0.0.1"), REFUSED),
    "HTTP/01.1": (request("GET /todos HTTP/01.1", "Host: 127.0.0.1"), REFUSED),
    "http in small letters": (request("GET /todos http/1.1", "Host: 127.0.0.1"), REFUSED),
    "another protocol's name": (request("GET /todos HTTQ/1.1", "Host: 127.0.0.1"), REFUSED),
    "the preface of HTTP/2": (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", REFUSED),
    "TLS": (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\xaa" * 506, REFUSED),
    "a method in small letters": (request("get /todos HTTP/1.1", "Host: 127.0.0.1"), [405, 404]),
    "an unknown method": (request("BREW /todos HTTP/1.1", "Host: 127.0.0.1"), [405, 404]),
    "a method with a bracket": (request("G[T /todos HTTP/1.1", "Host: 127.0.0.1"), REFUSED),
    "TRACE": (request("TRACE /todos HTTP/1.1", "Host: 127.0.0.1"), [405, 404]),
    "HEAD": (request("HEAD /todos HTTP/1.1", "Host: 127.0.0.1"), READ),
    "OPTIONS": (request("OPTIONS /todos HTTP/1.1", "Host: 127.0.0.1"), [204, 404]),
    # Several requests in one go.
    "two requests": (get() + sized(), [200, 201, 404]),
    "1,000 requests": (get(target="/todos?limit=1") * 1000, [200] * 1000 + [404]),
    "a request, then none": (sized() + b"nonsense\r\n\r\n", [201, 400]),
    "a request that closes, then another": (get("Connection: close") + SMUGGLED.encode(), [200]),
    "a body that is a request": (post(f"Content-Length: {len(SMUGGLED)}", body=SMUGGLED), [400, 404]),
    "a refused body, then a request": (post("Content-Length: 3", body="{}}") + sized(), [400, 201, 404]),
    # Changes of the protocol, and the wait for a body.
    "HTTP/2 as the JDK asks for it": (
        sized("Connection: Upgrade, HTTP2-Settings", "Upgrade: h2c", "HTTP2-Settings: AAEAAEAAAAIAAAABAAMAAABk"),
        CREATED,
    ),
    "HTTP/2 as the JDK asks for it, in chunks": (
        chunked(CHUNKS, "Connection: Upgrade, HTTP2-Settings", "Upgrade: h2c", "HTTP2-Settings: AAEAAEAAAAI"),
        CREATED,
    ),
    "WebSocket": (
        get("Connection: Upgrade", "Upgrade: websocket", "Sec-WebSocket-Version: 13", "Sec-WebSocket-Key: " + "A" * 24),
        READ,
    ),
    "WebSocket with a body": (sized("Connection: Upgrade", "Upgrade: websocket"), CREATED),
    "a hidden length (Connection: Content-Length)": (sized("Connection: Content-Length"), CREATED),
    "100-continue": (sized("Expect: 100-continue"), [100, *CREATED]),
    "100-continue for nothing": (get("Expect: 100-continue"), READ),
    "another expectation": (sized("Expect: tea"), CREATED),
}


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory, sqlite_backend: SQLite) -> Iterator[tuple[Server, httpx.Client]]:
    folder = tmp_path_factory.mktemp("http-parser")
    with serving(folder, TODO_DATABASE_URL=sqlite_backend.migrated(), TODO_REQUEST_TIMEOUT="2") as running:
        yield running


Running = tuple[Server, httpx.Client]


def verdict_of(served: Running, *pieces: bytes) -> list[int]:
    """The statuses that come back; a 201 stands for one todo of BODY, and every error is a problem document."""
    server, client = served
    answers = exchange(server, *pieces)
    created = client.get("/todos").json()
    for todo in created:
        client.delete(f"/todos/{todo['id']}")

    found = statuses(answers)
    assert [todo["task"] for todo in created] == ["sent"] * found.count(201)
    assert answers.count(b"application/problem+json") == sum(status >= 400 for status in found)
    return found


@pytest.mark.parametrize(("sent", "verdict"), CASES.values(), ids=CASES.keys())
def test_each_request_has_its_verdict(served: Running, sent: bytes, verdict: list[int]) -> None:
    assert verdict_of(served, sent + END) == verdict


def test_the_verdict_is_the_same_when_a_request_comes_in_pieces(served: Running) -> None:
    # Not those that ask for the end of the connection: what they send after it is not read.
    short = {
        name: case
        for name, case in CASES.items()
        if len(case[0]) < 1000 and case[1][-1] >= 400 and b"HTTP/1.0" not in case[0]
    }
    found = {name: verdict_of(served, *in_pieces(sent + END)) for name, (sent, _) in short.items()}

    assert found == {name: verdict for name, (_, verdict) in short.items()}


def in_pieces(sent: bytes) -> list[bytes]:
    return [sent[start : start + 3] for start in range(0, len(sent), 3)]


def test_a_client_that_closes_its_side_gets_its_answer(served: Running) -> None:
    server, _ = served
    with server.connect() as connection:
        connection.sendall(sized())
        connection.shutdown(socket.SHUT_WR)
        assert b"HTTP/1.1 201 " in receive(connection)
