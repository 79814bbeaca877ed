"""innominatus-ctl against a real server."""

import shlex
import subprocess
import sys
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path

import pytest
import yaml

from cli import ctl, server
from cli.commands.applications import print_resources
from cli.exits import EXIT_CODES, exit_code
from engine.domain.values import JsonObject
from engine.errors import FAMILIES, NotFound
from tests.support.served import Served, call, clean_environment, run, score

BREAKS = "  bad: {type: breaks}\n"


def test_every_family_of_errors_has_an_exit_code_of_its_own() -> None:
    assert set(EXIT_CODES) == set(FAMILIES)
    assert len(set(EXIT_CODES.values())) == len(FAMILIES)
    assert 0 not in EXIT_CODES.values()
    assert exit_code(NotFound("thing", "x")) == EXIT_CODES[NotFound]


def test_deploying_with_wait_shows_the_plan_and_ends_when_everything_is_active(served: Served) -> None:
    done = served.submit("shop")
    assert done.code == 0, done.err
    assert "Plan: 2 to create" in done.out
    assert "shop is active." in done.out
    assert "active        thing/shop.db" in done.err
    again = served.submit("shop")
    assert "2 unchanged" in again.out


def test_a_deployment_that_fails_ends_with_1_and_says_where_to_look(served: Served) -> None:
    done = served.submit("unlucky", more=BREAKS)
    assert done.code == 1
    assert "no luck today" in done.out
    status = served.ctl("status", "unlucky", "-o", "json")
    assert status.json["status"] == "failed"
    bad = next(r for r in status.json["resources"] if r["resource_type"] == "breaks")
    logs = served.ctl("workflow", "logs", str(bad["workflow_execution_id"]))
    assert "before red" in logs.out
    commands = [
        f"innominatus-ctl resource explain {bad['id']}",
        f"innominatus-ctl workflow logs {bad['workflow_execution_id']}",
    ]
    for told in (done.err, served.ctl("status", "unlucky").err):
        assert told.splitlines()[-2:] == commands
        assert "whether to retry or to correct the spec" in told.splitlines()[-3]
        assert "resource retry" not in told, "for some failures that is pointless"
    assert "\x1b" not in logs.out
    assert served.ctl("workflow", "retry", str(bad["workflow_execution_id"]), "-w").code == 1
    assert served.ctl("resource", "resolve", str(bad["id"]), "--as", "gone").code == 0


def test_why_something_failed_is_told_with_commands_that_can_be_pasted(served: Served) -> None:
    assert served.submit("puzzling", more=BREAKS).code == 1
    why = served.ctl("resource", "explain", "bad", "--app", "puzzling")
    assert why.code == 0, why.err
    first, *rest = why.out.splitlines()
    assert first == "The script ended with exit code 3: no luck today"
    told = dict(line.split(maxsplit=1) for line in rest if line[:1].strip() and " " in line)
    assert told["cause"].startswith("provider: ")
    assert "breaks/puzzling.bad" in told["failed"]
    assert "  | before red" in rest
    commands = [shlex.split(line)[1:] for line in rest if line.strip().startswith("innominatus-ctl")]
    assert [command[:2] for command in commands] == [
        ["workflow", "logs"],
        ["resource", "retry"],
        ["resource", "resolve"],
    ]
    assert served.ctl(*commands[0]).code == 0
    run = commands[0][2]
    assert served.ctl("workflow", "explain", run).out == why.out
    assert served.ctl("workflow", "explain", run, "-o", "json").json["cause"] == "provider"
    assert served.ctl("resource", "explain", "db", "--app", "puzzling").out == "Nothing has failed.\n"


def test_a_retry_that_cannot_help_runs_with_a_warning(served: Served) -> None:
    late = '  late: {type: thing, params: {note: "${resources.db.host.deep}"}}\n'
    assert served.submit("hopeless", more=late).code == 1
    again = served.ctl("resource", "retry", "late", "--app", "hopeless", "-o", "json")
    assert again.code == 0, again.err
    assert "Warning: What is asked for has not changed since it failed" in again.err
    assert again.json["warning"] in again.err


