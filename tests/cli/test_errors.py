"""How errors reach people and scripts."""

import json
from pathlib import Path
from typing import Any

import pytest

from cli import ctl, server
from cli.exits import as_document
from engine.errors import Conflict, Invalid, Problem
from tests.support.served import Done, Served, call, score

MEMBERS = {"code", "message", "hint", "problems", "details"}


def told(done: Done) -> Any:
    """The error, which is the only thing that was said; stdout is clean."""
    assert done.out == ""
    (line,) = done.err.splitlines()
    document = json.loads(line)
    assert set(document) == MEMBERS
    return document


@pytest.mark.parametrize("form", ["json", "yaml"])
def test_an_error_for_machines_is_one_line_of_json_on_stderr(served: Served, form: str) -> None:
    missing = served.ctl("status", "nobody", "-o", form)
    assert (missing.code, told(missing)["code"]) == (3, "application_not_found")
    denied = served.ctl("list", "--token", "wrong", f"--output={form}")
    assert (denied.code, bool(told(denied)["hint"])) == (6, True)
    away = served.ctl("list", "--server", "http://127.0.0.1:1", "-o", form)
    assert (away.code, told(away)["code"]) == (5, "no_server")
    unreadable = served.ctl("deploy", "/no/such/file", "-o", form)
    assert (unreadable.code, told(unreadable)["code"]) == (2, "unreadable_file")


def test_every_problem_of_an_input_is_in_the_document_with_its_place(served: Served) -> None:
    spec = score("faulty").replace("image: nginx", "imgae: nginx")
    done = served.ctl("deploy", "-", "-o", "json", stdin=spec)
    assert done.code == 2
    document = told(done)
    assert (document["code"], document["message"]) == ("invalid_spec", "The Score spec has 2 problems.")
    assert {problem["line"] for problem in document["problems"]} >= {5}
    assert all(problem["message"] and problem["severity"] == "error" for problem in document["problems"])


def test_a_stale_plan_says_for_machines_what_moved(served: Served) -> None:
    done = served.ctl("deploy", "-", "--plan-hash", "0" * 64, "-o", "json", stdin=score("stale"))
    assert done.code == 4
    document = told(done)
    assert document["code"] == "stale_plan"
    assert document["details"]


@pytest.mark.parametrize(
    "words", [("no-such-command",), ("env",), ("list", "--nonsense"), ("workflow", "abc"), ("list", "--server")]
)
def test_wrong_usage_is_told_in_the_form_that_was_asked_for(words: tuple[str, ...]) -> None:
    done = call(ctl.main, "-o", "json", *words)
    assert done.code == 2
    document = told(done)
    assert document["code"] == "usage"
    assert "--help" in document["hint"]
    plain = call(ctl.main, *words)
    assert plain.code == 2
    assert "Usage: " in plain.err


def test_a_form_that_is_none_is_told_in_words() -> None:
    for words in (("-o", "xml", "list"), ("list", "-o"), ("list", "--output=")):
        done = call(ctl.main, *words)
        assert (done.code, "Usage: " in done.err) == (2, True)


def test_a_value_that_is_no_choice_is_told_the_choices_and_nothing_else() -> None:
    for done in (call(server.main, "mcp", "config", "--client", "foo"), call(ctl.main, "list", "-o", "foo")):
        assert done.code == 2
        assert ": 'foo' is not one of '" in done.err


def test_a_deletion_that_fails_is_an_error_for_machines_too(served: Served, tmp_path: Path) -> None:
    more = "  stuck: {type: stuck}\n"
    assert served.submit("stubborn", more=more).code == 0
    done = served.ctl("delete", "stubborn", "--yes", "-w", "-o", "json")
    assert (done.code, told(done)["code"]) == (1, "not_deleted")
    number = served.ctl("list-resources", "--app", "stubborn", "-s", "failed", "-o", "json").json[0]["id"]
    assert served.ctl("resource", "resolve", str(number), "--as", "gone").code == 0


def test_what_json_has_no_word_for_is_told_as_text() -> None:
    document = as_document(Conflict("Taken.", details={"at": Path("/x"), "n": 1}))
    assert document["details"] == {"at": "/x", "n": 1}
    assert document["problems"] == []
    found = as_document(Invalid("Wrong.", [Problem("bad", "a.b", "It is bad", "Do better", line=3, column=1)]))
    assert found["problems"] == [
        {"code": "bad", "severity": "error", "path": "a.b", "line": 3, "column": 1, "message": "It is bad",
         "fix": "Do better"}
    ]  # fmt: skip
