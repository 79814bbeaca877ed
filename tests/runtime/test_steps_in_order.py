"""The runner: chains, needs, parallel steps, conditions, outputs."""

from pathlib import Path

from engine.store.database import Store
from tests.support.platforms import running_platform
from tests.support.providers import script, values, workflow, write_provider


def test_a_chain_hands_outputs_on_and_keeps_their_types(store: Store, tmp_path: Path) -> None:
    steps = [
        values("one", count=2, name="a"),
        values(
            "two", sum="{{ steps.one.outputs.count + 1 }}", text="{{ steps.one.outputs.name }}{{ parameters.tail }}"
        ),
    ]
    golden = {"chain": workflow(steps, parameters=[{"name": "tail", "type": "string", "default": "b"}])}
    with running_platform(store, tmp_path, [write_provider(tmp_path / "p", golden=golden)]) as house:
        done = house.run("chain")
    assert (done.state, done.outputs.values) == ("succeeded", {"sum": 3, "text": "ab"})


def test_hello_script(store: Store, tmp_path: Path) -> None:
    golden = {"hello": workflow([script("say", 'echo "greeting=hi" >> $INNOMINATUS_OUTPUT; echo said')])}
    with running_platform(store, tmp_path, [write_provider(tmp_path / "p", golden=golden)]) as house:
        done = house.run("hello")
        assert (done.state, done.outputs.values) == ("succeeded", {"greeting": "hi"}), done
        assert "said" in house.log(done.id)
