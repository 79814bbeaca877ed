"""The resource type `dns`: a name below `localhost`, which leads to this machine without any server (RFC 6761)."""

from collections.abc import Mapping

import step
from files import name_for
from step import Object


def create(given: Object) -> Mapping[str, object]:
    """One label of at most 63 characters, the same on every run and different for any two resources."""
    return {"host": f"{name_for(step.resource_identity(given), joint='-')}.localhost"}


if __name__ == "__main__":
    step.run({"create": create})
