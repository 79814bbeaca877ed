"""Our strict verdict is the official one on every collected document; without a collection, on our own examples."""

import json
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from engine.domain.spec_reader import read, read_all

EXAMPLES = Path(__file__).parents[2] / "examples"


def corpus() -> Iterator[tuple[Path, bool]]:
    """Each document with the official verdict: schema and references."""
    for path in sorted(EXAMPLES.glob("score-*.yaml")):
        yield path, "dialect" not in path.name
    oracles = os.environ.get("INNOMINATUS_ORACLES")
    if oracles:
        folder = Path(oracles) / "score" / "corpus"
        for row in json.loads((folder / "MANIFEST.json").read_text())["rows"]:
            yield folder / row["file"], row["schema_valid"] and row["semantic_valid"] is not False


@pytest.mark.parametrize(("path", "valid"), list(corpus()), ids=lambda value: getattr(value, "name", str(value)))
def test_the_strict_verdict_is_the_official_one(path: Path, valid: bool) -> None:  # noqa: FBT001 - a parameter of the test
    documents = read_all(path.read_bytes(), strict=True, file=path.name)
    problems = [problem for parsed in documents for problem in parsed.errors]
    assert (not problems) is valid, "\n".join(map(str, problems))
    assert all(parsed.spec is not None for parsed in documents) is valid


@pytest.mark.parametrize("path", sorted(EXAMPLES.glob("score-*.yaml")), ids=lambda path: path.name)
def test_every_example_is_accepted(path: Path) -> None:
    assert read(path.read_bytes()).spec is not None
