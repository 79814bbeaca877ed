"""A secret in every place where one can be: none stands in the database as it is, in no column of no table."""

import base64
import gzip
import json
import threading
from collections.abc import Iterator, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, cast
from urllib.parse import quote

import pytest
import sqlalchemy as sa

from engine.domain.execution import StepState, WaitKind
from engine.domain.provider import Operation
from engine.domain.runs import Outputs
from engine.domain.values import ExecutionId
from engine.errors import Invalid, Unavailable
from engine.services import executions, submissions
from engine.store import claims, leavings, steps
from engine.store import executions as execution_rows
from engine.store.apply import apply_records
from engine.store.database import Store
from engine.store.records import ExecutionWaits, Record, StepFinished, StepStarted, StepWaits
from engine.store.tables import metadata
from tests.support.platforms import ME, House, running_platform
from tests.support.providers import kind, script, values, workflow, write_provider

PLACES = (
    "param", "variable", "output", "token", "child", "asked", "spec", "header", "memo", "log", "kept", "key", "person",
    "made",
)  # fmt: skip
SECRET = {place: f"canary-{place}-5up3rs3cr3t+/{number}" for number, place in enumerate(PLACES)}
TOKEN = [{"name": "token", "type": "string", "secret": True, "pattern": "canary-.*"}]
ADDRESS = {"name": "address", "type": "string", "default": ""}
TELLS = 'echo "the log says $PARAM_TOKEN"; echo "no luck with $PARAM_TOKEN" >&2'


