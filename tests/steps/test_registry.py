import importlib
import sys
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.domain.values import Json, JsonObject
from engine.errors import Internal
from engine.steps import registry
from engine.steps.base import StepFailed
from engine.steps.registry import ConfigProblem

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)


def test_every_type_is_registered_under_its_own_name() -> None:
    assert registry.step_types() == {"http", "policy", "resource-provisioning", "set", "validation", "workflow"}
    for name in registry.step_types():
        assert registry.executor(name).step_type == name


def test_an_unknown_type_names_its_nearest() -> None:
    with pytest.raises(StepFailed, match="no step type `polcy`") as failed:
        registry.executor("polcy")
    assert "`policy`" in failed.value.hint


def test_all_problems_come_at_once_each_with_its_place_and_fix() -> None:
    problems = registry.config_problems("http", {"url": 1, "metod": "GET", "timeout": [], "headers": {"a": []}})
    assert {problem.path for problem in problems} == {("url",), ("metod",), ("timeout",), ("headers", "a")}
    assert ConfigProblem(("metod",), "unknown key `metod`", "did you mean `method`?") in problems


def test_a_missing_key_says_what_to_add() -> None:
    assert registry.config_problems("workflow", {}) == [
        ConfigProblem(("workflow",), "`workflow` is missing", "add `workflow`")
    ]


def test_values_that_hold_expressions_are_judged_later_but_keys_are_judged_now() -> None:
    config: JsonObject = {
        "checks": "{{ parameters.checks }}",
        "wait": "{{ parameters.wait }}",
        "tcp": {"host": "{{ parameters.host }}", "port": "{{ parameters.port }}", "prot": "{{ x }}"},
    }
    (problem,) = registry.config_problems("validation", config)
    assert problem.path == ("tcp", "prot")


def test_a_rendered_config_that_is_wrong_fails_with_every_problem() -> None:
    with pytest.raises(StepFailed) as failed:
        registry.parse_config("validation", {"tcp": {"host": "h", "port": "many"}, "wait": "soon"})
    assert "`tcp.port`: " in failed.value.message
    assert "`wait`: not a duration" in failed.value.message
    assert "pydantic" not in failed.value.message
    assert "30s" in failed.value.hint


def test_rendered_text_becomes_the_type_of_its_key() -> None:
    config = registry.parse_config("validation", {"tcp": {"host": "h", "port": "5432"}, "wait": "1m30s"})
    assert config.model_dump()["tcp"]["port"] == 5432
    assert config.model_dump()["wait"] == 90


def install(folder: Path, module: str, code: str, entries: str) -> None:
    """A package as pip would leave it."""
    (folder / f"{module}.py").write_text(code)
    info = folder / "acme_steps-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: acme-steps\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(f"[innominatus.steps]\n{entries}\n")


def test_an_installed_package_adds_types_and_cannot_replace_ours(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    install(
        tmp_path,
        "acme_steps",
        "class Pager:\n    step_type = 'pager'\n",
        "pager = acme_steps:Pager\nset = acme_steps:Pager",
    )
    monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])
    importlib.invalidate_caches()
    found = registry.load_executors()
    assert found["pager"].step_type == "pager"
    assert found["set"] is registry.EXECUTORS["set"]


def test_a_broken_package_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    install(tmp_path, "broken_steps", "import no_such_module\n", "pager = broken_steps:Pager")
    monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])
    importlib.invalidate_caches()
    with pytest.raises(Internal, match="`pager` of the package `acme-steps`") as broken:
        registry.load_executors()
    assert "uninstall `acme-steps`" in broken.value.hint


def test_scripts_are_rendered_as_scripts_wherever_they_stand() -> None:
    config: JsonObject = {
        "command": {"script": "a", "contains": "b"},
        "checks": [{"command": {"script": "c", "argv": ["d", 1]}}],
        "wait": "e",
    }
    rendered = registry.rendered(
        "validation",
        config,
        plain=lambda value, at: f"plain {value} {at}",
        script=lambda text, at: f"script {text} {at}",
    )
    assert rendered == {
        "command": {"script": "script a command.script", "contains": "plain b command.contains"},
        "checks": [
            {
                "command": {
                    "script": "script c checks.0.command.script",
                    "argv": ["plain d checks.0.command.argv.0", "plain 1 checks.0.command.argv.1"],
                }
            }
        ],
        "wait": "plain e wait",
    }


@given(
    st.sampled_from(sorted(registry.step_types())), st.dictionaries(st.text(max_size=8), JSON, max_size=4), st.data()
)
@settings(max_examples=150)
def test_no_config_breaks_the_judge(step_type: str, config: JsonObject, data: st.DataObject) -> None:
    fields = sorted(field.alias or name for name, field in registry.executor(step_type).Config.model_fields.items())
    for key in data.draw(st.lists(st.sampled_from(fields), max_size=3)):
        value: Json = data.draw(JSON)
        config[key] = value
    problems = registry.config_problems(step_type, config)
    try:
        registry.parse_config(step_type, config)
    except StepFailed:
        return
    assert problems == []
