import base64
import json
import socket
import threading
import time
from collections.abc import Generator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Protocol

import pytest

from engine.domain.values import JsonObject
from engine.steps import registry
from engine.steps.base import RetryLater, StepCancelled, StepContext, StepFailed, StepTimeout


class Cancel(Protocol):
    event: threading.Event


class Context(StepContext, Protocol):
    @property
    def cancel(self) -> Any: ...

    held: bool


class Lab(Protocol):
    def prepare(self, step_type: str, config: JsonObject, *, seconds: float = 20) -> Context: ...
    def run(self, step_type: str, config: JsonObject, *, seconds: float = 20) -> JsonObject: ...
    @property
    def logged(self) -> list[str]: ...
    @property
    def masked(self) -> list[str]: ...


class Site:
    """A web server on a free port that answers what a test tells it and remembers what it was asked."""

    def __init__(self) -> None:
        self.answers: dict[str, tuple[int, dict[str, str], bytes]] = {}
        self.asked: list[tuple[str, str, dict[str, str], bytes]] = []
        site = self

        class Handler(BaseHTTPRequestHandler):
            def do(self) -> None:
                body = self.rfile.read(int(self.headers.get("content-length", 0)))
                headers = {name.lower(): value for name, value in self.headers.items()}
                site.asked.append((self.command, self.path, headers, body))
                status, more, content = site.answers.get(self.path.partition("?")[0], (404, {}, b"nothing here"))
                self.send_response(status)
                for name, value in more.items():
                    self.send_header(name, value)
                self.send_header("content-length", str(len(content)))
                self.end_headers()
                if self.command != "HEAD":
                    self.wfile.write(content)

            do_GET = do_POST = do_PUT = do_DELETE = do_HEAD = do_PATCH = do  # noqa: N815 - the base class looks for these

            def log_message(self, format: str, *args: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        self.thread = threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.01})
        self.thread.start()

    def answer(self, path: str, status: int = 200, body: object = b"", **headers: str) -> str:
        content = body if isinstance(body, bytes) else json.dumps(body).encode()
        self.answers[path] = (status, {name.replace("_", "-"): value for name, value in headers.items()}, content)
        return self.url + path

    def close(self) -> None:
        self.server.shutdown()
        self.server.server_close()
        self.thread.join()


@pytest.fixture
def site() -> Generator[Site]:
    site = Site()
    yield site
    site.close()


@pytest.fixture
def other() -> Generator[Site]:
    other = Site()
    yield other
    other.close()


def test_an_answer_is_read_into_outputs(lab: Lab, site: Site) -> None:
    url = site.answer("/things", 201, {"data": {"items": [{"id": 7}, {"id": "b"}], "a.b": None}})
    outputs = lab.run(
        "http",
        {
            "url": url,
            "method": "post",
            "json": {"name": "x", "n": [1, None]},
            "query": {"q": "a b&c=d", "n": 1},
            "expect": 201,
            "outputs": {"first": "data.items.0.id", "second": "data.items.1.id", "all": "."},
        },
    )
    assert outputs["first"] == 7
    assert outputs["second"] == "b"
    assert outputs["status"] == 201
    assert outputs["all"] == {"data": {"items": [{"id": 7}, {"id": "b"}], "a.b": None}}
    method, path, headers, body = site.asked[0]
    assert (method, path) == ("POST", "/things?q=a+b%26c%3Dd&n=1")
    assert headers["content-type"] == "application/json"
    assert headers["idempotency-key"] == "execution-1/step"
    assert json.loads(body) == {"name": "x", "n": [1, None]}


def test_reading_requests_send_no_idempotency_key(lab: Lab, site: Site) -> None:
    lab.run("http", {"url": site.answer("/")})
    assert "idempotency-key" not in site.asked[0][2]


