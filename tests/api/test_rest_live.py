"""Streams and sockets of a door on a real port: what clients hear, who may listen, how it ends."""

import json
import socket
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2
import pytest
from websockets.exceptions import InvalidHandshake, InvalidStatus

from api.app import create_app
from engine.domain.event import Event
from engine.store import events
from engine.store.database import Store
from tests.support import team
from tests.support.platforms import PATIENCE, House, create_tables, open_store, running_platform, until
from tests.support.providers import script, workflow, write_provider
from tests.support.score import score
from tests.support.streams import TOKEN, Place, Server, messages, serving, stream

GOLDEN = {
    "talks": workflow(
        [
            script("says", 'echo hello; while [ ! -e "$PARAM_DIR/go" ]; do sleep 0.05; done; echo goodbye'),
            script("ends", "echo over; exit 3"),
        ],
        parameters=[{"name": "dir", "type": "string", "required": True}],
    ),
    "floods": workflow([script("floods", "for n in $(seq 3000); do echo $n: xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx; done")]),
}


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    folder = tmp_path_factory.mktemp("live")
    url = f"sqlite:///{folder / 'innominatus.db'}"
    create_tables(url)
    store = open_store(url)
    folders = [team.write(folder / "team"), write_provider(folder / "talkers", golden=GOLDEN)]
    with running_platform(store, folder, folders, step_log_bytes=400_000) as made:
        yield made
    store.close()


@pytest.fixture(scope="module")
def server(house: House) -> Iterator[Server]:
    with serving(create_app(house.platform, token=TOKEN)) as made:
        yield made


def say(store: Store, *kinds: str) -> None:
    with store.begin() as tx:
        events.record(tx, [Event(kind, "user:me") for kind in kinds])


# --- server-sent events ---


def test_what_happens_is_streamed_and_continued_without_a_gap(server: Server, house: House) -> None:
    with stream(server) as first:
        say(house.store, "a.one", "a.two")
        assert first.heard(2)[:2] == ["a.one", "a.two"]
        places = [event["position"] for event in first.events]
        assert first.last_id == places[-1]
        assert any(line.startswith("retry: ") for line in first.lines)
    say(house.store, "a.three")
    with stream(server, last=places[0]) as again:
        assert again.heard(2) == ["a.two", "a.three"]
    with stream(server, last=places[1], after="0") as again:  # a browser that connects again asks for the same address
        assert again.heard(1) == ["a.three"]
    ids = {event["kind"]: event["id"] for event in first.events}
    with stream(server, after=ids["a.one"]) as again:
        assert again.heard(2) == ["a.two", "a.three"]


def test_a_client_that_heard_nothing_yet_knows_its_place_too(server: Server, house: House) -> None:
    with stream(server) as first:
        place = first.last_id
    say(house.store, "meanwhile.it")
    with stream(server, last=place) as again:
        assert again.heard(1) == ["meanwhile.it"]


def test_an_application_and_kinds_can_be_followed(server: Server, house: House) -> None:
    house.submit(score("followed", db="database"))
    house.settled()
    with (
        stream(server, app="followed", after="0") as all_of_it,
        stream(server, app="followed", types="resource.active,spec", after="0") as some,
    ):
        until(lambda: all_of_it.kinds.count("resource.active") == 2)
        assert set(some.heard(3)) == {"spec.submitted", "resource.active"}
        assert {event["application_id"] for event in all_of_it.events} == {all_of_it.events[0]["application_id"]}
        house.submit(score("another", db="database"))
        house.settled()
        say(house.store, "spec.elsewhere")
        assert len(some.kinds) == 3


@pytest.mark.parametrize(
    ("query", "status", "code"),
    [
        ({"app": "nobody"}, 404, "application_not_found"),
        ({"types": "No Such"}, 422, "invalid_request"),
        ({"after": "soon"}, 422, "invalid_request"),
        ({"after": "9999999999999999999"}, 422, "invalid_request"),
        ({"appp": "x"}, 422, "invalid_request"),
    ],
)
def test_what_cannot_be_followed_is_refused_in_words(
    server: Server, query: dict[str, str], status: int, code: str
) -> None:
    answer = httpx2.get(f"{server.url}/api/events/stream", params=query, headers=server.headers)
    assert (answer.status_code, answer.json()["code"]) == (status, code)
    assert httpx2.get(f"{server.url}/api/events/stream", params=query).status_code == 401


