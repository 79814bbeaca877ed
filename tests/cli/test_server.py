"""The `innominatus` processes: serve, mcp, migrate, local, worker."""

import json
import os
import signal
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from cli import ctl, live, server
from tests.support.platforms import until
from tests.support.served import Done, Served, call, clean_environment, run, start
from tests.support.stdio_client import Client


def innominatus(*args: str, **env: str) -> Done:
    return call(server.main, *args, env=env)


def started(*args: str) -> Done:
    """`innominatus serve` that gets as far as setting up the process: in one of its own."""
    return run("cli.server", "serve", *args)


def test_the_greeting_says_where_everything_is_but_not_the_token(served: Served) -> None:
    token = (served.data_dir / "token").read_text().strip()
    assert served.url in served.greeting
    assert "/docs" in served.greeting
    assert "/mcp" in served.greeting
    assert str(served.data_dir / "token") in served.greeting
    assert token not in served.greeting


def test_what_only_the_owner_may_read_is_readable_by_nobody_else(served: Served) -> None:
    for name in ("token", "secret.key", "serve.json"):
        assert stat.S_IMODE((served.data_dir / name).stat().st_mode) == 0o600
    assert stat.S_IMODE(served.data_dir.stat().st_mode) == 0o700


def test_every_transition_is_one_line_of_the_log(served: Served) -> None:
    served.submit("logged")
    lines = [json.loads(line) for line in (served.data_dir.parent / "data.log").read_text().splitlines()]
    assert any(line["level"] == "info" and "logged" in json.dumps(line) for line in lines)
    assert not [line for line in lines if line["level"] in {"error", "critical"}]


@pytest.mark.parametrize("same_port", [True, False])
def test_a_second_start_is_told_that_and_where_the_first_one_runs(served: Served, *, same_port: bool) -> None:
    port = served.url.rpartition(":")[2] if same_port else "0"
    done = started("--port", port, "--data-dir", str(served.data_dir))
    assert (done.code, "runs already" in done.err, served.url in done.err) == (4, True, True)
    assert str(served.data_dir) in done.err
    assert live.find(served.data_dir) is not None


def test_a_taken_port_is_refused_in_words(served: Served, tmp_path: Path) -> None:
    port = served.url.rpartition(":")[2]
    done = started("--port", port, "--data-dir", str(tmp_path / "d"))
    assert (done.code, "--port" in done.err) == (4, True)
    assert "Traceback" not in done.err


def test_a_data_directory_that_is_none_is_refused_in_words(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    done = started("--port", "0", "--data-dir", str(tmp_path / "file" / "below"))
    assert (done.code, "INNOMINATUS_DATA_DIR" in done.err) == (5, True)


def test_listening_beyond_this_machine_needs_a_token(tmp_path: Path) -> None:
    done = innominatus("serve", "--host", "0.0.0.0", "--port", "0", "--data-dir", str(tmp_path / "d"))
    assert (done.code, "INNOMINATUS_API_TOKEN" in done.err) == (6, True)
    assert not (tmp_path / "d").exists()


def test_a_wrong_setting_is_told_by_its_name(tmp_path: Path) -> None:
    done = innominatus("serve", "--data-dir", str(tmp_path), INNOMINATUS_THREADS="many", INNOMINATUS_PORT="99999")
    assert done.code == 2
    assert "INNOMINATUS_THREADS" in done.err
    assert "INNOMINATUS_PORT" in done.err
    assert innominatus("serve", "--data-dir", str(tmp_path), INNOMINATUS_LOG_LEVEL="LOUD").code == 2


def test_invalid_providers_are_told_once(tmp_path: Path) -> None:
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / "provider.yaml").write_text("apiVersion: v1\nkind: Provider\nmetdata: {}\n")
    folders = f"{tmp_path / 'broken'}:{tmp_path / 'absent'}"
    done = run(
        "cli.server", "serve", "--port", "0", "--data-dir", str(tmp_path / "d"), env={"INNOMINATUS_PROVIDERS": folders}
    )
    assert done.code == 2
    assert done.err.count("metdata: ") == 1
    assert done.err.count("There is no such folder") == 1
    assert "problems." in done.err.splitlines()[0]


def test_sigint_stops_cleanly_and_a_killed_server_leaves_nothing_in_the_way(tmp_path: Path, provider: Path) -> None:
    first = start(
        tmp_path / "data", "--show-token", INNOMINATUS_PROVIDERS=str(provider), INNOMINATUS_API_TOKEN="chosen-token"
    )
    assert "chosen-token" in first.greeting
    assert first.ctl("list", "--token", "chosen-token").code == 0
    first.stop(signal.SIGKILL)
    assert (first.data_dir / "serve.json").exists()
    assert live.find(first.data_dir) is None
    assert first.ctl("list").code == 5
    second = start(tmp_path / "data", INNOMINATUS_PROVIDERS=str(provider))
    assert second.ctl("list").code == 0
    assert second.stop(signal.SIGINT) == 0
    assert not (second.data_dir / "serve.json").exists()


def test_serve_json_of_nonsense_is_no_server(tmp_path: Path) -> None:
    for text in ("", "[]", "{}", '{"pid": "x", "url": 1}', '{"pid": -1, "url": "http://x"}', "\0"):
        (tmp_path / "serve.json").write_text(text)
        assert live.find(tmp_path) is None
    live.announce(tmp_path, "http://127.0.0.1:1")
    assert live.find(tmp_path) == live.Live(os.getpid(), "http://127.0.0.1:1")
    live.withdraw(tmp_path)
    assert live.find(tmp_path) is None


