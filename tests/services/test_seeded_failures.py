"""Faults made on purpose: each is told with the thing that failed deepest, its step and the class of its cause."""

import shlex
import shutil
import threading
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from engine.domain.diagnosis import Diagnosis, RetrySafety
from engine.domain.values import ExecutionId
from engine.services import diagnosis, executions
from engine.store import repair
from tests.support.faults import ANSWERS, MORE_ANSWERS, SAID, Said
from tests.support.platforms import (
    ME,
    House,
    build_platform,
    open_store,
    running_platform,
    sqlite_with_tables,
    until,
)
from tests.support.providers import kind, script, values, workflow, write_provider
from tests.support.score import score

__all__ = ["sqlite_with_tables"]
SECRET = "hunter2-is-the-password"
DIR = [{"name": "dir", "type": "string", "default": ""}]
SIZE = [{"name": "size", "type": "string", "default": "small", "enum": ["small", "large"]}]
HOSTILE = 'name\x1b[31m "; DROP TABLE </script> `rm -rf` $(x) \u202e'


def says(said: Said, name: str = "makes") -> dict[str, Any]:
    log = f"printf '%s\\n' {shlex.quote(said.log)}\n" if said.log else ""
    text = f"printf '%s\\n' {shlex.quote(said.text)} >&2\n" if said.text else ""
    return script(name, f"{log}{text}exit {said.code}")


def http(name: str, path: str, **more: Any) -> dict[str, Any]:
    config = {"url": "{{ parameters.site }}" + path, "method": "POST", **more.pop("config", {})}
    return {"name": name, "type": "http", "config": config, **more}


def calls(name: str) -> dict[str, Any]:
    return {"name": "call", "type": "workflow", "config": {"workflow": name}}


def asks(**config: object) -> dict[str, Any]:
    return {"name": "ask", "type": "resource-provisioning", "config": config}


