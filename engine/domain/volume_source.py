"""What the source of a container's volume refers to: `${resources.data}` alone is the volume that `data` gives out.

Score's own tools look the resource up and mount its output `source`, instead of taking its name for a text.
"""

from engine.domain.placeholders import RESOURCES, Keys, Resolve, find, formatted, substitute

SOURCE = "source"
"""The output of a resource that a container's volume can be mounted from."""


def leading_resource(text: str) -> tuple[str, str] | None:
    """The name of the resource that a source starts with, itself and no output of it, and the text behind it."""
    first = next(iter(find(text)), None)
    if first is None or first.start or first.resource is None or len(first.keys) > 2:
        return None
    return first.resource, text[len(f"${{{first.text}}}") :]


def resolved_source(text: str, resolve: Resolve) -> str:
    """The source with its placeholders resolved. Raises PlaceholderError."""
    named = leading_resource(text)
    return substitute(text, resolve) if named is None or named[1] else formatted(resolve(source_keys(named[0])))


def source_keys(resource: str) -> Keys:
    return (RESOURCES, resource, SOURCE)
