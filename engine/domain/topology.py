"""Order in a directed graph given as: node → the nodes it needs."""

from collections.abc import Mapping, Sequence
from graphlib import CycleError, TopologicalSorter
from typing import Any, TypeVar

Node = TypeVar("Node", bound=Any)


def topological_order(needs: Mapping[Node, Sequence[Node]]) -> list[Node]:
    """Every node after the nodes it needs; among the free ones, the mapping's own order. Raises graphlib.CycleError."""
    sorter: TopologicalSorter[Node] = TopologicalSorter()
    for node, needed in needs.items():
        sorter.add(node, *needed)
    sorter.prepare()
    position = {node: index for index, node in enumerate(needs)}
    order: list[Node] = []
    while sorter.is_active():
        ready = sorted(sorter.get_ready(), key=lambda node: position.get(node, len(position)))
        order.extend(ready)
        sorter.done(*ready)
    return order


def find_cycle(needs: Mapping[str, Sequence[str]]) -> tuple[str, ...] | None:
    """One cycle, closed (`a`, `b`, `a`), or None."""
    try:
        TopologicalSorter(needs).prepare()
    except CycleError as error:
        return tuple(reversed(error.args[1]))
    return None