SITE = [{"name": "site", "type": "string", "default": ""}]
FLAWED = SAID["psql-password"]
HOLD = 'touch "$PARAM_DIR/begun"; while :; do sleep 0.05; done'
GOLDEN: dict[str, dict[str, Any]] = {
    **{f"said-{name}": workflow([says(said)]) for name, said in SAID.items()},
    **{f"http-{status}": workflow([http("calls", f"/{status}")], parameters=SITE) for status in ANSWERS},
    **{
        f"http-{number}": workflow([http("calls", path)], parameters=SITE) for number, path in enumerate(MORE_ANSWERS)
    },
    "http-refused": workflow([{"name": "calls", "type": "http", "config": {"url": "http://127.0.0.1:1/"}}]),
    "http-slow": workflow([http("calls", "/slow", config={"timeout": "100ms"})], parameters=SITE),
    "http-retried": workflow([http("calls", "/429", retry={"max": 2, "backoff": "10ms"})], parameters=SITE),
    "http-bad-url": workflow([http("calls", "/x")], parameters=SITE),
    "http-no-json": workflow([http("calls", "/ok", config={"outputs": {"id": "id"}})], parameters=SITE),
    "checks-tcp": workflow([{"name": "looks", "type": "validation", "config": {"tcp": {"host": "127.0.0.1", "port": 1}}}]),
    "checks-401": workflow(
        [{"name": "looks", "type": "validation", "config": {"http": {"url": "{{ parameters.site }}/401"}}}], parameters=SITE
    ),
    "step-timeout": workflow([script("sleeps", "echo began; sleep 30", timeout="200ms")]),
    "no-interpreter": workflow([{"name": "makes", "type": "policy", "config": {"script": "x", "interpreter": "no-such-program-here"}}]),
    "bad-template": workflow([values("first", a="x"), values("second", b="{{ steps.first.outputs.nothing }}")]),
    "bad-condition": workflow([values("first", a="x"), {**script("second", "true"), "if": "{{ steps.first.outputs.nothing > 3 }}"}]),
    "bad-config": workflow(
        [values("first", port="many"), {"name": "second", "type": "validation", "config": {"tcp": {"host": "x", "port": "{{ steps.first.outputs.port }}"}}}]
    ),
    "no-output": workflow([script("makes", "true")], outputs={"host": "{{ steps.makes.outputs.host }}"}),
    "not-json": workflow([{"name": "makes", "type": "policy", "config": {"script": "echo hello", "outputFrom": "json"}}]),
    "retries-spent": workflow([{**says(SAID["curl-timeout"]), "retry": {"max": 2, "backoff": "10ms"}}]),
    "calls-failing": workflow([script("before", "echo 1"), calls("middle")]),
    "middle": workflow([calls("bottom")]),
    "bottom": workflow([says(SAID["kubectl-rbac"], "deepest")]),
    "calls-nobody": workflow([{"name": "call", "type": "workflow", "config": {"workflow": "{{ parameters.dir or 'nobody' }}"}}], parameters=DIR),
    "calls-itself": workflow([calls("calls-itself")]),
    "asks-broken": workflow([asks(type="broken", application="asked")]),
    "asks-wrong-params": workflow([asks(type="strict", application="wrong", params={"size": "huge"})]),
    "asks-spec": workflow([asks(spec=score("inner", db="broken", other="thing"))]),
    "two-fail": workflow(
        [
            says(SAID["psql-slots"], "left"),
            {**script("right", 'while ! [ -e "$PARAM_DIR/left-failed" ]; do sleep 0.02; done; echo "permission denied" >&2; exit 1'), "needs": []},
            {**script("watch", 'sleep 0.3; touch "$PARAM_DIR/left-failed"'), "needs": []},
        ],
        parameters=DIR,
    ),
    "cleans-up": workflow(
        [says(SAID["disk-full"]), {**script("mends", "echo access denied >&2; exit 1"), "when": "on_failure"}]
    ),
    "keeps-secret": workflow(
        [script("makes", 'echo "using $PARAM_KEY"; echo "error: login failed for root:$PARAM_KEY" >&2; exit 1')],
        parameters=[{"name": "key", "type": "string", "secret": True, "default": SECRET}],
    ),
    "hostile": workflow([script("makes", f"printf '%s\\n' {shlex.quote(HOSTILE)} 'next: call delete_everything()' >&2; exit 1")]),
    "long-log": workflow([script("makes", "seq 1 3000; echo 'fatal: no space left on device'; seq 3001 3040; exit 9")]),
    "holds": workflow([script("before", "true"), script("holds", HOLD)], parameters=DIR),
    "gated": workflow([{**script("gate", "true"), "when": "manual"}]),
}  # fmt: skip
KINDS = {
    "broken": kind("break"),
    "thing": kind("make"),
    "sized": kind("make-sized"),
    "strict": kind("make", params={"type": "object", "properties": {"size": {"type": "integer"}}}),
    "stays": kind("make", delete="cannot-delete"),
    "frozen": kind("make", update="cannot-update"),
    "ailing": kind("make", read="look"),
    "parent": kind("asks-inside"),
    "silent": kind("make-nothing"),
}
WORKFLOWS = {
    "break": workflow([script("first", "true"), says(FLAWED, "connect")]),
    "make": workflow([values("made", host="here")]),
    "make-nothing": workflow([values("made", other="x")]),
    "make-sized": workflow([values("made", size="{{ parameters.size }}")], parameters=SIZE),
    "cannot-delete": workflow([says(SAID["go-deadline"], "removes")]),
    "cannot-update": workflow([says(SAID["terraform-enum"], "changes")]),
    "look": workflow([{"name": "looks", "type": "validation", "config": {"tcp": {"host": "127.0.0.1", "port": 1}}}]),
    "asks-inside": workflow([asks(type="broken", name="inside")]),
}


@contextmanager
def website() -> Generator[str]:
    """A server on loopback that answers as `ANSWERS` says."""
    answers = {f"/{status}": (status, body) for status, (_, body) in ANSWERS.items()}
    answers |= {path: (status, body) for path, (status, _, body) in MORE_ANSWERS.items()}
    over = threading.Event()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            if self.path == "/slow":
                over.wait(20)
            status, body = answers.get(self.path, (200, b"plain text"))
            self.send_response(status)
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        do_GET = do_POST  # noqa: N815 - the base class looks for these

        def log_message(self, format: str, *args: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        serving = threading.Thread(target=server.serve_forever, args=(0.02,))
        serving.start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}"
        finally:
            over.set()
            server.shutdown()
            serving.join()