def test_what_is_asked_for_anew_is_said_to_start_by_itself(capsys: pytest.CaptureFixture[str]) -> None:
    item: JsonObject = {"id": 7, "resource": "thing/shop.db", "state": "failed", "reason": "awaits_turn"}
    print_resources([item])
    assert "thing/shop.db: asked for anew; it starts once what it waits for is there." in capsys.readouterr().out
    print_resources([{**item, "reason": "failed", "error_message": "boom"}])
    assert capsys.readouterr().out.endswith("thing/shop.db: boom\n")


def test_a_dry_run_writes_nothing_and_its_hash_applies_exactly_that_plan(served: Served, tmp_path: Path) -> None:
    file = tmp_path / "spec.yaml"
    file.write_text(score("dry"))
    done = served.ctl("deploy", str(file), "--dry-run", "-o", "json")
    assert done.code == 0
    assert done.json["applied"] is False
    assert served.ctl("status", "dry").code == 3
    assert served.ctl("deploy", str(file), "--plan-hash", "0" * 64).code == 4
    assert served.ctl("deploy", str(file), "--plan-hash", done.json["plan_hash"]).code == 0


def test_a_dry_run_names_the_whole_command_that_applies_it(served: Served, tmp_path: Path) -> None:
    folder = tmp_path / "with a blank"
    folder.mkdir()
    file = folder / "spec.yaml"
    file.write_text(score("pasted", more="  extra: {type: thing}\n"))
    assert served.ctl("deploy", str(file), "-e", "staging", "-w").code == 0
    file.write_text(score("pasted"))
    shaped = ("--environment", "staging", "--prune", "--strict")
    done = served.ctl("deploy", str(file), "--dry-run", "--server", served.url, *shaped)
    program, *words = shlex.split(done.out.splitlines()[-1])
    assert program == "innominatus-ctl"
    assert served.ctl(*words[:-1], "0" * 64).code == 4
    assert served.ctl(*words, "-w").code == 0
    left = served.ctl("list-resources", "--app", "pasted", "-e", "staging", "-o", "json").json
    assert {item["resource_name"] for item in left} == {"db", "workload"}
    plain = served.ctl("deploy", "-", "--dry-run", stdin=score("piped"))
    assert shlex.split(plain.out.splitlines()[-1])[:4] == ["innominatus-ctl", "deploy", "-", "--plan-hash"]


def test_a_faulty_spec_is_told_with_every_line_and_remedy(served: Served) -> None:
    spec = score("faulty").replace("image: nginx", "imgae: nginx").replace("type: thing", "type: thingy")
    done = served.ctl("deploy", "-", stdin=spec)
    assert done.code == 2
    assert "imgae" in done.err
    assert "`image`" in done.err
    assert " 5:" in done.err or ":5:" in done.err or "5:5" in done.err
    assert done.out == ""


def test_an_unknown_type_names_the_nearest_one(served: Served) -> None:
    done = served.ctl("deploy", "-", "--dry-run", stdin=score("near").replace("type: thing", "type: thingy"))
    assert "thing" in done.out + done.err


def test_what_is_not_there_ends_with_3_and_suggests(served: Served) -> None:
    served.submit("shop")
    done = served.ctl("status", "shpo")
    assert (done.code, "`shop`" in done.err) == (3, True)
    assert served.ctl("resource", "99999").code == 3
    assert served.ctl("resource", "no-such-thing").code == 3
    assert served.ctl("workflow", "99999").code == 3
    assert served.ctl("run", "no-such-path").code == 3
    assert served.ctl("provider", "cli-taem").code == 3
    assert served.ctl("status", "../../health").code == 3


def test_a_provider_shows_which_params_its_types_take(served: Served) -> None:
    rows = [line.split() for line in served.ctl("provider", "cli-team").out.splitlines()]
    assert ["sized", "size", "string", "(small/large)", "=", "small", "yes", "How", "large", "it", "is"] in rows
    assert ["sized", "open", "boolean", "=", "true"] in rows