def test_the_engines_environment_plays_no_part(lab: Lab, site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    monkeypatch.setenv("ALL_PROXY", "http://127.0.0.1:1")
    assert lab.run("http", {"url": site.answer("/")}) == {"status": 200}


@pytest.mark.parametrize("status", [500, 503, 429, 408])
def test_an_answer_that_may_change_is_tried_again(lab: Lab, site: Site, status: int) -> None:
    with pytest.raises(RetryLater, match=f"answered {status}, expected 2xx: be patient") as failed:
        lab.run("http", {"url": site.answer("/", status, b"be  patient\n", retry_after="7")})
    assert failed.value.after == 7


def test_an_endless_retry_after_is_bounded(lab: Lab, site: Site) -> None:
    with pytest.raises(RetryLater) as failed:
        lab.run("http", {"url": site.answer("/", 503, retry_after="999999999")})
    assert failed.value.after == 3600


def test_an_answer_that_stays_wrong_fails(lab: Lab, site: Site) -> None:
    with pytest.raises(StepFailed, match="answered 404, expected 200, 3xx: nothing here") as failed:
        lab.run("http", {"url": site.url + "/no", "expect": [200, "3xx"]})
    assert not isinstance(failed.value, RetryLater)


def test_an_expected_failure_is_a_success(lab: Lab, site: Site) -> None:
    assert lab.run("http", {"url": site.url + "/no", "method": "DELETE", "expect": ["2xx", 404]}) == {"status": 404}


def test_no_connection_is_tried_again(lab: Lab) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        port = unused.getsockname()[1]
        with pytest.raises(RetryLater, match="cannot be reached"):
            lab.run("http", {"url": f"http://127.0.0.1:{port}/"})


@pytest.fixture
def silent() -> Generator[str]:
    """A server that takes connections and says one byte at a time, for ever."""
    listener = socket.create_server(("127.0.0.1", 0))
    stop = threading.Event()

    def serve() -> None:
        while not stop.is_set():
            try:
                peer, _ = listener.accept()
            except OSError:
                return
            with peer:
                while not stop.wait(0.02):
                    try:
                        peer.sendall(b"H")
                    except OSError:
                        break

    thread = threading.Thread(target=serve)
    thread.start()
    yield f"http://127.0.0.1:{listener.getsockname()[1]}/"
    stop.set()
    listener.shutdown(socket.SHUT_RDWR)
    listener.close()
    thread.join()


def test_a_server_that_drips_bytes_cannot_hold_the_step(lab: Lab, silent: str) -> None:
    started = time.monotonic()
    with pytest.raises(RetryLater, match="did not answer within"):
        lab.run("http", {"url": silent, "timeout": 0.3})
    with pytest.raises(StepTimeout):
        lab.run("http", {"url": silent}, seconds=0.3)
    assert time.monotonic() - started < 3


def test_cancel_leaves_a_silent_server(lab: Lab, silent: str) -> None:
    context = lab.prepare("http", {"url": silent})
    context.cancel.event.set()
    with pytest.raises(StepCancelled):
        registry.executor("http").run(context)


def test_an_engine_that_may_have_lost_its_lease_sends_nothing(lab: Lab, site: Site) -> None:
    """It was stopped between the start of the step and here, and somebody else may do the same now."""
    context = lab.prepare("http", {"url": site.answer("/"), "method": "POST"})
    context.held = False
    with pytest.raises(StepCancelled):
        registry.executor("http").run(context)
    assert site.asked == []


def test_redirects_stay_on_the_host(lab: Lab, site: Site, other: Site) -> None:
    site.answer("/a", 302, location="/b")
    site.answer("/b", 200, {"x": 1})
    assert lab.run("http", {"url": site.url + "/a", "outputs": {"x": "x"}})["x"] == 1
    other.answer("/steal", 200)
    site.answer("/away", 307, location=other.url + "/steal?q=1")
    with pytest.raises(StepFailed, match="answered 307") as failed:
        lab.run("http", {"url": site.url + "/away", "headers": {"X-Api-Key": "k3y"}, "method": "POST", "body": "x"})
    assert other.asked == []
    assert failed.value.hint == f"It redirects to {other.url}/steal: put that under `url`."


def test_a_circle_of_redirects_ends(lab: Lab, site: Site) -> None:
    with pytest.raises(StepFailed, match="redirects more than 5 times"):
        lab.run("http", {"url": site.answer("/a", 302, location="/a")})


def test_credentials_are_masked_and_queries_are_not_logged(lab: Lab, site: Site) -> None:
    token = base64.b64encode(b"user:password").decode()
    url = site.answer("/") + "?key=s3cret"
    lab.run(
        "http", {"url": url, "headers": {"authorization": f"Basic {token}", "X-Auth-Token": "t0ken", "Accept": "x"}}
    )
    assert {token, "t0ken"} <= set(lab.masked)
    assert "x" not in lab.masked
    assert "s3cret" not in "".join(lab.logged)


def test_a_huge_answer_is_refused(lab: Lab, site: Site) -> None:
    with pytest.raises(StepFailed, match="larger than"):
        lab.run("http", {"url": site.answer("/", 200, b"x" * 10_000_001)})


@pytest.mark.parametrize(
    ("body", "path", "told"),
    [
        (b"not json", "a", "is not JSON"),
        ({"a": 1}, "b", "has no key `b`"),
        ({"a": [1]}, "a.1", "is a list of 1"),
        ({"a": [1]}, "a.-1", "is a list of 1"),
        ({"a": 1}, "a.b", "is a plain value"),
        ({"a": "\0"}, "a", "NUL byte"),
    ],
)
def test_an_answer_without_the_wanted_value_fails(lab: Lab, site: Site, body: object, path: str, told: str) -> None:
    with pytest.raises(StepFailed, match=told):
        lab.run("http", {"url": site.answer("/", 200, body), "outputs": {"x": path}})


@pytest.mark.parametrize(
    "config",
    [
        {},
        {"url": "ftp://x/"},
        {"url": "http://"},
        {"url": "http://u:p@x/"},
        {"url": "http://x:99999/"},
        {"url": "http://x/", "method": "BREW"},
        {"url": "http://x/", "body": "a", "json": None},
        {"url": "http://x/", "headers": {"a": "b\r\nHost: evil"}},
        {"url": "http://x/", "headers": {"a b": "c"}},
        {"url": "http://x/", "expect": []},
        {"url": "http://x/", "expect": 99},
        {"url": "http://x/", "expect": "2xy"},
        {"url": "http://x/", "timeout": "soon"},
        {"url": "http://x/", "timeout": 0},
        {"url": "http://x/", "verify": "maybe"},
    ],
)
def test_config_problems_are_found_before_the_run(config: JsonObject) -> None:
    assert len(registry.config_problems("http", config)) == 1


def test_a_url_with_an_expression_is_judged_when_rendered() -> None:
    assert registry.config_problems("http", {"url": "{{ parameters.url }}", "timeout": "{{ 3 }}"}) == []
    with pytest.raises(StepFailed, match="not a web address"):
        registry.parse_config("http", {"url": "file:///etc/passwd"})
