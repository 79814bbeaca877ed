import sys
import time
from pathlib import Path
from typing import Protocol

import pytest

from engine.domain.values import JsonObject
from engine.steps import registry
from engine.steps.base import RetryLater, StepFailed, StepRefused, StepTimeout


class Lab(Protocol):
    bundle: Path
    workspace: Path

    def run(self, step_type: str, config: JsonObject, *, seconds: float = 20) -> JsonObject: ...
    @property
    def logged(self) -> list[str]: ...
    @property
    def masked(self) -> list[str]: ...


def test_outputs_come_from_the_file_and_from_lines(lab: Lab) -> None:
    script = """
echo hello
echo "::set-output name=host::db.local:5432"
echo "size=$PARAM_SIZE" >> "$INNOMINATUS_OUTPUT"
printf 'empty=\\nspaced=  a b \\nurl=a=b:=c<<d\\nport:=5432\\nlist:=["a", {"b": null}]\\n' >> "$INNOMINATUS_OUTPUT"
cat >> "$INNOMINATUS_OUTPUT" <<END
key<<EOF
line one

  line = three
EOF
host.2=second
END
"""
    assert lab.run("policy", {"script": script}) == {
        "host": "db.local:5432",
        "size": "it's $small",
        "empty": "",
        "spaced": "  a b ",
        "url": "a=b:=c<<d",
        "port": 5432,
        "list": ["a", {"b": None}],
        "key": "line one\n\n  line = three",
        "host.2": "second",
    }
    assert lab.logged == ["hello", "::set-output name=host::…"]


def test_printed_json_becomes_outputs_and_is_not_logged(lab: Lab) -> None:
    script = """echo working >&2; echo '{"host": "h", "port": 1, "nested": {"a": [1.5, true]}}'"""
    outputs = lab.run("policy", {"script": script, "outputFrom": "json"})
    assert outputs == {"host": "h", "port": 1, "nested": {"a": [1.5, True]}}
    assert lab.logged == ["working"]


@pytest.mark.parametrize(
    ("printed", "told"),
    [
        ("[1]", "not an object"),
        ("not json", "is not JSON"),
        ('{"a": NaN}', "NaN is not a JSON number"),
        ('{"a": 1} {"b": 2}', "is not JSON"),
        ("", "is not JSON"),
        ('{"a b": 1}', "cannot be the name"),
        ('{"a": "\\u0000"}', "NUL byte"),
        ('{"a": "\\ud800"}', "not valid text"),
        ("[" * 100_000, "is not JSON"),
        ('{"a": 1e999}', "inf"),
    ],
)
def test_printed_text_that_is_no_outputs_fails(lab: Lab, printed: str, told: str) -> None:
    (lab.bundle / "printed").write_text(printed)
    with pytest.raises(StepFailed, match=told):
        lab.run("policy", {"script": 'cat "$INNOMINATUS_BUNDLE/printed"', "outputFrom": "json"})


@pytest.mark.parametrize(
    ("script", "told"),
    [
        (r"printf 'a=x\000y\n' > $INNOMINATUS_OUTPUT", "Line 1 of the outputs holds a NUL byte"),
        (r"printf 'a=x\nb=\377\n' > $INNOMINATUS_OUTPUT", "Line 2 of the outputs is not valid UTF-8"),
        ("echo 'no sign' > $INNOMINATUS_OUTPUT", "Line 1 of the outputs has no"),
        ("echo '1a=b' > $INNOMINATUS_OUTPUT", "Line 1 of the outputs has no"),
        ("echo 'a<<EOF' > $INNOMINATUS_OUTPUT", "there is no line `EOF`"),
        ("echo 'a<<' > $INNOMINATUS_OUTPUT", "no end mark"),
        ("echo 'a:={' > $INNOMINATUS_OUTPUT", "The output `a` is not JSON"),
        ("head -c 2000000 /dev/zero | tr '\\0' x > $INNOMINATUS_OUTPUT", "too large"),
        ("rm $INNOMINATUS_OUTPUT; mkfifo $INNOMINATUS_OUTPUT", "no file"),
        ("rm $INNOMINATUS_OUTPUT; mkdir $INNOMINATUS_OUTPUT", "no file"),
        ("rm $INNOMINATUS_OUTPUT; ln -s /etc/passwd $INNOMINATUS_OUTPUT", "cannot be read"),
        (r"printf '::set-output name=a::x\000y\n'", "holds a NUL byte"),
        (r"printf '::set-output name=a::x\377\n'", "not valid UTF-8"),
        ("printf '::set-output name=a b::x\n'", "cannot be the name"),
        ("printf '::set-output name=a::'; head -c 100000 /dev/zero | tr '\\0' x; echo", "too long"),
    ],
)
def test_outputs_that_cannot_be_stored_fail_the_step(lab: Lab, script: str, told: str) -> None:
    with pytest.raises(StepFailed, match=told):
        lab.run("policy", {"script": script})


