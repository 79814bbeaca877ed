from graphlib import CycleError
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.domain.topology import find_cycle, topological_order


@st.composite
def graphs(draw: st.DrawFn) -> dict[str, list[str]]:
    names = [f"n{index}" for index in range(draw(st.integers(1, 8)))]
    return {name: sorted(draw(st.sets(st.sampled_from(names), max_size=3))) for name in draw(st.permutations(names))}


@given(graphs())
@settings(max_examples=200, deadline=None)
def test_there_is_an_order_or_a_cycle_and_each_is_what_it_says(needs: dict[str, list[str]]) -> None:
    cycle = find_cycle(needs)
    if cycle is None:
        order = topological_order(needs)
        assert sorted(order) == sorted(needs)
        assert all(order.index(need) < order.index(node) for node, needed in needs.items() for need in needed)
        return
    assert cycle[0] == cycle[-1]
    assert len(cycle) >= 2
    assert all(after in needs[before] for before, after in pairwise(cycle))
    with pytest.raises(CycleError):
        topological_order(needs)


def test_free_nodes_keep_the_order_they_are_given_in() -> None:
    assert topological_order({"z": [], "a": [], "m": ["a"], "b": []}) == ["z", "a", "b", "m"]


def test_a_node_that_needs_itself_is_a_cycle() -> None:
    assert find_cycle({"a": ["a"]}) == ("a", "a")