def test_a_wrong_token_ends_with_6_and_no_server_with_5(served: Served, tmp_path: Path) -> None:
    assert served.ctl("list", "--token", "wrong").code == 6
    assert served.ctl("list", IDP_API_KEY="wrong").code == 6
    nobody = call(ctl.main, "list", env={"INNOMINATUS_DATA_DIR": str(tmp_path)})
    assert (nobody.code, "innominatus serve" in nobody.err) == (5, True)
    assert call(ctl.main, "list", "--server", "http://127.0.0.1:1", "--token", "x").code == 5
    assert call(ctl.main, "list", "--server", "http://[", "--token", "x").code == 2
    assert call(ctl.main, "list", "--server", "ftp://127.0.0.1", "--token", "x").code == 2


def test_the_token_file_is_not_sent_to_another_machine(served: Served) -> None:
    from cli.client import _token_file  # pyright: ignore[reportPrivateUsage] # what must not happen cannot be seen from outside

    assert _token_file(served.url, served.data_dir)
    assert _token_file("http://example.com", served.data_dir) == ""
    assert _token_file("http://127.0.0.1.example.com", served.data_dir) == ""


def test_wrong_usage_ends_with_2(served: Served) -> None:
    assert served.ctl("no-such-command").code == 2
    assert served.ctl("deploy", "/no/such/file.yaml").code == 2
    assert served.ctl("list", "-o", "xml").code == 2
    assert served.ctl("workflow", "abc").code == 2
    assert served.ctl("list-resources", "--state", "asleep").code == 2
    assert served.ctl("graph-export", "shop", "--format", "svg").code == 2
    assert served.ctl("deploy", "-", stdin="\ufeff").code == 2


def test_json_and_yaml_say_the_same_wherever_the_option_stands(served: Served) -> None:
    served.submit("shop")
    front = served.ctl("-o", "json", "list-resources", "--app", "shop")
    back = served.ctl("list-resources", "--app", "shop", "--output=yaml")
    assert front.json == yaml.safe_load(back.out)
    assert {item["resource_type"] for item in front.json} == {"thing", "workload"}


def test_secret_outputs_are_masked_until_they_are_asked_for(served: Served) -> None:
    served.submit("shop")
    masked = served.ctl("resource", "thing/shop.db")
    assert masked.code == 0
    assert "***" in masked.out
    assert "$HOME" not in masked.out + served.ctl("list-resources", "-o", "json").out
    number = str(served.ctl("resource", "thing/shop.db", "-o", "json").json["id"])
    assert "it's $HOME `x` 100%" in served.ctl("resource", number, "--reveal").out


@pytest.mark.parametrize("form", ["table", "json", "yaml"])
def test_secret_variables_are_masked_until_they_are_asked_for_and_that_is_written_down(
    served: Served, form: str
) -> None:
    name = f"masked-{form}"
    served.submit(name)
    masked = served.ctl("env", name, "-o", form)
    assert masked.code == 0
    assert f"{name}.db.test" in masked.out
    assert "$HOME" not in masked.out
    assert "***" in masked.out
    assert ("--reveal" in masked.err) == (form == "table")
    assert served.ctl("events", "--app", name, "--types", "variables").out == ""
    assert "$HOME" in served.ctl("env", name, "--reveal", "-o", form).out
    (fact,) = served.ctl("events", "--app", name, "--types", "variables", "-o", "json").json
    assert (fact["kind"], fact["actor"], fact["data"]) == (
        "variables.revealed", "api_key:token",
        {"application": name, "environment": "default", "variables": ["web.KEY"]},
    )  # fmt: skip


def test_a_name_that_several_resources_have_is_a_conflict_with_their_numbers(served: Served) -> None:
    served.submit("one")
    served.submit("two")
    done = served.ctl("resource", "db")
    assert (done.code, "Use the number" in done.err) == (4, True)
    assert served.ctl("resource", "db", "--app", "one").code == 0


