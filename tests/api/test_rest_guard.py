"""Who may pass: token, Host, Origin and the size of a body."""

import re
from collections.abc import Iterator

import anyio
import pytest
from starlette.testclient import TestClient
from starlette.types import Message, Receive, Scope, Send

from api.auth import PUBLIC, Gate, Guard, one_token
from engine.errors import Invalid
from tests.support.rest import TOKEN, Door, problem
from tests.support.score import score


@pytest.fixture
def stranger(door: Door) -> TestClient:
    """A client without a token, at the same door."""
    return TestClient(door.client.app, base_url="http://localhost:8081")


def test_everything_but_the_public_paths_wants_a_token(door: Door, stranger: TestClient) -> None:
    description = stranger.get("/openapi.json").json()
    for path, operations in description["paths"].items():
        for method in operations:
            answer = stranger.request(method.upper(), path.format(**dict.fromkeys(_NAMES, "1")))
            if path in PUBLIC:
                assert answer.status_code == 200, path
            else:
                problem(answer, 401, "unauthenticated")
                assert answer.headers["www-authenticate"] == "Bearer"
    assert stranger.get("/docs").status_code == 200


_NAMES = ("name", "app", "resource_id", "execution_id", "step")


def test_an_mcp_client_without_a_token_is_told_where_to_read_what_is_asked(stranger: TestClient) -> None:
    refused = stranger.post("/mcp")
    problem(refused, 401, "unauthenticated")
    where = "http://localhost:8081/.well-known/oauth-protected-resource/mcp"
    assert refused.headers["www-authenticate"] == f'Bearer resource_metadata="{where}"'
    told = stranger.get(where).json()
    assert (told["resource"], told["bearer_methods_supported"]) == ("http://localhost:8081/mcp", ["header"])
    assert stranger.get("/api/stats").headers["www-authenticate"] == "Bearer"


def test_paths_that_do_not_exist_tell_a_stranger_nothing(stranger: TestClient) -> None:
    for path in (
        "/nothing",
        "/docs/",
        "/docs/files",
        "/docs/files/redoc.standalone.js",
        "/docs/files/../page",
        "/api",
        "/health/",
        "/health/x",
        "/%2Fhealth",
        "/HEALTH",
        "/mcp",
        "/docs/../api/stats",
    ):
        problem(stranger.get(path), 401, "unauthenticated")


def test_the_first_page_tells_a_stranger_where_the_doors_are(stranger: TestClient) -> None:
    told = stranger.get("/").json()
    assert told["name"] == "innominatus"
    for path in told["doors"]:
        assert path == "/mcp" or stranger.get(path).status_code == 200, path
    assert set(told["doors"]) >= {"/docs", "/mcp", "/health", "/ready"}
    assert TOKEN not in str(told)


def test_the_page_that_describes_the_api_comes_whole_from_this_server(stranger: TestClient) -> None:
    page = stranger.get("/docs")
    parts = re.findall(r"""(?:src|href)=["']([^"']*)["']|url: '([^']*)'""", page.text)
    found = [source or url for source, url in parts]
    assert {place.rpartition(".")[2] for place in found} == {"js", "css", "png", "json"}
    for place in found:
        assert "//" not in place
        assert stranger.get(f"/{place}").status_code == 200, place
    assert "http" not in page.text
    assert '"validatorUrl": null' in page.text  # else it shows the description to a server on the Internet


@pytest.mark.parametrize(
    "headers",
    [
        {"Authorization": f"Bearer {TOKEN}"},
        {"Authorization": f"bearer  {TOKEN} "},
        {"X-API-Key": TOKEN},
        {"Authorization": "Basic abc", "X-API-Key": TOKEN},
    ],
)
def test_the_token_is_taken_from_either_header(stranger: TestClient, headers: dict[str, str]) -> None:
    assert stranger.get("/api/stats", headers=headers).status_code == 200


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Authorization": "Bearer"},
        {"Authorization": "Bearer "},
        {"Authorization": f"Basic {TOKEN}"},
        {"Authorization": TOKEN},
        {"Authorization": f"Bearer {TOKEN}x"},
        {"Authorization": f"Bearer {TOKEN[:-1]}"},
        {"Authorization": f"Bearer {TOKEN.upper()}"},
        {"X-API-Key": ""},
        {"Cookie": f"token={TOKEN}"},
    ],
)
def test_anything_else_is_not_the_token(stranger: TestClient, headers: dict[str, str]) -> None:
    problem(stranger.get("/api/stats", headers=headers), 401, "unauthenticated")
    problem(stranger.get(f"/api/stats?token={TOKEN}", headers=headers), 401, "unauthenticated")


def test_a_token_of_any_bytes_is_compared_and_refused(stranger: TestClient) -> None:
    for given in (b"\xff\xfe", "tökén".encode(), b"x" * 10_000):
        problem(stranger.get("/api/stats", headers={b"x-api-key": given}), 401, "unauthenticated")


def test_an_empty_token_opens_no_door() -> None:
    for token in ("", " "):
        with pytest.raises(Invalid):
            one_token(token)


@pytest.mark.parametrize(
    "host", ["localhost", "localhost:1", "LOCALHOST:8081", "127.0.0.1", "[::1]:8081", "platform.example:443"]
)
def test_known_hosts_are_answered(door: Door, host: str) -> None:
    assert door.client.get("/api/stats", headers={"Host": host}).status_code == 200