def test_an_error_never_shows_a_line_of_the_outputs(lab: Lab) -> None:
    with pytest.raises(StepFailed) as failed:
        lab.run("policy", {"script": "printf 'key=BEGIN\nc2VjcmV0\n' > $INNOMINATUS_OUTPUT"})
    assert "c2VjcmV0" not in failed.value.message


def test_a_script_without_outputs_has_none(lab: Lab) -> None:
    assert lab.run("policy", {"script": "rm $INNOMINATUS_OUTPUT"}) == {}


def test_failure_shows_the_exit_code_and_the_last_lines(lab: Lab) -> None:
    with pytest.raises(StepFailed) as failed:
        lab.run("policy", {"script": "seq 20; echo 'no such database' >&2; exit 3"})
    assert failed.value.message == "The script ended with exit code 3: no such database"
    with pytest.raises(StepFailed, match="exit code 1: only stdout"):
        lab.run("policy", {"script": "echo only stdout; exit 1"})


def test_exit_137_is_explained(lab: Lab) -> None:
    with pytest.raises(StepFailed, match="137") as failed:
        lab.run("policy", {"script": "kill -9 $$"})
    assert "out of memory" in failed.value.hint


def test_exit_75_asks_for_another_attempt(lab: Lab) -> None:
    with pytest.raises(RetryLater, match="server is starting"):
        lab.run("policy", {"script": "echo server is starting >&2; exit 75"})


def test_a_failing_command_in_the_middle_fails_the_script(lab: Lab) -> None:
    with pytest.raises(StepFailed):
        lab.run("policy", {"script": "false\necho went on"})
    with pytest.raises(StepFailed):
        lab.run("policy", {"script": "false | cat"})


def test_shebang_and_interpreter_choose_the_language(lab: Lab) -> None:
    python = "#!/usr/bin/env python3\nimport sys, os\nprint('::set-output name=exe::' + sys.executable)"
    assert lab.run("policy", {"script": python}) == {"exe": sys.executable}
    assert lab.run("policy", {"script": python.partition("\n")[2], "interpreter": "python -I"}) == {
        "exe": sys.executable
    }
    strict = "#!/bin/sh -u\necho $NOT_SET"
    with pytest.raises(StepFailed, match="NOT_SET"):
        lab.run("policy", {"script": strict})
    with pytest.raises(StepFailed, match="no program `/no/such"):
        lab.run("policy", {"script": "#!/no/such/interpreter\n"})
    with pytest.raises(StepFailed, match="names no interpreter"):
        lab.run("policy", {"script": "#!\n"})


def test_a_file_of_the_provider_runs_with_arguments_and_environment(lab: Lab) -> None:
    (lab.bundle / "scripts").mkdir()
    (lab.bundle / "scripts" / "x.py").write_text(
        "import os, sys\nopen(os.environ['INNOMINATUS_OUTPUT'], 'w').write(f'a={sys.argv[1:]} {os.environ[\"K\"]}')\n"
    )
    config: JsonObject = {"file": "scripts/x.py", "interpreter": "python", "args": ["$(id)", 1], "env": {"K": True}}
    assert lab.run("policy", config) == {"a": "['$(id)', '1'] true"}


def test_a_file_outside_the_provider_is_refused(lab: Lab) -> None:
    (lab.bundle / "link").symlink_to("/etc/passwd")
    for file in ("link", "missing.sh"):
        with pytest.raises(StepFailed, match="no file"):
            lab.run("policy", {"file": file})
    for file in ("../x", "/etc/passwd", "a/../../b", "~/x"):
        assert registry.config_problems("policy", {"file": file})


def test_environment_of_the_engine_is_not_passed(lab: Lab) -> None:
    assert "INNOMINATUS_SECRET_KEY" not in str(
        lab.run("policy", {"script": 'echo "all=$(env | tr "\\n" " ")" > $INNOMINATUS_OUTPUT'})
    )
    with pytest.raises(StepFailed):
        lab.run("policy", {"script": "set -u; echo $HOME_OF_ENGINE"})


