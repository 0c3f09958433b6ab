"""Addresses in answers are absolute, and those by which the client called the server."""

import subprocess
from pathlib import Path

import httpx2 as httpx
import pytest

from tests.applications import as_owner, in_process
from tests.databases import SQLite
from tests.servers import PATIENCE, run, serving
from todo_api.__main__ import free_port

FORWARDED = {"x-forwarded-proto": "https", "x-forwarded-host": "todo.example", "x-forwarded-prefix": "/api"}


def addresses(client: httpx.Client, headers: dict[str, str]) -> tuple[str, str]:
    """Where a new todo is, and where the next page is, without its cursor."""
    location = ""
    for _ in range(2):
        created = client.post("/todos", json={"task": "x"}, headers=headers)
        assert created.status_code == 201
        location = created.headers["location"]
    link = client.get("/todos?limit=1", headers=headers).links["next"]["url"]
    return location.rpartition("/")[0], link.partition("?")[0]


@pytest.mark.parametrize(
    ("peer", "settings", "headers", "base"),
    [
        ("127.0.0.1", {}, {}, "http://127.0.0.1:8000"),
        ("127.0.0.1", {}, {"host": "todo.lan:81"}, "http://todo.lan:81"),
        ("127.0.0.1", {}, {"host": "[::1]:8000"}, "http://[::1]:8000"),
        ("127.0.0.1", {}, FORWARDED, "https://todo.example/api"),
        ("127.0.0.1", {}, {"x-forwarded-proto": "https"}, "https://127.0.0.1:8000"),
        ("127.0.0.1", {}, {"x-forwarded-host": "evil.example, todo.example:8443"}, "http://todo.example:8443"),
        ("127.0.0.1", {}, {"x-forwarded-proto": "javascript", "x-forwarded-host": "a/b"}, "http://127.0.0.1:8000"),
        ("127.0.0.1", {}, {"x-forwarded-prefix": "//evil.example"}, "http://127.0.0.1:8000"),
        ("127.0.0.1", {}, {"forwarded": "host=evil.example;proto=https"}, "http://127.0.0.1:8000"),
        ("127.0.0.1", {"proxies": "10.0.0.0/8"}, FORWARDED, "http://127.0.0.1:8000"),
        ("10.1.2.3", {"proxies": "10.0.0.0/8"}, FORWARDED, "https://todo.example/api"),
        ("::ffff:10.1.2.3", {"proxies": "10.0.0.0/8"}, FORWARDED, "https://todo.example/api"),
        ("192.168.1.1", {}, FORWARDED, "http://127.0.0.1:8000"),
        (None, {"proxies": "unix"}, FORWARDED, "https://todo.example/api"),
        (None, {}, FORWARDED, "http://127.0.0.1:8000"),
        ("127.0.0.1", {"url": "https://example.org/todo/"}, FORWARDED, "https://example.org/todo"),
    ],
)
def test_an_address_is_the_one_that_the_client_used(
    sqlite_backend: SQLite, peer: str | None, settings: dict[str, str], headers: dict[str, str], base: str
) -> None:
    url = sqlite_backend.migrated()
    token = as_owner(url, "alice")
    caller = (peer, 50000) if peer else None
    with in_process(caller, database_url=url, auth="token", **settings) as client:
        assert addresses(client, token | headers) == (f"{base}/todos", f"{base}/todos")
        assert client.get("/openapi.json", headers=headers).json()["servers"] == [{"url": base}]


@pytest.mark.parametrize(
    ("environment", "said"),
    [
        ({"TODO_PROXIES": "10.0.0.1"}, "TODO_PROXIES needs TODO_AUTH=token"),
        ({"TODO_AUTH": "token", "TODO_PROXIES": "proxy.lan"}, "TODO_PROXIES: must be addresses and networks"),
        ({"TODO_URL": "example.org"}, "TODO_URL: must be an address"),
        ({"TODO_URL": "https://example.org/?x=1"}, "TODO_URL: must be an address"),
    ],
)
def test_a_wrong_setting_of_addresses_ends_the_start(environment: dict[str, str], said: str) -> None:
    refused = run("todo_api", "--help", **environment)

    assert refused.returncode == 1
    assert said in refused.stderr


@pytest.mark.slow
def test_behind_a_root_path_nothing_is_lost(folder: Path, sqlite_backend: SQLite) -> None:
    command = ("uvicorn", "todo_api.main:app", "--root-path", "/api", "--port", "0")
    with serving(folder, *command, TODO_DATABASE_URL=sqlite_backend.migrated()) as (server, client):
        many = [{"task": "x", "notes": "n" * 1000} for _ in range(400)]
        assert client.post("/todos/bulk", json=many).status_code == 201
        assert client.get("/livez", headers={"x-forwarded-for": "10.0.0.1"}).status_code == 200
        assert client.get("/todos", headers={"x-forwarded-for": "10.0.0.1"}).status_code == 403
        assert addresses(client, {}) == (f"{server.url}/api/todos", f"{server.url}/api/todos")
        assert client.get("/nowhere/").json()["detail"] == "There is nothing here."


