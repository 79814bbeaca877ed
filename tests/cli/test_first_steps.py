"""What a newcomer reads: what is mistyped, what is missing, what to type next."""

import shlex
from pathlib import Path

import pytest

from cli import ctl
from tests.support.served import Done, Served, call, score, write_provider

UNTYPED = "  extra:\n    type: thinng\n    params: {note: x}\n"


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "shop.yaml"


def deploy(served: Served, file: Path, text: str, *args: str) -> Done:
    file.write_text(text)
    return served.ctl("deploy", str(file), *args)


def pasted(served: Served, line: str) -> Done:
    """The command line that was shown, typed."""
    program, *words = shlex.split(line)
    assert program == "innominatus-ctl"
    return served.ctl(*words)


def test_an_unknown_type_is_told_where_it_is_written_and_in_which_file(served: Served, file: Path) -> None:
    done = deploy(served, file, score("placed", more=UNTYPED))
    assert done.code == 2
    line = file.read_text().splitlines().index("    type: thinng") + 1
    assert f"error: {file}:{line}:5 resources.extra.type: no provider offers" in done.err
    assert "`thing`" in done.err
    found = deploy(served, file, score("placed", more=UNTYPED), "-o", "json")
    assert f'"file": "{file}", "line": {line}, "column": 5' in found.err
    assert "error: stdin:" in served.ctl("deploy", "-", stdin=score("placed", more=UNTYPED)).err


def test_a_problem_that_the_text_alone_shows_names_the_file_too(served: Served, file: Path) -> None:
    done = deploy(served, file, score("placed").replace("image:", "imgae:"))
    assert f"error: {file}:5:5 containers.web.imgae" in done.err


def test_a_warning_names_file_line_and_column(served: Served, file: Path) -> None:
    done = deploy(served, file, score("warned").replace("params:", "properties:"), "--dry-run")
    assert f"warning: {file}:8:" in done.out


@pytest.mark.parametrize("place", ["db.host", "db.key"])
def test_a_placeholder_with_swapped_letters_is_told_the_right_one(served: Served, place: str) -> None:
    text = score("swapped").replace(f"resources.{place}", f"resources.{place.replace('db', 'bd')}")
    assert f"did you mean `${{resources.{place}}}`?" in served.ctl("deploy", "-", stdin=text).err


def test_a_resource_with_swapped_letters_is_told_the_right_one(served: Served) -> None:
    assert served.submit("swaps").code == 0
    assert "Did you mean `db`?" in served.ctl("resource", "bd", "--app", "swaps").err
    assert "`thing/swaps.db`" in served.ctl("resource", "thingg/swaps.db", "--app", "swaps").err


def test_a_file_that_is_not_there_names_the_nearest_that_is(served: Served, file: Path) -> None:
    file.write_text(score("shop"))
    (file.parent / "shp").mkdir()
    mistyped = file.with_name("shp.yaml")
    assert f"Hint: Did you mean `{file}`?" in served.ctl("deploy", str(mistyped)).err
    assert f"Hint: Did you mean `{file}`?" in call(ctl.main, "validate", str(mistyped)).err
    lost = file.parent.with_name(f"{file.parent.name}x") / file.name
    assert f"`{file}`" in served.ctl("deploy", str(lost)).err
    assert "Hint" not in served.ctl("deploy", str(file.with_name("0"))).err


def test_what_holds_no_spec_is_not_proposed_for_one(served: Served, file: Path) -> None:
    file.with_name("note.md").write_text("# Not a spec\n")
    done = served.ctl("deploy", str(file.with_name("nope.yaml")))
    assert (done.code, "Hint" in done.err) == (2, False)


def test_a_provider_folder_that_is_not_there_names_the_nearest_that_is(tmp_path: Path) -> None:
    team = write_provider(tmp_path / "shop-team")
    assert f"`{team}`" in call(ctl.main, "validate", str(tmp_path / "shp-team")).err


def test_a_valid_spec_says_what_only_a_plan_knows_and_how_to_ask_for_one(served: Served, file: Path) -> None:
    file.write_text(score("checked", more=UNTYPED))
    done = served.ctl("validate", str(file), "--strict")
    assert (done.code, done.out) == (0, f"{file}: valid (spec)\n")
    assert "Not checked: " in done.err
    assert all(word in done.err for word in ("resource types", "params", "outputs"))
    asked = pasted(served, done.err.splitlines()[-1])
    assert (asked.code, "thinng" in asked.err) == (2, True)
    file.write_text(score("checked"))
    assert "Nothing was written" in pasted(served, done.err.splitlines()[-1]).out


