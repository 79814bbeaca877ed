"""Score documents for tests."""

import json


def score(
    name: str = "shop", *, variables: dict[str, str] | None = None, image: str = "one", **resources: object
) -> str:
    """A document with one container; each resource is a type, or a mapping as in Score."""
    declared = {key: {"type": value} if isinstance(value, str) else value for key, value in resources.items()}
    container: dict[str, object] = {"image": image}
    if variables:
        container["variables"] = variables
    document = {
        "apiVersion": "score.dev/v1b1",
        "metadata": {"name": name},
        "containers": {"main": container},
        "resources": declared,
    }
    return json.dumps(document, indent=1)