def test_a_working_directory_is_made_in_the_workspace(lab: Lab) -> None:
    lab.run("policy", {"script": "touch here", "working_dir": "a/b"})
    assert (lab.workspace / "a" / "b" / "here").exists()


def test_a_working_directory_that_cannot_be_fails_the_step(lab: Lab) -> None:
    (lab.workspace / "taken").write_text("a file")
    with pytest.raises(StepFailed, match="`taken/x` cannot be made"):
        lab.run("policy", {"script": "true", "working_dir": "taken/x"})


def test_a_workspace_that_the_script_removed_fails_nothing(lab: Lab) -> None:
    assert lab.run("policy", {"script": 'rm -rf "$PWD"'}) == {}


def test_a_second_attempt_starts_with_fresh_files(lab: Lab) -> None:
    (lab.workspace / ".innominatus-output").write_text("old=1\n")
    (lab.workspace / ".innominatus-script").symlink_to("/etc/hostname")
    assert lab.run("policy", {"script": "echo new=2 >> $INNOMINATUS_OUTPUT"}) == {"new": "2"}


def test_a_script_may_mask_what_it_made_up(lab: Lab) -> None:
    lab.run("policy", {"script": "echo ::add-mask::s3cret"})
    assert lab.masked == ["s3cret"]
    assert lab.logged == []


def test_a_script_that_never_ends_is_ended(lab: Lab) -> None:
    started = time.monotonic()
    with pytest.raises(StepTimeout):
        lab.run("policy", {"script": "while :; do :; done"}, seconds=0.5)
    assert time.monotonic() - started < 4


@pytest.mark.parametrize(
    ("config", "path", "told"),
    [
        ({}, (), "either `script` or `file`"),
        ({"script": "a", "file": "b"}, (), "exclude each other"),
        ({"scirpt": "a"}, ("scirpt",), "unknown key"),
        ({"script": ["a"]}, ("script",), "valid string"),
        ({"script": "a\0b"}, ("script",), "NUL"),
        ({"script": "a", "env": {"a-b": "c"}}, ("env", "a-b"), "pattern"),
        ({"script": "a", "outputFrom": "yaml"}, ("outputFrom",), "json"),
        ({"script": "a", "args": "b"}, ("args",), "valid list"),
    ],
)
def test_config_problems_are_found_before_the_run(config: JsonObject, path: tuple[str, ...], told: str) -> None:
    (problem,) = registry.config_problems("policy", config)
    assert problem.path == path
    assert told in problem.message


def test_script_is_the_only_program_text() -> None:
    assert registry.is_script("policy", ("script",))
    assert not registry.is_script("policy", ("file",))
    assert not registry.is_script("policy", ("env", "script"))


def test_the_older_spelling_command_is_a_script_too(lab: Lab) -> None:
    assert lab.run("policy", {"command": 'echo "a=1" >> "$INNOMINATUS_OUTPUT"'}) == {"a": "1"}
    assert registry.is_script("policy", ("command",))
    [problem] = registry.config_problems("policy", {"command": "true", "script": "true"})
    assert "`script` and `command` exclude each other" in problem.message


def test_exit_code_78_says_that_trying_again_is_of_no_use(lab: Lab) -> None:
    with pytest.raises(StepRefused, match="no such version"):
        lab.run("policy", {"script": "echo 'no such version' >&2; exit 78"})


@pytest.mark.parametrize("end", ["exit 1", "sleep 60"])
def test_what_a_script_gave_out_before_it_failed_is_known_when_its_words_are_masked(lab: Lab, end: str) -> None:
    script = f'echo "key=s3cret" >> "$INNOMINATUS_OUTPUT"; echo "::set-output name=other::v4lue"; {end}'
    with pytest.raises(StepFailed):
        lab.run("policy", {"script": script}, seconds=2 if "sleep" in end else 20)
    assert lab.masked == ["outputs key, other"]


def test_outputs_that_cannot_be_read_do_not_hide_why_a_script_failed(lab: Lab) -> None:
    with pytest.raises(StepFailed, match="no luck"):
        lab.run("policy", {"script": 'echo nonsense >> "$INNOMINATUS_OUTPUT"; echo no luck >&2; exit 1'})
