import socket
import threading
from pathlib import Path
from typing import Any, Protocol

import pytest

from engine.domain.values import JsonObject
from engine.steps import registry
from engine.steps.base import StepCancelled, StepContext, StepFailed


class Context(StepContext, Protocol):
    @property
    def cancel(self) -> Any: ...


class Lab(Protocol):
    workspace: Path

    def prepare(self, step_type: str, config: JsonObject, *, seconds: float = 20) -> Context: ...
    def run(self, step_type: str, config: JsonObject, *, seconds: float = 20) -> JsonObject: ...


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def test_a_tcp_port_is_found_open_or_not(lab: Lab) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        lab.run("validation", {"tcp": {"host": "127.0.0.1", "port": server.getsockname()[1]}})
    port = free_port()
    with pytest.raises(StepFailed, match=f"The check failed: 127.0.0.1:{port} takes no connection"):
        lab.run("validation", {"tcp": {"host": "127.0.0.1", "port": port}})
    with pytest.raises(StepFailed, match="takes no connection"):
        lab.run("validation", {"tcp": {"host": "a" * 300, "port": 1}})


def test_commands_are_judged_by_exit_code_and_text(lab: Lab) -> None:
    lab.run("validation", {"command": {"argv": ["echo", "$(false)"], "contains": "$(false)"}})
    lab.run("validation", {"command": {"script": "test 1 -eq 1"}})
    with pytest.raises(StepFailed, match="exit code 2: not there"):
        lab.run("validation", {"command": {"script": "echo not there >&2; exit 2"}})
    with pytest.raises(StepFailed, match="did not print `yes`"):
        lab.run("validation", {"command": {"argv": ["echo", "no"], "contains": "yes"}})
    with pytest.raises(StepFailed, match="`no-such-tool` is not installed"):
        lab.run("validation", {"command": {"argv": ["no-such-tool"]}})


def test_files_are_judged_in_the_workspace_only(lab: Lab) -> None:
    (lab.workspace / "a").write_text("hello")
    (lab.workspace / "out").symlink_to("/etc/passwd")
    (lab.workspace / "folder").mkdir()
    (lab.workspace / "circle").symlink_to("circle")
    lab.run("validation", {"file": {"path": "a", "contains": "ell"}})
    lab.run("validation", {"file": {"path": "b", "exists": False}})
    for check, told in (
        ({"path": "b"}, "there is no `b`"),
        ({"path": "a", "exists": False}, "`a` exists"),
        ({"path": "a", "contains": "x"}, "does not contain"),
        ({"path": "folder", "contains": "x"}, "does not contain"),
        ({"path": "circle"}, "circle"),
        ({"path": "out", "contains": "root"}, "leaves the workspace"),
    ):
        with pytest.raises(StepFailed, match=told):
            lab.run("validation", {"file": check})  # pyright: ignore[reportArgumentType] - mixed literals widen


def test_all_failures_are_reported_at_once(lab: Lab) -> None:
    port = free_port()
    checks: JsonObject = {
        "checks": [
            {"name": "web", "http": {"url": f"http://127.0.0.1:{port}/"}},
            {"file": {"path": "missing"}},
            {"command": {"argv": ["true"]}},
        ]
    }
    with pytest.raises(StepFailed) as failed:
        lab.run("validation", checks)
    assert failed.value.message.startswith("2 of 3 checks failed: web: http://127.0.0.1")
    assert "there is no `missing`" in failed.value.message


def test_wait_polls_until_the_checks_pass(lab: Lab) -> None:
    config: JsonObject = {
        "command": {"script": "echo x >> tries; test $(wc -l < tries) -ge 3"},
        "checks": [{"command": {"script": "echo x >> once"}}],
        "wait": "20s",
        "interval": 0.01,
    }
    assert lab.run("validation", config) == {"checks": 2}
    assert (lab.workspace / "tries").read_text() == "x\n" * 3
    assert (lab.workspace / "once").read_text() == "x\n"


def test_wait_ends(lab: Lab) -> None:
    with pytest.raises(StepFailed, match=r"The check failed for 0\.2 s"):
        lab.run("validation", {"file": {"path": "missing"}, "wait": "200ms", "interval": 0.05})


def test_cancel_ends_the_wait(lab: Lab) -> None:
    context = lab.prepare("validation", {"file": {"path": "missing"}, "wait": "1h", "interval": "1h"})
    timer = threading.Timer(0.1, context.cancel.event.set)
    timer.start()
    with pytest.raises(StepCancelled):
        registry.executor("validation").run(context)
    timer.join()


FAULTS: list[tuple[JsonObject, tuple[str | int, ...]]] = [
    ({}, ()),
    ({"checks": []}, ()),
    ({"checks": [{}]}, ("checks", 0)),
    ({"checks": [{"tcp": {"host": "a", "port": 1}, "file": {"path": "a"}}]}, ("checks", 0)),
    ({"checks": [{"tpc": {}}]}, ("checks", 0, "tpc")),
    ({"tcp": {"host": "a", "port": 70000}}, ("tcp", "port")),
    ({"tcp": {"host": "a"}}, ("tcp", "port")),
    ({"file": {"path": "../a"}}, ("file", "path")),
    ({"command": {"argv": ["a"], "script": "b"}}, ("command",)),
    ({"http": {"url": "x"}}, ("http", "url")),
    ({"http": {"url": "http://x", "statsu": 3}}, ("http", "statsu")),
]


@pytest.mark.parametrize(("config", "path"), FAULTS)
def test_config_problems_name_their_place(config: JsonObject, path: tuple[str | int, ...]) -> None:
    (problem,) = registry.config_problems("validation", config)
    assert problem.path == path
    if path and path[-1] == "statsu":
        assert problem.fix == "did you mean `status`?"
    if path and path[-1] == "tpc":
        assert "`tcp`" in problem.fix


def test_scripts_of_checks_are_program_text() -> None:
    assert registry.is_script("validation", ("command", "script"))
    assert registry.is_script("validation", ("checks", 3, "command", "script"))
    assert not registry.is_script("validation", ("checks", 3, "command", "argv"))