@pytest.mark.parametrize(
    "host",
    [
        "evil.example",
        "localhost.evil.example",
        "platform.example.evil",
        "a.platform.example",
        "evil@localhost",
        "localhost/x",
        "localhost:80:80",
        "localhost:x",
        "[::1",
        "",
        "0.0.0.0",
        "127.1",
        "localhost#",
    ],
)
def test_a_foreign_host_name_is_not_answered_even_with_the_token(door: Door, host: str) -> None:
    problem(door.client.get("/api/stats", headers={"Host": host}), 421, "unknown_host")
    problem(door.client.get("/openapi.json", headers={"Host": host}), 421, "unknown_host")
    assert door.client.get("/health", headers={"Host": host}).status_code == 200


def test_a_request_with_two_hosts_is_malformed(door: Door) -> None:
    headers = [("Host", "localhost"), ("Host", "evil.example")]
    problem(door.client.get("/api/stats", headers=headers), 400, "malformed_request")


@pytest.mark.parametrize("origin", ["http://localhost:3000", "http://127.0.0.1", "https://platform.example"])
def test_pages_of_this_server_may_call_it(door: Door, origin: str) -> None:
    assert door.client.get("/api/stats", headers={"Origin": origin}).status_code == 200


@pytest.mark.parametrize(
    "origin",
    [
        "http://evil.example",
        "null",
        "file://",
        "http://localhost.evil.example",
        "http://localhost@evil.example",
        "chrome-extension://localhost",
        "http://[",
        "",
    ],
)
def test_pages_of_other_sites_may_not(door: Door, origin: str) -> None:
    problem(door.client.get("/api/stats", headers={"Origin": origin}), 403, "foreign_origin")
    problem(door.client.options("/api/stats", headers={"Origin": origin}), 403, "foreign_origin")
    problem(door.client.get("/health", headers={"Origin": origin}), 403, "foreign_origin")


def test_a_star_answers_for_any_host_but_only_for_its_own_pages(door: Door) -> None:
    async def inner(scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 204, "headers": []})
        await send({"type": "http.response.body"})

    client = TestClient(
        Guard(inner, Gate(one_token("t"), {"*"})), base_url="http://any.example", headers={"X-API-Key": "t"}
    )
    assert client.get("/x").status_code == 204
    assert client.get("/x", headers={"Origin": "https://any.example"}).status_code == 204
    problem(client.get("/x", headers={"Origin": "https://evil.example"}), 403, "foreign_origin")


def test_a_body_over_the_limit_is_refused_before_it_is_read(door: Door) -> None:
    limit = door.house.platform.settings.max_spec_bytes * 2 + 100_000
    answer = door.client.post("/api/applications", content=b"x" * (limit + 1))
    problem(answer, 413, "body_too_large")


def test_a_body_without_a_length_is_read_only_up_to_the_limit(door: Door) -> None:
    asked = 0

    def endless() -> Iterator[bytes]:
        nonlocal asked
        while asked < 1000:
            asked += 1
            yield b"x" * 100_000

    problem(door.client.post("/api/applications", content=endless()), 413, "body_too_large")


def test_a_false_length_does_not_lift_the_limit(door: Door) -> None:
    for length in ("-1", "abc", "١٢", "9" * 30):
        answer = door.client.post(
            "/api/applications", content=score("x"), headers=[(b"Content-Length", length.encode())]
        )
        assert answer.status_code in {400, 413}
    message: Message = {"type": "http.request", "body": b"x" * 2000, "more_body": True}
    assert _through(Gate(one_token("t"), max_body=1000), [message], length="10")[0] == 413


def test_a_body_in_parts_arrives_whole() -> None:
    parts: list[Message] = [
        {"type": "http.request", "body": b"ab", "more_body": True},
        {"type": "http.request", "body": b"cd", "more_body": False},
    ]
    assert _through(Gate(one_token("t"), max_body=4), parts) == (200, b"abcd")
    assert _through(Gate(one_token("t"), max_body=3), parts)[0] == 413


def test_a_client_that_leaves_while_sending_is_told_to_whoever_reads() -> None:
    parts: list[Message] = [
        {"type": "http.request", "body": b"ab", "more_body": True},
        {"type": "http.disconnect"},
    ]
    assert _through(Gate(one_token("t")), parts) == (200, b"http.disconnect")


def _through(gate: Gate, messages: list[Message], *, length: str | None = None) -> tuple[int, bytes]:
    """What an app behind the guard gets to read, and the status."""
    sent: list[Message] = []
    waiting = list(messages)

    async def echo(scope: Scope, receive: Receive, send: Send) -> None:
        message = await receive()
        body = message.get("body", message["type"].encode())
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": body})

    async def receive() -> Message:
        return waiting.pop(0)

    async def send(message: Message) -> None:
        sent.append(message)

    headers = [(b"host", b"localhost"), (b"x-api-key", b"t")]
    if length is not None:
        headers.append((b"content-length", length.encode()))
    scope: Scope = {"type": "http", "method": "POST", "path": "/x", "headers": headers}
    anyio.run(Guard(echo, gate), scope, receive, send)
    return sent[0]["status"], sent[1]["body"]


def test_a_websocket_with_a_wrong_token_gets_no_further_than_the_door() -> None:
    sent: list[Message] = []

    async def inner(scope: Scope, receive: Receive, send: Send) -> None:
        raise AssertionError

    async def receive() -> Message:
        return {"type": "websocket.connect"}

    async def send(message: Message) -> None:
        sent.append(message)

    wrong = [(b"host", b"localhost"), (b"x-api-key", b"wrong")]
    scope: Scope = {"type": "websocket", "path": "/mcp", "headers": wrong}
    anyio.run(Guard(inner, Gate(one_token("t"))), scope, receive, send)
    assert sent[0]["type"] == "websocket.http.response.start"
    assert sent[0]["status"] == 401