@pytest.fixture
def echo() -> Iterator[str]:
    """The address of a server that fails and says with which credentials it was asked."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            told = f"no entrance for {self.headers['Authorization']}".encode()
            self.send_response(403)
            self.send_header("content-length", str(len(told)))
            self.end_headers()
            self.wfile.write(told)

        def log_message(self, format: str, *args: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}/"
        server.shutdown()
        thread.join()


def provider(folder: Path) -> Path:
    """Its scripts make secrets up by reading them from files beside it: what a provider ships is no secret."""
    for place in ("kept", "output", "made"):
        folder.with_name(place).write_text(SECRET[place])
    made_up = {place: f"$(cat {folder.with_name(place)})" for place in ("kept", "output", "made")}
    makes = f'{TELLS}; mkdir kept; echo "{made_up["kept"]}" > kept/file; echo "password={made_up["output"]}" >> $INNOMINATUS_OUTPUT'
    fails = f'key="{made_up["made"]}"; echo "key=$key" >> $INNOMINATUS_OUTPUT; echo "no entrance with $key" | tee /dev/stderr; exit 1'
    make = workflow(
        [script("make", makes, artifacts=["kept"], secretOutputs=["password"])],
        parameters=TOKEN,
        outputs={"password": {"value": "{{ steps.make.outputs.password }}", "secret": True}},
    )
    broken = workflow([script("break", f"{TELLS}; exit 1", retry={"max": 1, "backoff": "0s"})], parameters=TOKEN)
    header = {"Authorization": "Bearer {{ parameters.token }}"}
    check = {"argv": ["sh", "-c", 'echo "bad: $0" >&2; exit 1', "{{ parameters.token }}"]}
    asks = {"application": "beside", "name": "thing", "type": "brittle", "params": {"token": "{{ parameters.token }}"}}
    text = "apiVersion: score.dev/v1b1\nmetadata: {name: made}\ncontainers: {main: {image: v1}}\nresources:\n"
    text += "  safe: {type: brittle, params: {token: '{{ parameters.token }}'}}\n"
    golden = {
        "use-token": workflow([script("again", f"{TELLS}; printf %s $PARAM_TOKEN | base64 >&2; exit 1")], parameters=TOKEN),
        "child": workflow([step("child", "workflow", workflow="use-token", inputs={"token": "{{ parameters.token }}"})], parameters=TOKEN),
        "ask": workflow([step("ask", "resource-provisioning", **asks)], parameters=TOKEN),
        "submit": workflow([step("submit", "resource-provisioning", spec=text)], parameters=TOKEN),
        "fetch": workflow(
            [step("fetch", "http", url="{{ parameters.address }}", headers=header)], parameters=[*TOKEN, ADDRESS]
        ),
        "check": workflow([step("check", "validation", command=check)], parameters=TOKEN),
        "unclear": workflow([{**values("unclear", a=1), "if": "{{ parameters.token }}"}], parameters=TOKEN),
        "number": workflow([values("n", n=1)], parameters=TOKEN, outputs={"n": "{{ parameters.token | int }}"}),
        "name": workflow([values("n", **{"{{ parameters.token }}": "{{ parameters.token | int }}"})], parameters=TOKEN),
        "make-up": workflow([script("make-up", fails, secretOutputs=["key"])]),
        "gate": workflow([{**values("gate", told="{{ parameters.token }}"), "when": "manual"}], parameters=TOKEN),
    }  # fmt: skip
    kinds = {
        "vault": kind("make", read="broken", delete="broken"),
        "brittle": kind("broken"),
        "workload": kind("noop", update="noop"),
    }
    return write_provider(folder, kinds=kinds, workflows={"make": make, "broken": broken}, golden=golden)


def step(name: str, kind: str, /, **config: Any) -> dict[str, Any]:
    return {"name": name, "type": kind, "config": config}


def spec(name: str, token: str) -> str:
    variables = f"{{TOKEN: '{SECRET['variable']}', OTHER: '${{resources.safe.password}}'}}"
    return (
        f"apiVersion: score.dev/v1b1\nmetadata: {{name: {name}}}\n"
        f"containers: {{main: {{image: v1, variables: {variables}}}}}\n"
        f"resources: {{safe: {{type: vault, params: {{token: '{token}'}}}}}}\n"
    )


def run_everything(house: House, echo: str) -> None:
    """Successes, failures, checks, waits, refusals, all with secrets."""
    sent = spec("app", SECRET["param"])
    submissions.submit(house.platform, ME, sent, idempotency_key="k1")
    house.resource_in("workload/app", "active")
    house.resource_in("vault/app.safe", "degraded")  # its check fails, with the secret in what it tells
    assert house.resource("vault/app.safe").outputs == {"password": SECRET["output"]}
    house.delete("app")
    house.resource_in("workload/app", "terminated")
    house.resource_in("vault/app.safe", "failed")
    for name in ("use-token", "check", "unclear", "number", "name"):
        assert house.run(name, token=SECRET["token"]).state == "failed", name
    made_up = house.run("make-up")
    assert "no entrance with ***" in made_up.error
    assert house.log(made_up.id).split("\n")[:2] == ["no entrance with ***"] * 2
    assert "***" in house.run("fetch", token=SECRET["header"], address=echo).error
    assert "***" in house.run("child", token=SECRET["child"]).error
    assert "***" in house.run("ask", token=SECRET["asked"]).error
    assert "***" in house.run("submit", token=SECRET["spec"]).error
    keyed = executions.execute(house.platform, ME, "gate", {"token": SECRET["key"]}, idempotency_key="k2")
    again = executions.execute(house.platform, ME, "gate", {"token": SECRET["key"]}, idempotency_key="k2")
    assert keyed == again
    asleep = house.execute("gate", token=SECRET["person"])
    for waiting in (keyed, asleep):
        assert waiting is not None
        house.step_in(waiting, "gate", "waiting")
    executions.resume(house.platform, ME, asleep, "gate")
    assert house.ended(asleep).state == "succeeded"
    with pytest.raises(Invalid):
        house.execute("use-token", token=f"not a {SECRET['token']}")


def suspended(house: House) -> ExecutionId:
    """An execution whose step keeps a memo, with a log of what nobody knows to be secret."""
    new = execution_rows.NewExecution("p", "d", "w", "k", "user:me", inputs=Outputs({"x": 1}))
    with house.store.begin() as tx:
        (made,) = execution_rows.queue(tx, [new, new][:1])
        (claim,) = [c for c in claims.claim(tx, worker="hand", limit=9, cap=9, lease=60) if c.execution.id == made]
    done = StepFinished(0, 1, StepState.SUCCEEDED, Outputs({"a": SECRET["memo"]}), log=((1, f"{SECRET['log']}\n"),))
    waits = StepWaits(1, 1, WaitKind.PERSON, memo={"session": [SECRET["memo"]]}, log=((1, SECRET["log"]),))
    changes = (StepStarted(0, "a", "set", 1, 1), done, StepStarted(1, "b", "custom", 1, 1), waits, ExecutionWaits())
    with house.store.begin() as tx:
        assert apply_records(tx, [Record(claim.execution, 1, changes)], choose=nobody).held == (True,)
    with house.store.read() as tx:
        assert steps.of_execution(tx, made)[1].memo == {"session": [SECRET["memo"]]}
        assert leavings.logs(tx, made)[0, 1] == f"{SECRET['log']}\n"
    return made


def nobody(_type: str, _operation: Operation, /, *, recorded: str = "") -> None:
    """No provider makes anything."""


def forms(secret: str) -> Iterator[bytes]:
    """The secret in the forms in which it could be written down."""
    for text in (secret, secret[7:], quote(secret, safe=""), quote(secret), json.dumps(secret)[1:-1]):
        yield text.encode()
        yield text.encode().hex().encode()
    for start in range(3):  # wherever it begins in a longer text
        yield base64.b64encode(b" " * start + secret.encode())[4 if start else 0 : -4]
    yield secret[::-1].encode()


def written(value: object) -> bytes:
    """A column's value as bytes; archives are unpacked."""
    raw = value if isinstance(value, bytes) else json.dumps(value, default=str, ensure_ascii=False).encode()
    return raw + (gzip.decompress(raw) if raw[:2] == b"\x1f\x8b" else b"")


