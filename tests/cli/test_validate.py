"""innominatus-ctl validate: without a server."""

from pathlib import Path

import pytest

from cli import ctl
from tests.support.served import Done, call, score, write_provider

GOOD_WORKFLOW = "apiVersion: innominatus.io/v1\nkind: Workflow\nmetadata: {name: w}\nsteps:\n  - {name: a, type: set, config: {values: {x: 1}}}\n"


def validate(*args: str, stdin: str = "") -> Done:
    return call(ctl.main, "validate", *args, stdin=stdin)


def test_a_good_spec_workflow_and_provider_are_valid(tmp_path: Path) -> None:
    (tmp_path / "spec.yaml").write_text(score("fine"))
    (tmp_path / "workflow.yaml").write_text(GOOD_WORKFLOW)
    provider = write_provider(tmp_path / "team")
    done = validate(str(tmp_path / "spec.yaml"), str(tmp_path / "workflow.yaml"), str(provider))
    assert done.code == 0, done.out
    assert "valid (spec)" in done.out
    assert "valid (workflow)" in done.out
    assert "valid (provider)" in done.out


def test_every_problem_of_every_document_has_its_line(tmp_path: Path) -> None:
    file = tmp_path / "spec.yaml"
    file.write_text(score("fine").replace("image:", "imgae:") + "---\n" + score("BAD NAME"))
    done = validate(str(file), "-o", "json")
    assert done.code == 2
    first, second = done.json
    assert [first["valid"], second["valid"]] == [False, False]
    assert any(problem["line"] == 5 for problem in first["problems"])
    assert all(problem["line"] and problem["message"] for target in (first, second) for problem in target["problems"])
    assert f"{file}:5:" in validate(str(file)).out


def test_the_dialect_is_a_warning_and_under_strict_an_error(tmp_path: Path) -> None:
    file = tmp_path / "spec.yaml"
    file.write_text(score("fine").replace("params:", "properties:"))
    assert validate(str(file)).code == 0
    assert "warning" in validate(str(file)).out
    assert validate(str(file), "--strict").code == 2


def test_faults_of_workflows_and_providers_are_told_with_file_and_line(tmp_path: Path) -> None:
    (tmp_path / "w.yaml").write_text(GOOD_WORKFLOW.replace("type: set", "type: sett"))
    done = validate(str(tmp_path / "w.yaml"))
    assert (done.code, "`set`" in done.out, "w.yaml:5:" in done.out) == (2, True, True)
    one, two = write_provider(tmp_path / "teams" / "one"), write_provider(tmp_path / "teams" / "two")
    manifest = two / "provider.yaml"
    manifest.write_text(manifest.read_text().replace("name: cli-team", "name: other-team"))
    both = validate(str(tmp_path / "teams"))
    assert both.code == 2
    assert "thing" in both.out
    (one / "make.yaml").unlink()
    assert validate(str(one)).code == 2


def test_a_folder_of_documents_is_validated_document_by_document(tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / f"{name}.yaml").write_text(score(name))
    assert len(validate(str(tmp_path), "-o", "json").json) == 2
    assert validate("-", stdin=score("piped")).code == 0


@pytest.mark.parametrize("text", ["", "[]", "just text", "a: [", "%", "\ufeff", "a: &a [*a]", "? {a: 1}: 2"])
def test_no_text_is_too_strange_to_be_judged(text: str) -> None:
    done = validate("-", stdin=text)
    assert done.code == 2
    assert "Traceback" not in done.err


def test_what_cannot_be_read_is_told_in_words(tmp_path: Path) -> None:
    binary = tmp_path / "spec.yaml"
    binary.write_bytes(bytes(range(256)))
    for target in (str(tmp_path / "missing.yaml"), str(binary), str(tmp_path / "empty-folder")):
        (tmp_path / "empty-folder").mkdir(exist_ok=True)
        done = validate(target)
        assert done.code == 2
        assert "Traceback" not in done.err