def test_only_a_valid_spec_says_what_was_not_checked(served: Served, provider: Path, file: Path) -> None:
    file.write_text(score("fine"))
    assert served.ctl("validate", str(file), "-o", "json").err == ""
    assert served.ctl("validate", str(provider)).err == ""
    file.write_text(score("fine") + "---\n" + score("other"))
    several = served.ctl("validate", str(file)).err
    assert "one document at a time" in several
    assert "innominatus-ctl" not in several
    file.write_text(score("BAD NAME"))
    assert served.ctl("validate", str(file)).err == ""


def test_deploying_without_waiting_says_how_to_follow_it(served: Served, file: Path) -> None:
    done = deploy(served, file, score("followed"), "-e", "staging")
    assert done.code == 0
    assert done.err.startswith("Follow it")
    line = done.err.strip().partition(": ")[2]
    assert line == "innominatus-ctl status followed --environment staging"
    assert pasted(served, line).code == 0
    assert served.ctl("deploy", str(file), "-e", "staging", "-o", "json").err == ""


def test_deploying_what_is_there_says_that_there_is_nothing_to_do(served: Served, file: Path) -> None:
    first = deploy(served, file, score("settled"), "-w")
    assert "Nothing to do" not in first.out
    assert "Follow it" not in first.err
    again = served.ctl("deploy", str(file))
    assert "Nothing to do" in again.out
    assert "Follow it" not in again.err
    tried = served.ctl("deploy", str(file), "--dry-run")
    assert tried.out.endswith("Nothing to do: all that the spec asks for is there.\n")
    assert "Nothing to do" not in deploy(served, file, score("settled", note="other")).out


def test_only_sharing_what_another_application_has_is_something_to_do(served: Served, file: Path) -> None:
    shared = "  both: {type: thing, id: told.both}\n"
    deploy(served, file, score("has-it", more=shared), "-w")
    deploy(served, file, score("joins"), "-w")
    tried = deploy(served, file, score("joins", more=shared), "--dry-run")
    assert "`joins` refers to it from now on" in tried.out
    assert "Nothing was written. To apply exactly this:" in tried.out
    assert "Nothing to do" not in deploy(served, file, score("joins", more=shared)).out
    assert "Nothing to do" in deploy(served, file, score("joins", more=shared)).out


def test_the_plan_names_the_option_and_other_doors_the_argument(served: Served, file: Path) -> None:
    assert deploy(served, file, score("spared", more="  extra: {type: thing}\n"), "-w").code == 0
    less = deploy(served, file, score("spared"), "--dry-run")
    assert "`--prune` deletes it" in less.out
    assert "`prune` deletes it" in deploy(served, file, score("spared"), "--dry-run", "-o", "json").out


def test_hints_name_options_and_commands(served: Served, file: Path) -> None:
    stale = deploy(served, file, score("hinted"), "--plan-hash", "0")
    assert "`--dry-run`" in stale.err
    assert "`--plan-hash`" in stale.err
    assert "`innominatus-ctl list-resources`" in served.ctl("resource", "99999").err
    assert "`innominatus-ctl list-workflows`" in served.ctl("workflow", "99999").err


def test_the_status_of_nothing_in_particular_is_the_list(served: Served) -> None:
    served.submit("listed")
    done = served.ctl("status")
    assert (done.code, done.out) == (0, served.ctl("list").out)
    assert "innominatus-ctl status APP" in done.err
    assert served.ctl("status", "-o", "json").json == served.ctl("list", "-o", "json").json
    assert served.ctl("status", "-e", "nowhere").err == ""


def test_the_history_of_a_resource_has_a_heading(served: Served) -> None:
    served.submit("past")
    lines = served.ctl("resource", "db", "--app", "past").out.splitlines()
    assert "resource.active" in "".join(lines[lines.index("history, newest first") + 1 :])


def test_no_platform_found_names_the_ways_to_one(tmp_path: Path) -> None:
    place = tmp_path / "a b"
    done = call(ctl.main, "list", env={"INNOMINATUS_DATA_DIR": str(place)})
    assert done.code == 5
    assert f"`innominatus serve --data-dir '{place}'`" in done.err
    assert all(word in done.err for word in ("INNOMINATUS_DATA_DIR", "--server", "INNOMINATUS_API_BASE"))