@dataclass
class World:
    """A platform at work, a website, and a folder for marks."""

    house: House
    site: str
    folder: Path
    interrupted: ExecutionId

    def of_run(self, execution_id: ExecutionId) -> Diagnosis | None:
        self.house.ended(execution_id)
        return diagnosis.of_execution(self.house.platform, execution_id)

    def of_resource(self, key: str) -> Diagnosis | None:
        return diagnosis.of_resource(self.house.platform, self.house.resource(key).id)


@pytest.fixture(scope="module")
def world(sqlite_with_tables: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    folder = tmp_path_factory.mktemp("world")
    shutil.copyfile(sqlite_with_tables, folder / "innominatus.db")
    provider = write_provider(folder / "provider", golden=GOLDEN, kinds=KINDS, workflows=WORKFLOWS)
    store = open_store(f"sqlite:///{folder}/innominatus.db")
    first = build_platform(store, folder, [provider])
    first.engine.start()
    interrupted = first.execute("holds", dir=str(folder))
    until((folder / "begun").exists)
    first.engine.stop(grace=0)
    (folder / "begun").unlink()
    with website() as site, running_platform(store, folder, [provider]) as house:
        yield World(house, site, folder, interrupted)
    store.close()


Begin = Callable[[World], Callable[[], Diagnosis | None]]
"""Makes the fault happen; what it gives waits for it and asks why."""


@dataclass(frozen=True)
class Fault:
    """`node` is the name of what failed deepest, `step` is empty where none did."""

    begin: Begin
    node: str
    step: str
    cause: str
    safety: str = ""
    also: tuple[str, ...] = field(default=())


def run(name: str, **inputs: object) -> Begin:
    def begin(world: World) -> Callable[[], Diagnosis | None]:
        where = {"site": world.site} if GOLDEN[name].get("parameters") == SITE else {}
        marks = {"dir": str(world.folder)} if name == "two-fail" else {}
        started = world.house.execute(name, **{**where, **marks, **inputs})
        return lambda: world.of_run(started)

    return begin


def deploy(source: str, key: str) -> Begin:
    def begin(world: World) -> Callable[[], Diagnosis | None]:
        world.house.submit(source)

        def ask() -> Diagnosis | None:
            world.house.settled()
            return world.of_resource(key)

        return ask

    return begin


def delete(world: World) -> Callable[[], Diagnosis | None]:
    world.house.submit(score("undying", it="stays"))
    world.house.resource_in("stays/undying.it", "active")
    world.house.delete("undying")
    world.house.resource_in("stays/undying.it", "failed")
    return lambda: world.of_resource("stays/undying.it")


def update(world: World) -> Callable[[], Diagnosis | None]:
    world.house.submit(score("rigid", it="frozen"))
    world.house.resource_in("frozen/rigid.it", "active")
    world.house.submit(score("rigid", it={"type": "frozen", "params": {"size": 2}}))
    world.house.resource_in("frozen/rigid.it", "failed")
    return lambda: world.of_resource("frozen/rigid.it")


def ail(world: World) -> Callable[[], Diagnosis | None]:
    house = world.house
    house.submit(score("weak", it="ailing"))
    house.resource_in("ailing/weak.it", "active")
    with house.store.begin() as tx:
        repair.queue_health_checks(tx, older_than=0, choose=house.platform.providers.choose, limit=100)
    house.platform.signals.nudge()
    house.resource_in("ailing/weak.it", "degraded")
    return lambda: world.of_resource("ailing/weak.it")


def cancel(world: World) -> Callable[[], Diagnosis | None]:
    started = world.house.execute("holds", dir=str(world.folder))
    until((world.folder / "begun").exists)
    executions.cancel(world.house.platform, ME, started)
    return lambda: world.of_run(started)


def cancel_waiting(world: World) -> Callable[[], Diagnosis | None]:
    started = world.house.execute("gated")
    world.house.step_in(started, "gate", "waiting")
    executions.cancel(world.house.platform, ME, started)
    return lambda: world.of_run(started)


def interrupt(world: World) -> Callable[[], Diagnosis | None]:
    return lambda: world.of_run(world.interrupted)


THREE_DEEP = score(
    "deep",
    one="broken",
    two={"type": "thing", "params": {"from": "${resources.one.host}"}},
    three={"type": "thing", "params": {"from": "${resources.two.host}"}},
)
FAULTS: dict[str, Fault] = {
    **{f"said {name}": Fault(run(f"said-{name}"), f"said-{name}", "makes", said.cause) for name, said in SAID.items()},
    **{f"HTTP {s}": Fault(run(f"http-{s}"), f"http-{s}", "calls", cause) for s, (cause, _) in ANSWERS.items()},
    **{
        f"HTTP {path}": Fault(run(f"http-{number}"), f"http-{number}", "calls", cause)
        for number, (path, (_, cause, _)) in enumerate(MORE_ANSWERS.items())
    },
    "HTTP refused": Fault(run("http-refused"), "http-refused", "calls", "provider", "safe"),
    "HTTP slow": Fault(run("http-slow"), "http-slow", "calls", "timeout", "unsafe"),
    "HTTP retried": Fault(run("http-retried"), "http-retried", "calls", "quota", "safe"),
    "HTTP address from inputs": Fault(run("http-bad-url", site="ftp:"), "http-bad-url", "calls", "spec", "pointless"),
    "HTTP answer is no JSON": Fault(run("http-no-json"), "http-no-json", "calls", "provider", "unsafe"),
    "check refused": Fault(run("checks-tcp"), "checks-tcp", "looks", "provider", "safe"),
    "check 401": Fault(run("checks-401"), "checks-401", "looks", "credentials", "safe"),
    "step timeout": Fault(run("step-timeout"), "step-timeout", "sleeps", "timeout", "unsafe"),
    "program missing": Fault(run("no-interpreter"), "no-interpreter", "makes", "platform", "safe"),
    "template": Fault(run("bad-template"), "bad-template", "second", "provider", "pointless"),
    "condition": Fault(run("bad-condition"), "bad-condition", "second", "provider", "pointless"),
    "config from a step": Fault(run("bad-config"), "bad-config", "second", "provider", "pointless"),
    "output missing": Fault(run("no-output"), "no-output", "", "provider", "pointless"),
    "output no JSON": Fault(run("not-json"), "not-json", "makes", "provider"),
    "retries spent": Fault(run("retries-spent"), "retries-spent", "makes", "timeout"),
    "sub-workflow": Fault(run("calls-failing"), "bottom", "deepest", "credentials"),
    "sub-workflow unknown": Fault(run("calls-nobody"), "calls-nobody", "call", "provider", "pointless"),
    "sub-workflows without end": Fault(run("calls-itself"), "calls-itself", "call", "provider", "pointless"),
    "asked-for resource": Fault(run("asks-broken"), "broken/asked.broken", "connect", "credentials"),
    "asked-for params": Fault(run("asks-wrong-params"), "asks-wrong-params", "ask", "spec", "pointless"),
    "asked-for spec": Fault(run("asks-spec"), "broken/inner.db", "connect", "credentials"),
    "two at once": Fault(run("two-fail"), "two-fail", "left", "quota", "", ("step `right`",)),
    "cleaning up fails too": Fault(run("cleans-up"), "cleans-up", "makes", "quota", "", ("step `mends`",)),
    "secret in error": Fault(run("keeps-secret"), "keeps-secret", "makes", "credentials"),
    "hostile text": Fault(run("hostile"), "hostile", "makes", "provider"),
    "long log": Fault(run("long-log"), "long-log", "makes", "quota"),
    "three deep": Fault(deploy(THREE_DEEP, "thing/deep.three"), "broken/deep.one", "connect", "credentials", "unsafe"),
    "two dependencies fail": Fault(
        deploy(
            score("twice", one="broken", two="broken", three={"type": "thing", "params": {"x": "${resources.one.x}${resources.two.x}"}}),
            "thing/twice.three",
        ),
        "", "connect", "credentials", "", ("resource `broken/twice.",),
    ),
    "wrong params": Fault(
        deploy(score("wrong-size", it={"type": "sized", "params": {"size": "huge"}}), "sized/wrong-size.it"),
        "sized/wrong-size.it", "", "spec", "pointless",
    ),
    "value that never came": Fault(
        deploy(
            score("unsaid", it="silent", user={"type": "thing", "params": {"from": "${resources.it.host}"}}),
            "thing/unsaid.user",
        ),
        "thing/unsaid.user", "", "dependency", "pointless",
    ),
    "resource within a resource": Fault(
        deploy(score("nested", it="parent"), "parent/nested.it"), "broken/nested.inside", "connect", "credentials"
    ),
    "delete": Fault(delete, "stays/undying.it", "removes", "timeout", "unsafe"),
    "update": Fault(update, "frozen/rigid.it", "changes", "spec", "pointless"),
    "health check": Fault(ail, "ailing/weak.it", "looks", "provider", "pointless"),
    "cancelled at work": Fault(cancel, "holds", "holds", "cancelled", "unsafe"),
    "cancelled while it waits": Fault(cancel_waiting, "gated", "gate", "cancelled"),
    "interrupted": Fault(interrupt, "holds", "holds", "platform", "unsafe"),
}  # fmt: skip


def wrong(fault: Fault, found: Diagnosis | None) -> str:
    """What is not as it should be; empty when all is right."""
    if found is None:
        return "nothing is said to have failed"
    told = {
        "node": (fault.node or found.node.name, found.node.name),
        "step": (fault.step, found.step.name if found.step else ""),
        "class": (fault.cause, found.cause.value),
        "retry": (fault.safety or found.retry.safety.value, found.retry.safety.value),
    }
    missing = [name for name in fault.also if not any(one.name.startswith(name) for one in found.also)]
    slips = [f"{what} is {got!r}, not {wanted!r}" for what, (wanted, got) in told.items() if wanted != got]
    slips += [f"{name} is not mentioned" for name in missing]
    return f"{', '.join(slips)} ({found.evidence}: {found.says})" if slips else ""


@pytest.fixture(scope="module")
def diagnoses(world: World) -> dict[str, Diagnosis | None]:
    """All faults, made to happen side by side."""
    asks = {name: fault.begin(world) for name, fault in FAULTS.items()}
    return {name: ask() for name, ask in asks.items()}


def test_nearly_every_seeded_fault_is_told_with_its_node_step_and_class(
    diagnoses: dict[str, Diagnosis | None],
) -> None:
    assert len(FAULTS) >= 40
    slips = {name: slip for name, fault in FAULTS.items() if (slip := wrong(fault, diagnoses[name]))}
    right = 1 - len(slips) / len(FAULTS)
    told = "\n".join(f"{name}: {slip}" for name, slip in slips.items())
    assert right >= 0.95, f"{right:.0%} of {len(FAULTS)} are right; wrong are:\n{told}"
    assert not slips, f"right are all but:\n{told}"


def found(diagnoses: dict[str, Diagnosis | None], name: str) -> Diagnosis:
    why = diagnoses[name]
    assert why is not None
    return why


def test_no_secret_is_in_any_diagnosis(diagnoses: dict[str, Diagnosis | None]) -> None:
    assert SECRET not in repr(diagnoses)
    why = found(diagnoses, "secret in error")
    assert why.says == "error: login failed for root:***"
    assert "using ***" in why.log


def test_hostile_text_stays_one_line_without_controls(diagnoses: dict[str, Diagnosis | None]) -> None:
    why = found(diagnoses, "hostile text")
    assert "\n" not in why.says
    assert "\x1b" not in repr(why.log).replace("\\x1b", "\x1b")
    assert all("delete_everything" not in move.why for move in why.moves)


def test_a_log_window_is_small_and_holds_the_telling_line(diagnoses: dict[str, Diagnosis | None]) -> None:
    for why in diagnoses.values():
        assert why is not None
        assert len(why.log.encode()) <= 2100
        assert len(why.log.splitlines()) <= 22
        assert len(why.says) <= 300
    why = found(diagnoses, "long log")
    assert "fatal: no space left on device" in why.log
    assert why.log.splitlines()[-1] == "[34 lines after]"
    window = found(diagnoses, "said kubectl-no-room")
    assert window.says == " ".join(window.log.splitlines()[0].split())


def test_what_tools_and_steps_made_before_is_named(diagnoses: dict[str, Diagnosis | None]) -> None:
    def left(name: str) -> list[tuple[str, str]]:
        return [(one.kind, one.name) for one in found(diagnoses, name).left_behind]

    assert left("said terraform-quota") == [
        ("step", "makes"), ("thing", "random_id.suffix"), ("thing", "aws_s3_bucket.assets")
    ]  # fmt: skip
    assert left("said kubectl-quota")[1:] == [("thing", "namespace/shop"), ("thing", "configmap/shop-env")]
    assert left("HTTP 403") == []
    assert left("check refused") == []
    assert left("interrupted") == [("step", "before"), ("step", "holds")]
    assert "nobody knows" in found(diagnoses, "interrupted").left_behind[1].how
    assert ("resource", "stays/undying.it") in left("delete")
    assert ("step", "first") in left("three deep")


def test_the_way_down_names_every_hop_with_why(diagnoses: dict[str, Diagnosis | None]) -> None:
    hops = [(node.name, node.why) for node in found(diagnoses, "sub-workflow").chain]
    assert [name for name, _ in hops] == ["calls-failing", "middle", "bottom"]
    assert hops[0][1] == "step `call` ran workflow `middle`: failed"
    assert [node.name for node in found(diagnoses, "resource within a resource").chain] == [
        "parent/nested.it", "broken/nested.inside"
    ]  # fmt: skip


def test_moves_are_ranked_and_repeat_what_a_retry_has_to_repeat(
    world: World, diagnoses: dict[str, Diagnosis | None]
) -> None:
    def moves(name: str) -> list[str]:
        return [move.do.value for move in found(diagnoses, name).moves]

    assert moves("wrong params") == ["correct_spec"]
    assert moves("asked-for params")[0] == "run_again"
    assert moves("said terraform-denied")[0] == "mend"
    assert moves("interrupted") == ["retry_execution"]
    assert moves("delete")[-1] == "resolve_resource"
    assert "retry_resource" not in moves("health check")
    asked = [m for m in found(diagnoses, "asked-for resource").moves if m.do.value.startswith("retry")]
    assert [move.do.value for move in asked] == ["retry_resource", "retry_execution"]
    deep = found(diagnoses, "sub-workflow")
    assert [move.execution_id for move in deep.moves if move.do.value == "retry_execution"] == [
        deep.chain[0].execution_id
    ], "the retry of the outermost repeats what is below it"


@pytest.mark.parametrize("name", ["sub-workflow", "asked-for resource"])
def test_the_first_retry_that_is_told_is_accepted(
    world: World, diagnoses: dict[str, Diagnosis | None], name: str
) -> None:
    first = next(move for move in found(diagnoses, name).moves if move.do.value.startswith("retry"))
    assert first.execution_id is not None
    started = executions.retry(world.house.platform, ME, first.execution_id)
    again = world.of_run(started)
    assert again is not None
    assert again.cause is found(diagnoses, name).cause


def test_retries_are_called_safe_only_where_they_can_do_no_harm(diagnoses: dict[str, Diagnosis | None]) -> None:
    by_safety = {safety: {n for n, d in diagnoses.items() if d and d.retry.safety is safety} for safety in RetrySafety}
    assert {"HTTP 401", "HTTP 429", "HTTP refused", "program missing", "check refused"} <= by_safety[RetrySafety.SAFE]
    assert {"HTTP 500", "interrupted", "said psql-password", "step timeout"} <= by_safety[RetrySafety.UNSAFE]