def test_of_an_application_in_several_environments_a_resource_and_its_executions_are_named_by_where(
    served: Served,
) -> None:
    for where in ("default", "staging"):
        assert served.submit("moved", "-e", where, more=BREAKS).code == 1
    for name in ("thing/moved.db", "db"):
        several = served.ctl("resource", name, "--app", "moved")
        assert (several.code, "in staging" in several.err, "--environment" in several.err) == (4, True, True)
        found = served.ctl("resource", name, "--app", "moved", "-e", "staging", "-o", "json")
        assert found.json["environment"] == "staging"
    assert served.ctl("resource", "thing/moved.db", "-e", "nowhere").code == 3
    runs = served.ctl("list-workflows", "--app", "moved", "-e", "staging", "--status", "failed", "-o", "json").json
    assert [run["environment"] for run in runs] == ["staging"]
    assert served.ctl("resource", "retry", "bad", "--app", "moved", "-e", "staging").code == 0
    assert served.ctl("workflow", str(runs[0]["id"]), "-o", "json").json["attempt"] == 2
    assert served.ctl("resource", "resolve", "bad", "--app", "moved", "-e", "default", "--as", "gone").code == 0


def test_a_shell_reads_the_environment_back_as_it_is(served: Served, tmp_path: Path) -> None:
    served.submit("shop")
    done = served.ctl("env", "shop", "--reveal")
    assert (done.code, done.err) == (0, "")
    (tmp_path / "env").write_text(done.out)
    read = subprocess.run(
        ["sh", "-c", '. ./env; printf "%s|%s" "$HOST" "$KEY"'],
        capture_output=True,
        text=True,
        check=True,
        cwd=tmp_path,
        env=clean_environment(),
    )
    assert read.stdout == "shop.db.test|it's $HOME `x` 100%"
    assert served.ctl("env", "shop", "--container", "web", "--reveal").out == done.out
    assert served.ctl("env", "shop", "--container", "wbe").code == 3


def test_a_golden_path_runs_with_inputs_of_a_file_and_of_the_line(served: Served, tmp_path: Path) -> None:
    assert "greet" in served.ctl("list-goldenpaths").out
    inputs = tmp_path / "inputs.yaml"
    inputs.write_text("name: ada\ntimes: 2\n")
    done = served.ctl("run", "greet", str(inputs), "--param", "times=3", "-w", "-o", "json")
    assert done.code == 0, done.err
    assert done.json["outputs"] == {"text": "hello ada", "times": 3}
    wrong = served.ctl("run", "greet", "-p", "name=ADA", "-p", "times=many", "-p", "tims=1")
    assert wrong.code == 2
    for word in ("name", "times", "tims"):
        assert wrong.err.count(f"error: {word}: ") == 1
    assert wrong.err.count("whole number") == 1
    assert served.ctl("run", "greet", "-p", "name").code == 2


def test_a_person_continues_a_step_that_waits(served: Served) -> None:
    waiting = served.ctl("run", "ask", "-w", "-o", "json")
    assert waiting.code == 0
    number = str(waiting.json["id"])
    assert f"workflow continue {number}" in waiting.err
    assert served.ctl("workflow", "continue", number).code == 0
    assert served.ctl("workflow", "continue", number, "gate").code in {2, 4}
    other = str(served.ctl("run", "ask", "-w", "-o", "json").json["id"])
    assert served.ctl("workflow", "cancel", other).code == 0


def test_deleting_shows_the_plan_asks_and_then_does_it(served: Served) -> None:
    served.submit("doomed")
    asked = served.ctl("delete", "doomed")
    assert (asked.code, "--yes" in asked.err) == (2, True)
    assert "delete    thing/doomed.db" in asked.out
    assert served.ctl("status", "doomed").code == 0
    done = served.ctl("delete", "doomed", "--yes", "-w")
    assert (done.code, "Deleted doomed." in done.out) == (0, True)
    assert served.ctl("status", "doomed").code == 3