def test_what_is_blocked_says_by_what(served: Served, file: Path) -> None:
    needy = score("needy", note='"${resources.bad.host}"', more="  bad: {type: breaks}\n")
    done = deploy(served, file, needy, "-w")
    assert done.code == 1
    blocked = "thing/needy.db: blocked by `breaks/needy.bad`, which has failed."
    assert blocked in done.out
    assert blocked in served.ctl("status", "needy").out
    number = served.ctl("resource", "bad", "--app", "needy", "-o", "json").json["id"]
    variables = served.ctl("env", "needy")
    assert (variables.code, "resource `bad` has failed: " in variables.err) == (4, True)
    assert variables.err.endswith("Hint: See: innominatus-ctl status needy\n")
    one = served.ctl("resource", "db", "--app", "needy").out
    assert ["blocked_by", str(number)] in [line.split() for line in one.splitlines()]
    assert served.ctl("resource", "resolve", "bad", "--app", "needy", "--as", "gone").code == 0


def test_logs_of_a_name_says_that_a_number_is_wanted_and_which_command_lists_them(served: Served) -> None:
    for words in (("logs", "shop"), ("workflow", "shop"), ("workflow", "retry", "shop")):
        done = served.ctl(*words)
        assert (done.code, "`shop` is not the number of an execution" in done.err) == (2, True)
        assert "`innominatus-ctl list-workflows`" in done.err


@pytest.mark.parametrize(
    ("words", "command"),
    [("status", "list"), ("env", "list"), ("resource", "list-resources"), ("run", "list-goldenpaths"),
     ("provider", "providers")],
)  # fmt: skip
def test_what_is_like_nothing_there_is_answered_with_the_command_that_lists_it(
    served: Served, words: str, command: str
) -> None:
    served.submit("there")
    assert f"Hint: `innominatus-ctl {command}` shows" in served.ctl(words, "qqqqqqqq").err


def test_what_succeeded_is_not_retried_and_the_reason_is_in_words(served: Served) -> None:
    number = str(served.ctl("run", "greet", "-p", "name=ada", "-w", "-o", "json").json["id"])
    done = served.ctl("workflow", "retry", number)
    assert done.code == 4
    assert f"Execution {number} has succeeded; only a failed or cancelled one can be retried." in done.err


def test_the_list_of_an_environment_names_it_in_the_next_command(served: Served) -> None:
    served.submit("abroad", "-e", "staging")
    line = served.ctl("status", "-e", "staging").err.strip().partition(": ")[2]
    assert pasted(served, line.replace("APP", "abroad")).code == 0


def test_a_folder_instead_of_a_file_names_the_yaml_files_in_it(served: Served, file: Path) -> None:
    empty = served.ctl("deploy", str(file.parent))
    assert (empty.code, "no YAML file in it" in empty.err) == (2, True)
    for name in ("shop.yaml", "café.yml", "notes.txt"):
        file.with_name(name).write_text("")
    done = served.ctl("deploy", str(file.parent))
    assert "cannot be read: it is a folder." in done.err
    assert f"`{file.with_name('café.yml')}`, `{file}`." in done.err


def test_a_type_that_no_provider_knows_is_told_with_the_nearest(served: Served) -> None:
    done = served.ctl("list-resources", "--type", "thinng")
    assert (done.code, done.out) == (0, "No resources.\n")
    assert done.err == "No provider knows the type `thinng`. Did you mean `thing`?\n"
    assert served.ctl("list-resources", "--type", "stuck").err == ""


def test_an_execution_shows_with_what_and_when_it_began_and_that_nothing_was_printed(served: Served) -> None:
    run = served.ctl("run", "greet", "-p", "name=ada", "-p", "times=7", "-w", "-o", "json").json
    shown = served.ctl("workflow", str(run["id"])).out
    assert ["started_at", run["started_at"]] in [line.split() for line in shown.splitlines()]
    told = shown[shown.index("inputs") :].splitlines()
    assert [line.split() for line in told[1:3]] == [["name", "ada"], ["times", "7"]]
    assert served.ctl("logs", str(run["id"])).out == "--- greeted (succeeded, attempt 1)\n(printed nothing)\n"