# --- logs of an execution ---


def of_type(found: list[dict[str, Any]], kind: str) -> list[dict[str, Any]]:
    return [message for message in found if message["type"] == kind]


def test_the_log_is_told_from_its_beginning_then_as_it_grows_and_last_the_end(
    server: Server, house: House, tmp_path: Path
) -> None:
    run = house.execute("talks", dir=str(tmp_path))
    until(lambda: "hello" in house.log(run))
    found: list[dict[str, Any]] = []
    with server.socket(f"/ws/workflows/{run}/logs") as connection:
        for message in messages(connection):
            found.append(message)
            if message["type"] == "log" and message["text"] == "hello\n":
                (tmp_path / "go").touch()
    assert [m["text"] for m in of_type(found, "log")] == ["hello\n", "goodbye\n", "over\n"]
    assert [m["step_name"] for m in of_type(found, "log")] == ["says", "says", "ends"]
    steps = [(m["step_name"], m["status"]) for m in of_type(found, "step")]
    assert steps[0] == ("says", "running")
    assert ("says", "succeeded") in steps
    assert steps[-1] == ("ends", "failed")
    assert found[-1]["type"] == "end"
    assert found[-1]["status"] == "failed"
    assert found[-1]["execution"]["id"] == run
    assert len(of_type(found, "end")) == 1
    with server.socket(f"/ws/workflows/{run}/logs") as connection:
        again = list(messages(connection))
        assert connection.close_code == 1000
    assert [m["text"] for m in of_type(again, "log")] == ["hello\ngoodbye\n", "over\n"] or [
        m["text"] for m in of_type(again, "log")
    ] == ["hello\n", "goodbye\n", "over\n"]


def test_a_long_log_comes_whole_in_pieces_of_whole_lines(server: Server, house: House) -> None:
    run = house.run("floods").id
    with server.socket(f"/ws/workflows/{run}/logs") as connection:
        texts = [m["text"] for m in of_type(list(messages(connection)), "log")]
    assert len(texts) > 1
    assert all(len(text) <= 60_000 and text.endswith("\n") for text in texts)
    assert "".join(texts) == house.log(run)


def test_an_execution_that_is_none_is_told_and_the_socket_closed(server: Server) -> None:
    for path in ("/ws/workflows/999999/logs", "/ws/workflows/99999999999999999999999/logs"):
        with server.socket(path) as connection:
            (told,) = messages(connection)
            assert (told["type"], told["code"]) == ("error", "execution_not_found")
            assert connection.close_code == 1008


# --- graph ---


def test_the_graph_is_told_and_again_when_it_changes(server: Server, house: House) -> None:
    house.submit(score("drawn", db="database"))
    house.settled()
    with server.socket("/api/graph/drawn/ws") as connection:
        first = json.loads(connection.recv(PATIENCE))
        assert first["type"] == "graph"
        answer = httpx2.get(f"{server.url}/api/graph/drawn", headers=server.headers)
        assert first["graph"] == answer.json()
        house.submit(score("drawn", db="database", other="cache"))
        while "other" not in json.dumps(json.loads(connection.recv(PATIENCE))):
            pass
    with server.socket("/api/graph/nobody/ws") as connection:
        (told,) = messages(connection)
        assert told["code"] == "application_not_found"
    with server.socket("/api/graph/drawn/ws?environmnt=x") as connection:
        (told,) = messages(connection)
        assert told["code"] == "invalid_request"


# --- who may listen ---

