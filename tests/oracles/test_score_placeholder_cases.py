"""Score's own placeholder cases, where `INNOMINATUS_ORACLES` says they are; a few of the same kind of ours always."""

import json
import os
from pathlib import Path
from typing import Any

import pytest

from engine.domain.placeholders import Lookup, PlaceholderError, PlaceholderFault, resolver, substitute
from engine.domain.values import Json

OURS: list[dict[str, Any]] = [
    {"input": "${metadata.name}", "expected": "test-name", "error": None},
    {"input": "$${abc}", "expected": "${abc}", "error": None},
    {"input": "${abc}", "expected": None, "error": "unknown reference root"},
    {"input": "${resources.static.y}", "expected": None, "error": "key 'y' not found"},
]
FAULTS = {
    "unknown reference root": PlaceholderFault.UNKNOWN_ROOT,
    "requires at least a metadata key": PlaceholderFault.KEY_REQUIRED,
    "not found": PlaceholderFault.KEY_NOT_FOUND,
    "context is not a map": PlaceholderFault.NOT_A_MAP,
    "no known resource": PlaceholderFault.UNKNOWN_RESOURCE,
}


def cases() -> list[dict[str, Any]]:
    folder = os.environ.get("INNOMINATUS_ORACLES")
    if not folder:
        return OURS
    document = json.loads((Path(folder) / "score" / "placeholder-cases.json").read_text())
    references = [{**case, "input": f"${{{case['input']}}}"} for case in document["refs"]]
    return [*OURS, *references, *document["strings"]]


def echo(prefix: str, suffix: str = "") -> Lookup:
    def lookup(keys: tuple[str, ...]) -> Json:
        return "${" + "_".join([*([prefix] if prefix else []), *(key.upper() for key in keys)]) + suffix + "}"

    return lookup


RESOLVE = resolver(
    {"name": "test-name", "other": {"key": "value"}, "annotations": {"key.com/foo-bar": "thing"}},
    {"env": echo(""), "db": echo("DB", "?required"), "static": {"x": "a"}},
)


@pytest.mark.parametrize("case", cases(), ids=lambda case: case["input"])
def test_the_result_is_the_official_one(case: dict[str, Any]) -> None:
    if case["error"] is None:
        assert substitute(case["input"], RESOLVE) == case["expected"]
        return
    with pytest.raises(PlaceholderError) as caught:
        substitute(case["input"], RESOLVE)
    assert caught.value.fault is next(fault for part, fault in FAULTS.items() if part in case["error"])
