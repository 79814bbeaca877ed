"""What an environment may be called."""

import re

from engine.errors import Invalid, Problem

_NAME = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")


def checked(name: str) -> str:
    """The name itself. Raises Invalid."""
    if not _NAME.fullmatch(name):
        problem = Problem(
            "invalid_environment",
            "environment",
            f"{name[:80]!r} cannot be the name of an environment",
            "use 1 to 63 of a-z, 0-9 and `-`, not starting or ending with `-`, for instance `staging`",
        )
        raise Invalid("The name of the environment is not valid.", [problem], code="invalid_environment")
    return name