def test_an_encoded_slash_is_no_slash(folder: Path, sqlite_backend: SQLite) -> None:
    with serving(folder, TODO_DATABASE_URL=sqlite_backend.migrated()) as (_, client):
        client.post("/todos", json={"task": "x"})
        for method, path in (("DELETE", "/todos%2F1"), ("GET", "/todos%2f1"), ("POST", "/todos%2Fbulk")):
            assert client.request(method, path).status_code == 404
        assert client.get("/todos/1").status_code == 200
        assert httpx.get(client.get("/todos?limit=1").request.url).status_code == 200


NGINX = """
daemon off;
pid {folder}/nginx.pid;
error_log {folder}/error.log;
events {{}}
http {{
    access_log off;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    server {{
        listen 127.0.0.1:{port};
        proxy_set_header Host $http_host;
        location /api/ {{
            proxy_set_header X-Forwarded-Prefix /api;
            proxy_set_header X-Forwarded-Host $http_host;
            proxy_pass {server}/;
        }}
        location / {{
            proxy_pass {server};
        }}
    }}
}}
"""
FETCH = """
const [address, token] = process.argv.slice(1)
const headers = { authorization: token }
const first = await fetch(address, { headers })
const next = await fetch(first.headers.get("link").match(/<([^>]+)>/)[1], { headers })
console.log(next.status, (await next.json()).length)
"""


@pytest.mark.slow
@pytest.mark.parametrize("prefix", ["", "/api"])
def test_clients_behind_nginx_follow_addresses_as_they_are(folder: Path, sqlite_backend: SQLite, prefix: str) -> None:
    import requests  # which the slow tests alone install

    url = sqlite_backend.migrated()
    token = as_owner(url, "alice")
    port = free_port("127.0.0.1")
    with serving(folder, TODO_DATABASE_URL=url, TODO_AUTH="token") as (server, _):
        (folder / "nginx.conf").write_text(NGINX.format(folder=folder, port=port, server=server.url))
        nginx = subprocess.Popen(["/usr/sbin/nginx", "-c", folder / "nginx.conf"])
        try:
            base = f"http://127.0.0.1:{port}{prefix}"
            with httpx.Client(transport=httpx.HTTPTransport(retries=10), headers=token) as client:
                created = [client.post(f"{base}/todos", json={"task": "x"}).headers["location"] for _ in range(2)]
                assert created == [f"{base}/todos/1", f"{base}/todos/2"]
                assert client.get(created[1]).json()["id"] == 2
                following = client.get(f"{base}/todos?limit=1").links["next"]["url"]
                assert len(client.get(following).json()) == 1
            answer = requests.get(f"{base}/todos?limit=1", headers=token, timeout=PATIENCE)
            assert requests.get(answer.links["next"]["url"], headers=token, timeout=PATIENCE).json()[0]["id"] == 2
            node = ["node", "--input-type=module", "-e", FETCH, f"{base}/todos?limit=1", token["authorization"]]
            assert subprocess.run(node, capture_output=True, text=True, check=True).stdout == "200 1\n"
        finally:
            nginx.terminate()
            nginx.wait(PATIENCE)


HAPROXY = """
defaults
    mode http
    timeout connect 1s
    timeout client 30s
    timeout server 30s
frontend todos
    bind 127.0.0.1:{port} ssl crt {folder}/server.pem
    http-request set-header X-Forwarded-Proto https
    http-request set-header X-Forwarded-Host %[req.hdr(host)]
    http-request set-header X-Forwarded-Prefix /api if {{ path_beg /api/ }}
    http-request replace-path /api(/.*) \\1
    default_backend servers
backend servers
    server one {server}
"""


@pytest.mark.slow
@pytest.mark.parametrize("prefix", ["", "/api"])
def test_addresses_are_of_https_behind_haproxy_that_does_tls(folder: Path, sqlite_backend: SQLite, prefix: str) -> None:
    url = sqlite_backend.migrated()
    token = as_owner(url, "alice")
    port = free_port("127.0.0.1")
    key, certificate = folder / "key.pem", folder / "certificate.pem"
    made = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=127.0.0.1", "-days", "1"]
    subprocess.run([*made, "-keyout", key, "-out", certificate], check=True, capture_output=True)
    (folder / "server.pem").write_text(certificate.read_text() + key.read_text())
    with serving(folder, TODO_DATABASE_URL=url, TODO_AUTH="token") as (server, _):
        inside = server.url.removeprefix("http://")
        (folder / "haproxy.cfg").write_text(HAPROXY.format(folder=folder, port=port, server=inside))
        haproxy = subprocess.Popen(["/usr/sbin/haproxy", "-f", folder / "haproxy.cfg"])
        try:
            base = f"https://127.0.0.1:{port}{prefix}"
            transport = httpx.HTTPTransport(retries=10, verify=False)  # its own certificate
            with httpx.Client(transport=transport, headers=token) as client:
                for number in (1, 2):
                    created = client.post(f"{base}/todos", json={"task": "x"})
                    assert created.headers["location"] == f"{base}/todos/{number}"
                following = client.get(f"{base}/todos?limit=1").links["next"]["url"]
                assert following.startswith(f"{base}/todos?cursor=")
                assert [todo["id"] for todo in client.get(following).json()] == [2]
        finally:
            haproxy.terminate()
            haproxy.wait(PATIENCE)
