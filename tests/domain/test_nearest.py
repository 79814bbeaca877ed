"""The name that was meant."""

import pytest

from engine.domain.reading import did_you_mean
from engine.errors import nearest


@pytest.mark.parametrize(
    ("typed", "meant"),
    [("bd", "db"), ("DB", "db"), ("Db", "db"), ("cahce", "cache"), ("postgrs", "postgres"), ("shp.yaml", "shop.yaml")],
)
def test_a_slip_finds_the_name_that_was_meant(typed: str, meant: str) -> None:
    assert nearest(typed, ["queue", meant, "z"])[0] == meant


def test_what_looks_like_nothing_finds_nothing_and_nothing_is_named_twice() -> None:
    assert nearest("xy", ["db", "cache"]) == []
    assert nearest("bd", ["db", "db", "bd2"]) == ["db", "bd2"]
    assert nearest("bd", ["db", "bd2"], most=1) == ["db"]


def test_where_nothing_is_near_the_first_names_are_told_and_how_many_more_there_are() -> None:
    names = [f"n{number:02}" for number in range(25)]
    assert did_you_mean("quite-else", names[:2]) == "Known: `n00`, `n01`."
    assert did_you_mean("quite-else", names).endswith("`n18`, `n19` and 5 more.")
    assert did_you_mean("quite-else", []) == ""