PATHS = ["/ws/workflows/1/logs", "/api/graph/drawn/ws"]


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Authorization": "Bearer wrong"}, 401),
        ({"X-API-Key": "wrong"}, 401),
        ({"Authorization": f"Bearer {TOKEN}", "Origin": "https://evil.example"}, 403),
        ({"Origin": "https://evil.example"}, 403),
        ({"Authorization": f"Bearer {TOKEN}", "Origin": "null"}, 403),
    ],
)
def test_strangers_and_pages_of_other_sites_get_no_socket(
    server: Server, path: str, headers: dict[str, str], status: int
) -> None:
    with pytest.raises(InvalidStatus) as refused:
        server.socket(path, additional_headers=headers)
    assert refused.value.response.status_code == status
    assert json.loads(refused.value.response.body)["code"] in {"unauthenticated", "foreign_origin"}


def test_a_name_that_is_not_ours_gets_no_socket(server: Server) -> None:
    port = int(server.url.rpartition(":")[2])
    lying = Place(f"http://evil.example:{port}")
    with pytest.raises(InvalidStatus) as refused:
        lying.socket(PATHS[0], sock=socket.create_connection(("127.0.0.1", port)))
    assert refused.value.response.status_code == 421


@pytest.mark.parametrize("path", PATHS)
def test_a_browser_brings_the_token_as_a_protocol_or_as_its_first_message(server: Server, path: str) -> None:
    origin = {"Origin": server.url}
    protocols = ["innominatus", f"bearer.{TOKEN}"]
    with server.socket(path, additional_headers=origin, subprotocols=protocols) as connection:
        assert connection.subprotocol == "innominatus"
        assert json.loads(connection.recv(PATIENCE)).get("code") != "unauthenticated"
    with server.socket(path, additional_headers=origin) as connection:
        connection.send(json.dumps({"token": TOKEN}))
        assert json.loads(connection.recv(PATIENCE)).get("code") != "unauthenticated"
    with pytest.raises(InvalidStatus):
        server.socket(path, additional_headers=origin, subprotocols=["innominatus", "bearer.wrong"])


@pytest.mark.parametrize(
    "first", ['{"token": "wrong"}', '{"token": ""}', "{}", "[]", "token", '{"token": null}', b"\xff"]
)
def test_a_first_message_that_is_not_the_token_ends_it(server: Server, first: str | bytes) -> None:
    with server.socket(PATHS[0], additional_headers={}) as connection:
        connection.send(first)
        (told,) = messages(connection)
        assert (told["type"], told["code"]) == ("error", "unauthenticated")
        assert connection.close_code == 1008


def test_a_token_in_the_address_opens_nothing(server: Server) -> None:
    with server.socket(f"{PATHS[0]}?token={TOKEN}", additional_headers={}) as connection:
        connection.send("hello")
        (told,) = messages(connection)
        assert told["code"] == "unauthenticated"


def test_there_is_no_socket_anywhere_else(server: Server) -> None:
    for path in ("/mcp", "/api/events/stream", "/health", "/ws/workflows/x/logs", "/nothing"):
        with pytest.raises(InvalidHandshake):
            server.socket(path)


def test_a_client_that_talks_too_much_is_cut_off(server: Server, house: House, tmp_path: Path) -> None:
    run = house.execute("talks", dir=str(tmp_path))
    with server.socket(f"/ws/workflows/{run}/logs") as connection:
        connection.send("x" * 100_000)
        list(messages(connection))
        assert connection.close_code == 1009
    (tmp_path / "go").touch()
    house.ended(run)


# --- the end ---


def test_a_server_that_stops_ends_every_stream_at_once(house: House, tmp_path: Path) -> None:
    run = house.execute("talks", dir=str(tmp_path))
    house.submit(score("ending", db="database"))
    with serving(create_app(house.platform, token=TOKEN)) as server:
        logs, graph = server.socket(f"/ws/workflows/{run}/logs"), server.socket("/api/graph/ending/ws")
        with stream(server) as listening, logs, graph:
            for connection in (logs, graph):
                connection.recv(PATIENCE)
            stopping = threading.Thread(target=server.stop)
            stopping.start()
            assert listening.ended.wait(PATIENCE)
            for connection in (logs, graph):
                list(messages(connection)) if connection.close_code is None else None
            stopping.join(PATIENCE)
    (tmp_path / "go").touch()
    house.ended(run)
