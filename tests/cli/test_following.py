"""innominatus-ctl that follows what happens: by the server's streams, and without them."""

import json
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx2
import pytest

from cli import changes, ctl
from cli.client import connect
from cli.log_lines import LogLines, plainly
from engine.domain.values import JsonObject
from tests.support.platforms import until
from tests.support.served import Done, Served, call, clean_environment, score


class WithoutStreams(BaseHTTPRequestHandler):
    """A server from before there were streams, in front of one that has them."""

    behind: str
    asked: list[str]

    def do_GET(self) -> None:
        self.asked.append(self.path)
        if "/stream" in self.path or self.path.startswith("/ws/"):
            self.answer(404, b'{"code": "not_found"}')
        else:
            self.forward("GET", None)

    def do_POST(self) -> None:
        self.forward("POST", self.rfile.read(int(self.headers["Content-Length"] or 0)))

    def forward(self, method: str, body: bytes | None) -> None:
        kept = {name: self.headers[name] for name in ("Authorization", "Content-Type") if name in self.headers}
        found = httpx2.request(method, self.behind + self.path, content=body, headers=kept)
        self.answer(found.status_code, found.content)

    def answer(self, status: int, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:
        pass


@pytest.fixture
def without_streams(served: Served) -> Iterator[tuple[str, list[str]]]:
    asked: list[str] = []
    handler = type("Handler", (WithoutStreams,), {"behind": served.url, "asked": asked})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}", asked
    server.shutdown()
    server.server_close()
    thread.join()


def test_a_log_is_followed_to_its_end(served: Served, tmp_path: Path) -> None:
    started = served.ctl("run", "talk", "-p", f"dir={tmp_path}", "-o", "json").json["execution_id"]
    command = [sys.executable, "-m", "cli.ctl", "logs", str(started), "--follow"]
    environment = clean_environment(INNOMINATUS_DATA_DIR=str(served.data_dir))
    following = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment)
    assert following.stdout is not None
    assert following.stdout.readline() == "--- says (attempt 1)\n"
    assert following.stdout.readline() == "hello\n"
    (tmp_path / "go").touch()
    out, err = following.communicate(timeout=30)
    assert out == "goodbye\n--- ends (attempt 1)\nover\n"
    assert f"Execution {started} has failed." in err
    whole = served.ctl("logs", str(started), "-f", "--step", "ends")
    assert (whole.code, whole.out) == (0, "--- ends (attempt 1)\nover\n")
    lines = [
        json.loads(line) for line in served.ctl("workflow", "logs", str(started), "-f", "-o", "json").out.splitlines()
    ]
    assert "".join(line["text"] for line in lines[:-1]) == "hello\ngoodbye\nover\n"
    assert lines[-1]["status"] == "failed"
    assert served.ctl("logs", "999999", "--follow").code == 3


def ctl_at(url: str, served: Served, *args: str, stdin: str = "") -> Done:
    token = (served.data_dir / "token").read_text().strip()
    return call(ctl.main, "--server", url, "--token", token, *args, stdin=stdin)


def test_everything_can_be_followed_at_a_server_without_streams(
    served: Served, without_streams: tuple[str, list[str]], tmp_path: Path
) -> None:
    url, asked = without_streams
    (tmp_path / "go").touch()
    done = ctl_at(url, served, "run", "greet", "-p", "name=ada", "-w")
    assert (done.code, "hello ada" in done.out) == (0, True)
    failed = ctl_at(url, served, "run", "talk", "-p", f"dir={tmp_path}", "-w", "-o", "json")
    assert failed.code == 1
    logs = ctl_at(url, served, "logs", str(failed.json["id"]), "--follow")
    assert logs.out == "--- says (attempt 1)\nhello\ngoodbye\n--- ends (attempt 1)\nover\n"
    assert any(path.startswith("/ws/") for path in asked)


def test_what_was_printed_is_not_printed_again() -> None:
    said: list[str] = []
    lines = LogLines(plainly(said.append))
    one: JsonObject = {"step_name": "a", "step_number": 1, "attempt": 1}
    two: JsonObject = {"step_name": "b", "step_number": 2, "attempt": 1}
    lines.add(one, "first\n")
    lines.add(two, "other\n")
    lines.again()
    lines.add(one, "first\nsecond\n")
    lines.add(two, "oth")
    lines.add(two, "er\nmore\x1b\n")
    assert said == ["--- a (attempt 1)", "first", "--- b (attempt 1)", "other", "--- a (attempt 1)", "second",
                    "--- b (attempt 1)", "more\\x1b"]  # fmt: skip