def test_pruning_asks_before_it_deletes(served: Served) -> None:
    more = "  extra: {type: thing}\n"
    served.submit("pruned", more=more)
    assert served.submit("pruned", "--prune").code == 2
    assert served.submit("pruned", "--prune", "--yes").code == 0
    kept = served.ctl("list-resources", "--app", "pruned", "-o", "json").json
    assert {item["resource_name"] for item in kept} == {"db", "workload"}


@pytest.mark.parametrize("form", ["tree", "mermaid", "dot", "json"])
def test_the_graph_is_printed_in_every_form(served: Served, form: str) -> None:
    served.submit("shop")
    done = served.ctl("graph-export", "shop", "--format", form)
    assert (done.code, "shop.db" in done.out) == (0, True)


@pytest.mark.parametrize("command", ["list", "environments", "list-workflows", "providers", "stats", "whoami"])
def test_reading_commands_answer_as_table_and_json(served: Served, command: str) -> None:
    assert served.ctl(command).code == 0
    assert served.ctl(command, "-o", "json").json is not None


def test_the_list_of_executions_says_when_each_was_requested(served: Served) -> None:
    served.submit("dated")
    told = served.ctl("list-workflows", "-a", "dated").out.splitlines()
    runs = served.ctl("list-workflows", "-a", "dated", "-o", "json").json
    assert told[0].split()[:3] == ["ID", "REQUESTED", "APPLICATION"]
    assert [line.split()[:3] for line in told[1:]] == [[str(r["id"]), r["created_at"][:19], "dated"] for r in runs]


def test_the_same_idempotency_key_submits_once(served: Served) -> None:
    first = served.submit("keyed", "--idempotency-key", "k1", "-o", "json").json
    again = served.submit("keyed", "--idempotency-key", "k1", "-o", "json").json
    assert (first["version"], again["version"], again["replayed"]) == (1, 1, True)


def test_the_program_ends_with_the_exit_code(served: Served) -> None:
    env = {"INNOMINATUS_DATA_DIR": str(served.data_dir)}
    assert run("cli.ctl", "list", env=env).code == 0
    assert run("cli.ctl", "status", "nobody", env=env).code == 3
    assert "Exit codes" in run("cli.ctl", "--help").out


@pytest.mark.parametrize(("program", "main"), [("innominatus", server.main), ("innominatus-ctl", ctl.main)])
def test_the_version_is_that_of_the_installed_package(program: str, main: Callable[[], None]) -> None:
    done = call(main, "--version")
    assert (done.code, done.out) == (0, f"{program} {version('innominatus')}\n")


@pytest.mark.parametrize("module", ["cli.ctl", "cli.server"])
@pytest.mark.parametrize("option", ["--version", "--help"])
def test_version_and_help_import_nothing_heavy(module: str, option: str) -> None:
    heavy = ("pydantic", "sqlalchemy", "mcp", "fastapi", "httpx2", "yaml", "rich", "structlog")
    script = (
        f"import sys, atexit; sys.argv = ['x', '{option}']\n"
        f"atexit.register(lambda: print([name for name in {heavy} if name in sys.modules]))\n"
        f"from {module} import main; main()"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"


def test_an_operator_pauses_all_workers_and_lets_them_go_on(served: Served) -> None:
    assert served.ctl("admin", "status", "-o", "json").json["paused"] is False
    done = served.ctl("admin", "pause", "--reason", "new disk")
    assert (done.code, "Claiming is paused by api_key:token: new disk." in done.out) == (0, True)
    assert served.ctl("deploy", "-", stdin=score("later")).code == 0
    shown = served.ctl("admin", "status").out
    assert all(word in shown for word in ("new disk", "queued", "api_key:token"))
    assert served.ctl("status", "later", "-o", "json").json["status"] == "in_progress"
    assert served.ctl("admin", "resume").out == "Claiming goes on.\n"
    assert served.submit("later").code == 0
    assert served.ctl("delete", "later", "--yes", "-w").code == 0