def test_mcp_forwards_to_the_engine_that_holds_the_data_directory(served: Served) -> None:
    client = Client(served.data_dir)
    assert client.tools() == 10
    answer = client.ask("tools/call", {"name": "list_providers", "arguments": {}})
    assert "cli-team" in json.dumps(answer)
    assert client.leave() == 0
    assert served.ctl("list").code == 0


def test_mcp_is_the_engine_where_there_is_none_and_others_reach_it(tmp_path: Path, provider: Path) -> None:
    first = Client(tmp_path / "data", INNOMINATUS_PROVIDERS=str(provider))
    assert first.tools() == 10
    second = Client(tmp_path / "data")
    assert "cli-team" in json.dumps(second.ask("tools/call", {"name": "list_providers", "arguments": {}}))
    assert call(ctl.main, "list", env={"INNOMINATUS_DATA_DIR": str(tmp_path / "data")}).code == 0
    assert second.leave() == 0
    assert first.leave() == 0
    assert live.find(tmp_path / "data") is None


def test_the_first_call_of_a_tool_waits_for_the_platform(tmp_path: Path, provider: Path) -> None:
    client = Client(tmp_path / "data", INNOMINATUS_PROVIDERS=str(provider))
    assert "cli-team" in json.dumps(client.ask("tools/call", {"name": "list_providers", "arguments": {}}))
    assert client.leave() == 0


def test_others_find_an_mcp_engine_whose_client_asks_nothing(tmp_path: Path, provider: Path) -> None:
    client = Client(tmp_path / "data", INNOMINATUS_PROVIDERS=str(provider))
    until(lambda: live.find(tmp_path / "data"))
    assert call(ctl.main, "list", env={"INNOMINATUS_DATA_DIR": str(tmp_path / "data")}).code == 0
    assert client.leave() == 0


def test_mcp_ends_with_every_problem_when_the_platform_cannot_start(tmp_path: Path) -> None:
    told = tmp_path / "stderr"
    with told.open("w") as stderr:
        client = Client(tmp_path / "data", stderr=stderr, INNOMINATUS_PROVIDERS=str(tmp_path / "absent"))
        assert client.process.wait(30) == 2
        assert client.leave() == 2
    assert told.read_text().count("There is no such folder") == 1
    gone = run("cli.server", "mcp", "--data-dir", str(tmp_path / "d"), env={"INNOMINATUS_PROVIDERS": "absent"})
    assert (gone.code, gone.out, gone.err.count("There is no such folder")) == (2, "", 1)


def test_mcp_reaches_a_named_server(served: Served, tmp_path: Path) -> None:
    token = (served.data_dir / "token").read_text().strip()
    client = Client(tmp_path, INNOMINATUS_API_BASE=served.url, INNOMINATUS_API_TOKEN=token)
    assert client.tools() == 10
    client.leave()
    assert not (tmp_path / "token").exists()


@pytest.mark.parametrize("forwards", [False, True])
def test_mcp_typed_at_a_terminal_says_what_it_waits_for_and_ends_with_ctrl_c(
    served: Served, tmp_path: Path, *, forwards: bool
) -> None:
    data_dir = served.data_dir if forwards else tmp_path / "data"
    keyboard, terminal = os.openpty()
    process = subprocess.Popen(
        [sys.executable, "-m", "cli.server", "mcp", "--data-dir", str(data_dir)],
        env=clean_environment(),
        stdin=terminal,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    assert process.stderr is not None
    try:
        told = process.stderr.readline()
        os.write(keyboard, b'{"jsonrpc": "2.0", "id": 1, "method": "ping"}\n')  # answered once it serves
        assert "jsonrpc" in process.stdout.readline()
        process.send_signal(signal.SIGINT)
        process.wait(30)
    finally:
        process.kill()
        process.communicate()
        os.close(keyboard)
        os.close(terminal)
    assert ("Ctrl-C" in told, "`innominatus mcp config`" in told) == (True, True)


def test_mcp_config_is_json_that_starts_this_program(tmp_path: Path) -> None:
    done = innominatus("mcp", "config", "--data-dir", str(tmp_path))
    entry = done.json["mcpServers"]["innominatus"]
    assert entry["args"][-1] == "mcp"
    assert Path(entry["command"]).exists()
    assert entry["env"]["INNOMINATUS_DATA_DIR"] == str(tmp_path)
    remote = innominatus("mcp", "config", "--server", "https://example.test").json["mcpServers"]["innominatus"]
    assert remote["env"]["INNOMINATUS_API_BASE"] == "https://example.test"


def test_migrating_goes_forward_and_back_and_status_writes_nothing(tmp_path: Path) -> None:
    folder = ("--data-dir", str(tmp_path / "data"))
    assert "no tables yet" in innominatus("migrate", "--status", *folder).out
    assert not (tmp_path / "data").exists()
    assert "up to date" in innominatus("migrate", *folder).out
    assert "no tables yet" in innominatus("migrate", "--down", "base", *folder).out
    assert innominatus("migrate", "--down", "nonsense", *folder).code == 4


def test_a_database_in_use_is_not_migrated(served: Served) -> None:
    assert innominatus("migrate", "--data-dir", str(served.data_dir)).code == 4
    assert "up to date" in innominatus("migrate", "--status", "--data-dir", str(served.data_dir)).out


def test_local_says_so_where_no_servers_were_made(tmp_path: Path) -> None:
    for command in ("status", "stop"):
        done = innominatus("local", command, "--data-dir", str(tmp_path))
        assert (done.code, "No servers" in done.out) == (0, True)


def test_a_worker_needs_a_shared_database(tmp_path: Path) -> None:
    done = innominatus("worker", "--data-dir", str(tmp_path))
    assert (done.code, "INNOMINATUS_DATABASE_URL" in done.err) == (2, True)
