"""Changed documents get the verdict of the official schema, where `INNOMINATUS_ORACLES` says where it is."""

import copy
import json
import os
import random
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from engine.domain.spec_reader import read
from engine.domain.values import Json
from engine.domain.yaml_source import load

EXAMPLES = Path(__file__).parents[2] / "examples"
MUTANTS = 120
BEYOND_THE_SCHEMA = {
    "unknown_root", "key_required", "key_not_found", "not_a_map", "unknown_resource", "self_reference",
    "dependency_cycle", "unknown_container", "reserved_type", "duplicate_target",
}  # fmt: skip
VALUES: list[Any] = [
    None, True, False, 0, 1, -1, 80.0, 80.5, 70000, 65535, 10**15, "", "x", "xx", "a-b", "-a", "A", "x" * 63, "x" * 64,
    "80", "0644", "755", "TCP", "HTTP", "ready", "started", "1Gi", "0.5", "1.", "01", "100m", "score.dev/v1b1", "\u0661",
    "a.b", "a..b", "é", "${metadata.name}", [], ["a"], [1], [{}], {}, {"a": 1}, {"aa": "b"}, {"target": "/x"},
    {"content": "x"}, {"source": "x"}, {"ready": "started"}, {"port": 80}, {"type": "xx"}, {"image": "x"},
    {"httpGet": {"path": "/", "port": 1}}, {"exec": {"command": []}},
]  # fmt: skip
KEYS = [
    "target", "source", "content", "a", "aa", "A-a", "x" * 63, "x" * 64, "x.y/z", "", "é", "port", "name", "value",
    "ready", "image", "type", "main", "prepare", "-aa", "aa-", "env", "properties", "a=b", " ",
]  # fmt: skip


def documents() -> list[Any]:
    mapped: Any = load((EXAMPLES / "score-full.yaml").read_bytes()).value
    listed = copy.deepcopy(mapped)
    for key in ("files", "volumes"):
        entries = listed["containers"]["main"][key]
        listed["containers"]["main"][key] = [{"target": target, **entry} for target, entry in entries.items()]
    return [mapped, listed]


def keys_of(value: Json) -> list[Any]:
    if isinstance(value, dict):
        return list(value)
    return list(range(len(value))) if isinstance(value, list) else []


def places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    if path:
        yield path
    for key in keys_of(value):
        yield from places(value[key], (*path, key))


def changed(chance: random.Random, document: Any) -> Any:
    document = copy.deepcopy(document)
    *path, last = chance.choice(list(places(document)))
    parent = document
    for key in path:
        parent = parent[key]
    action = chance.choice(["set", "set", "set", "remove", "add", "rename"])
    if action == "remove":
        del parent[last]
    elif action == "add" and hasattr(parent[last], "update"):
        parent[last].update({chance.choice(KEYS): copy.deepcopy(chance.choice(VALUES))})
    elif action == "rename" and last in keys_of(parent) and isinstance(last, str):
        parent[chance.choice(KEYS)] = parent.pop(last)
    else:
        parent[last] = copy.deepcopy(chance.choice(VALUES))
    return document


def official() -> Callable[[Any], bool] | None:
    folder = os.environ.get("INNOMINATUS_ORACLES")
    if not folder:
        return None
    schema = json.loads((Path(folder) / "score" / "score-v1b1.schema.json").read_text())
    validator: Any = jsonschema.Draft202012Validator(schema)
    return validator.is_valid


def beyond(code: str, message: str) -> bool:
    """What score-go refuses after the schema: a list entry without target, content that is no base64."""
    return code in BEYOND_THE_SCHEMA or "key `target`" in message or "base64" in message


@pytest.mark.parametrize("seed", range(4))
def test_a_changed_document_gets_the_official_verdict_and_the_dialect_only_widens_it(seed: int) -> None:
    chance, judge = random.Random(seed), official()
    for number in range(MUTANTS):
        document = changed(chance, documents()[number % 2])
        text = json.dumps(document, ensure_ascii=False)
        strict, relaxed = read(text, strict=True), read(text)
        assert strict.spec is None or relaxed.spec is not None, text
        assert relaxed.spec is None or strict.spec is None or relaxed.spec == strict.spec
        if judge:
            ours = all(beyond(problem.code, problem.message) for problem in strict.errors)
            assert ours is judge(document), (text, strict.errors)