def rows(store: Store) -> Iterator[tuple[str, bytes]]:
    """Every value of every column of every table that the database has, ours or not."""
    found = sa.MetaData()
    found.reflect(store.engine)
    assert set(metadata.tables) < set(found.tables)
    with store.read() as tx:
        for table in found.sorted_tables:
            for row in tx.connection.execute(sa.select(table)).mappings():
                for name, value in cast("Mapping[str, object]", row).items():
                    if value is not None:
                        yield f"{table.name}.{name}", written(value)


def leaks(store: Store) -> set[str]:
    looked_for = [(place, form) for place, secret in SECRET.items() for form in forms(secret)]
    return {f"{place} in {column}" for column, raw in rows(store) for place, form in looked_for if form in raw}


def unsealed(store: Store) -> dict[str, set[str]]:
    """Sealed column → the secrets that are in it once it is opened."""
    purposes = {column.removesuffix("_sealed") for column in sealed_columns()}
    inside: dict[str, set[str]] = {column: set() for column in sealed_columns()}
    for column, raw in rows(store):
        if column in inside:
            opened = written(opened_by(store, raw, purposes))
            inside[column] |= {place for place, secret in SECRET.items() if secret.encode() in opened}
    return inside


def sealed_columns() -> set[str]:
    return {f"{t.name}.{c.name}" for t in metadata.sorted_tables for c in t.columns if c.name.endswith("_sealed")}


def opened_by(store: Store, raw: bytes, purposes: set[str]) -> bytes:
    for purpose in sorted(purposes):
        try:
            return store.sealer.open(raw, purpose)
        except Unavailable:
            continue
    raise AssertionError("sealed for another purpose than a column's")


def test_no_secret_stands_in_the_database_or_the_log_as_it_is(
    store: Store, tmp_path: Path, echo: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with running_platform(store, tmp_path / "house", [provider(tmp_path / "team")], health_seconds=0.2) as house:
        run_everything(house, echo)
    suspended(house)
    assert leaks(store) == set()
    inside = unsealed(store)
    assert set().union(*inside.values()) == {*PLACES} - {"made"}, "every secret was there to be found"
    assert [column for column, found in inside.items() if not found] == [], "every sealed column held one"
    if store.engine.dialect.name == "sqlite":  # also what was deleted since, and what is still in the log
        raw = b"".join(path.read_bytes() for path in sorted(tmp_path.glob("innominatus.db*")))
        assert {place for place, secret in SECRET.items() for form in forms(secret) if form in raw} == set()
    told = capsys.readouterr()
    assert {place for place, secret in SECRET.items() if secret in told.out + told.err} == set()


def test_the_search_finds_a_secret_wherever_it_is_put(store: Store) -> None:
    with store.begin() as tx:
        tx.connection.execute(
            sa.text(
                "insert into events (at, kind, actor, data) values ('2026-01-01', 'x', 'y', :data)"
                if not tx.postgresql
                else "insert into events (at, kind, actor, data) values ('2026-01-01', 'x', 'y', cast(:data as jsonb))"
            ),
            {"data": json.dumps({"error": [SECRET["memo"]]})},
        )
        tx.connection.execute(
            sa.text("insert into provider_bundles values ('d', 'n', 'v', :archive, '2026-01-01')"),
            {"archive": gzip.compress(SECRET["log"].encode())},
        )
    assert leaks(store) == {"memo in events.data", "log in provider_bundles.archive"}
