"""Hostile input, on both databases: refused in words, never an internal error, and the door stays open."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from starlette.testclient import TestClient

from api.app import create_app
from engine.store.database import Store
from tests.support import team
from tests.support.platforms import build_platform
from tests.support.score import score

TEXTS = [
    "%00",
    "a%00b",
    "%ff%fe",
    "%ED%A0%80",
    "..%2F..%2Fetc%2Fpasswd",
    "'%20OR%201=1--",
    "%25",
    "_",
    "x" * 5000,
    "%F0%9F%92%A9",
    "%0d%0aX-Evil:%201",
    "${resources.db.key}",
    "{{7*7}}",
]


@pytest.fixture
def client(store: Store, tmp_path: Path) -> Iterator[TestClient]:
    house = build_platform(store, tmp_path, [team.write(tmp_path / "team")])
    app = create_app(house.platform, token="t")
    with TestClient(app, base_url="http://localhost", headers={"X-API-Key": "t"}) as client:
        yield client


def _refused(client: TestClient, method: str, url: str, **more: object) -> int:
    answer = client.request(method, url, **more)  # pyright: ignore[reportArgumentType] # whatever the client takes
    assert answer.status_code < 500, (method, url[:100], more, answer.text)
    if answer.status_code >= 400:
        assert answer.headers["content-type"] == "application/problem+json"
        assert answer.json()["detail"]
    assert "x-evil" not in answer.headers
    return answer.status_code


def test_no_text_in_a_path_or_query_breaks_the_server(client: TestClient) -> None:
    for text in TEXTS:
        for path in ("applications/{}", "applications/{}/variables", "specs/{}", "golden-paths/{}", "providers/{}"):
            assert _refused(client, "GET", "/api/" + path.format(text)) in {404, 422}
        assert _refused(client, "GET", f"/api/graph/{text}/export?format=tree") in {404, 422}
        assert _refused(client, "DELETE", f"/api/applications/{text}") in {404, 422}
        assert _refused(client, "DELETE", f"/api/applications/shop?environment={text}") in {404, 422}
        assert _refused(client, "POST", f"/api/workflows/1/steps/{text}/continue") in {404, 422}
        assert _refused(client, "POST", f"/api/workflows/golden-paths/{text}/execute", json={}) in {404, 422}
        for query in (
            "applications?search={0}",
            "applications?environment={0}",
            "resources?app={0}",
            "resources?type={0}",
            "resources?environment={0}",
            "workflows?app={0}",
            "workflows?search={0}",
            "events?app={0}",
            "events?{0}=1",
        ):
            assert _refused(client, "GET", "/api/" + query.format(text)) in {200, 404, 422}
        for query in ("resources?state={0}", "workflows?status={0}", "resources?cursor={0}", "stats?{0}={0}"):
            assert _refused(client, "GET", "/api/" + query.format(text)) == 422


BODIES = [
    b"",
    b"\0",
    b"\xff\xfe\x00\x01",
    b"a: &a [*a]",
    b"x: &x [1,1]\ny: &y [*x,*x,*x,*x,*x,*x,*x,*x,*x]\nz: [*y,*y,*y,*y,*y,*y,*y,*y,*y]\n" * 3,
    b"[" * 5000,
    b"{" * 5000,
    b"a: " * 3000,
    b"- " * 3000,
    b"!!python/object/apply:os.system ['true']",
    b'apiVersion: score.dev/v1b1\nmetadata: {name: "a\\0b"}\ncontainers: {main: {image: x}}',
    b'apiVersion: score.dev/v1b1\nmetadata: {name: shop}\ncontainers: {main: {image: "\\0"}}',
    b"\xef\xbb\xbfapiVersion: score.dev/v1b1",
    b"--- \n---\n---",
    b"42",
    b"null",
    'metadata: {name: "\ud83d\ude00"}'.encode(errors="replace"),
]


def test_no_document_breaks_the_server(client: TestClient) -> None:
    for body in BODIES:
        for path in ("/api/applications", "/api/applications?dry_run=true", "/api/specs?strict=1"):
            assert _refused(client, "POST", path, content=body) in {400, 422}, body[:40]
        assert _refused(client, "POST", "/api/validate", content=body) == 200
        assert _refused(client, "POST", "/api/validate?kind=workflow", content=body) == 200
    assert client.get("/api/applications").json()["items"] == []


def test_no_json_body_breaks_the_server(client: TestClient) -> None:
    hostile = [
        '{"workflow": "hello", "inputs": {"name": "a\\u0000b"}}',
        '{"workflow": "hello", "inputs": {"name": "\\ud800"}}',
        '{"workflow": "hello", "inputs": {"\\u0000": 1, "name": "x"}}',
        '{"workflow": "hello", "inputs": {"name": "x", "size": NaN}}',
        '{"workflow": "hello", "inputs": {"name": "x", "size": 1e999}}',
        '{"workflow": "hello", "inputs": {"name": "x", "size": ' + "9" * 4000 + "}}",
        '{"workflow": "\\u0000", "inputs": {}}',
        '{"workflow": "hello", "inputs": ' + '{"a":' * 300 + "1" + "}" * 300 + "}",
        '{"workflow": "hello", "inputs": []}',
        '{"workflow": "make", "inputs": {"app_name": "a\\u0000"}}',
        '{"workflow": "make", "inputs": {"app_name": "shop", "resource_name": "x", "note": "\\udfff"}}',
        '{"workflow": "make", "inputs": {"app_name": "../../etc", "resource_name": "x"}}',
        '{"workflow": "hello", "inputs": {"name": "x"}, "environment": "UPPER case"}',
        '{"workflow": "hello", "inputs": {"name": "x"}, "environment": "\\u0000"}',
        '{"workflow": 5}',
        "[]",
        "null",
        '"x"',
    ]
    for body in hostile:
        answer = client.post("/api/workflows/execute", content=body, headers={"content-type": "application/json"})
        assert answer.status_code in {400, 404, 422}, (body[:90], answer.status_code, answer.text)
        assert answer.headers["content-type"] == "application/problem+json"
    assert client.get("/api/workflows").json()["items"] == []


def test_a_body_of_another_kind_is_refused(client: TestClient) -> None:
    for kind in ("text/plain", "application/x-www-form-urlencoded", "multipart/form-data", "application/octet-stream"):
        answer = client.post("/api/workflows/execute", content=b"workflow=hello", headers={"content-type": kind})
        assert 400 <= answer.status_code < 500
        assert answer.headers["content-type"] == "application/problem+json"


def test_options_inside_a_json_submission_are_checked_as_in_the_query(client: TestClient) -> None:
    wrong: list[dict[str, object]] = [
        {"environment": "a\0b"},
        {"environment": "NOT VALID"},
        {"plan_hash": "\0"},
        {"plan_hash": 7},
        {"dry_run": "maybe"},
        {"prune": []},
        {"source": None},
    ]
    for more in wrong:
        assert _refused(client, "POST", "/api/applications", json={"source": score("shop"), **more}) in {409, 422}, more


def test_headers_that_no_database_keeps_are_refused(client: TestClient) -> None:
    headers = [(b"Idempotency-Key", b"\xff\x00\xfe"), (b"content-type", b"text/yaml")]
    answer = client.post("/api/applications", content=score("shop"), headers=headers)
    assert answer.status_code in {202, 400, 422}
    long = client.post("/api/applications", content=score("shop"), headers={"Idempotency-Key": "k" * 100_000})
    assert long.status_code == 422