def test_the_last_events_are_listed_and_what_comes_is_followed(served: Served) -> None:
    served.submit("eventful")
    listed = served.ctl("events", "--app", "eventful", "-o", "json").json
    assert "spec.submitted" in {event["kind"] for event in listed}
    assert [event["id"] for event in listed] == sorted(event["id"] for event in listed)
    only = served.ctl("events", "-a", "eventful", "--types", "resource.active", "-n", "1")
    assert len(only.out.splitlines()) == 1
    assert "resource.active" in only.out
    command = [sys.executable, "-m", "cli.ctl", "events", "--follow", "-n", "0", "-a", "eventful", "-o", "json"]
    environment = clean_environment(INNOMINATUS_DATA_DIR=str(served.data_dir))
    following = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment)
    heard: list[str] = []

    def read() -> None:
        assert following.stdout is not None
        heard.extend(json.loads(line)["kind"] for line in following.stdout)

    reader = threading.Thread(target=read)
    reader.start()
    level = iter(range(10_000))

    def again() -> bool:
        served.submit("eventful", note=f"n{next(level)}")
        return {"spec.submitted", "resource.active"} <= set(heard)

    until(again, seconds=60)
    following.terminate()
    following.wait(10)
    reader.join(10)
    assert following.stdout is not None
    following.stdout.close()
    assert "spec.submitted" in heard
    assert served.ctl("events", "--app", "nobody").code == 3


def test_a_deployment_and_a_run_are_looked_at_when_the_server_says_so(served: Served, tmp_path: Path) -> None:
    served.submit("watched")
    started = served.ctl("run", "talk", "-p", f"dir={tmp_path}", "-o", "json").json["execution_id"]
    token = (served.data_dir / "token").read_text().strip()
    with (
        connect(served.url, token) as api,
        changes.of_application(api, "watched", None) as of_app,
        changes.of_execution(api, started) as of_run,
    ):
        for change in (of_app, of_run):
            until(lambda change=change: change.live)
            change.wait()
        served.submit("watched", note="second")
        (tmp_path / "go").touch()
        until(lambda: of_app.rung)
        until(lambda: of_run.rung)


def test_following_needs_the_library_of_sockets_only_then() -> None:
    code = "import sys; import cli.server, cli.ctl, cli.serving, cli.progress; print('websockets' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"


@pytest.mark.parametrize("words", [("deploy", "-", "-w"), ("run", "greet", "-p", "name=ada", "-w")])
def test_who_waits_while_claiming_is_paused_is_told_by_whom_and_how_to_go_on(
    served: Served, words: tuple[str, ...]
) -> None:
    environment = clean_environment(INNOMINATUS_DATA_DIR=str(served.data_dir))
    assert served.ctl("admin", "pause", "--reason", "new disk").code == 0
    following = subprocess.Popen(
        [sys.executable, "-m", "cli.ctl", *words],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment,
    )  # fmt: skip
    try:
        assert following.stdin is not None
        assert following.stderr is not None
        following.stdin.write(score("held"))
        following.stdin.close()
        told = next((line for line in following.stderr if "paused" in line), "")
    finally:
        assert served.ctl("admin", "resume").code == 0
    assert told.startswith("Claiming is paused by api_key:token since 20")
    assert told.endswith("Z: new disk; go on: innominatus-ctl admin resume\n")
    following.stdin = None
    following.communicate(timeout=30)
    assert following.returncode == 0


def test_the_status_of_what_waits_while_claiming_is_paused_says_so(served: Served) -> None:
    assert served.ctl("admin", "pause").code == 0
    try:
        assert served.ctl("deploy", "-", stdin=score("stands")).code == 0
        run = str(served.ctl("run", "greet", "-p", "name=ada", "-o", "json").json["execution_id"])
        for words in (("status", "stands"), ("workflow", run)):
            told = served.ctl(*words).err
            assert told.startswith("Claiming is paused by api_key:token since 20")
            assert told.endswith("Z; go on: innominatus-ctl admin resume\n")
            assert served.ctl(*words, "-o", "json").err == ""
    finally:
        assert served.ctl("admin", "resume").code == 0
    assert served.submit("stands").code == 0
    assert "paused" not in served.ctl("status", "stands").err


def test_the_timeline_names_the_application_that_was_submitted_or_deleted(served: Served) -> None:
    def told(kinds: str) -> list[str]:
        listed = served.ctl("events", "-a", "named", "-e", "staging", "--types", kinds).out
        return [line.split("  ", 1)[1].strip() for line in listed.splitlines()]

    for note in ("first", "second"):
        assert served.submit("named", "-e", "staging", note=note).code == 0
    assert [line.split("  ")[-2:] for line in told("spec.submitted")] == [
        ["named in staging v1", "api_key:token"],
        ["named in staging v2", "api_key:token"],
    ]
    assert served.ctl("env", "named", "-e", "staging", "--reveal").code == 0
    assert "named in staging" in told("variables.revealed")[0]
    assert served.ctl("delete", "named", "-e", "staging", "--yes", "-w").code == 0
    assert "named in staging" in told("application.deleted")[0]
    served.submit("usual")
    assert "  usual v1  " in served.ctl("events", "-a", "usual", "--types", "spec").out
