r"""`${metadata.name}` and `${resources.db.host}` in texts, by the rules of Score's own tools.

`$$` stands for one `$`, `$${x}` for the text `${x}`; a dot inside a key is written `\.`. What a placeholder
resolves to is never read again for placeholders.
"""

import json
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum

from engine.domain.values import Json, JsonObject

METADATA = "metadata"
RESOURCES = "resources"
OUTPUTS = "outputs"

Keys = tuple[str, ...]
Resolve = Callable[[Keys], Json]
"""From the keys of a reference, root included, to its value. Raises PlaceholderError."""
Lookup = Callable[[Keys], Json]
"""From the keys behind a resource's name to one of its outputs. Raises PlaceholderError or KeyError."""

_TOKEN = re.compile(r"\$(?:(\$?)\{([^}]*)\}|\$)")
_DOLLARS = re.compile(r"\$()((?!))?\$")  # the escape alone, with the groups of _TOKEN
_BRACES = re.compile(r"\$(\{[^}]*\})")
_EXACT_FLOAT = 1e21  # above it, JSON writers use exponents


class PlaceholderFault(StrEnum):
    UNKNOWN_ROOT = "unknown_root"
    KEY_REQUIRED = "key_required"
    KEY_NOT_FOUND = "key_not_found"
    NOT_A_MAP = "not_a_map"
    UNKNOWN_RESOURCE = "unknown_resource"


class PlaceholderError(Exception):
    """A reference that cannot be resolved: `fault` says how, `reference` is the text between the braces.

    `at` is the position of the key that failed (for KEY_REQUIRED, of the one that is missing), `known` the names that
    could have stood there.
    """

    def __init__(
        self, fault: PlaceholderFault, message: str, *, keys: Keys, at: int, known: tuple[str, ...] = ()
    ) -> None:
        self.fault = fault
        self.keys = keys
        self.at = at
        self.known = known
        self.reference = written(keys)
        super().__init__(f"`${{{self.reference}}}`: {message}")

    @property
    def key(self) -> str:
        return self.keys[self.at] if self.at < len(self.keys) else ""


@dataclass(frozen=True, slots=True)
class Reference:
    """One placeholder: the text between its braces, its keys, and where its `$` stands."""

    text: str
    keys: Keys
    start: int

    @property
    def resource(self) -> str | None:
        """The name of the resource that it refers to."""
        return self.keys[1] if self.keys[0] == RESOURCES and len(self.keys) > 1 else None


def find(text: str) -> list[Reference]:
    """The placeholders of a text, in order; escaped ones are none."""
    return [
        Reference(match[2], split(match[2]), match.start())
        for match in _tokens(text)
        if match[2] is not None and not match[1]
    ]


def substitute(text: str, resolve: Resolve) -> str:
    """The text with every placeholder resolved and every escape undone. Raises PlaceholderError."""
    parts: list[str] = []
    end = 0
    for match in _tokens(text):
        parts.append(text[end : match.start()])
        end = match.end()
        if match[2] is None:
            parts.append("$")
        elif match[1]:
            parts.append(match[0][1:])
        else:
            parts.append(formatted(resolve(split(match[2]))))
    return "".join((*parts, text[end:])) if parts else text


def substitute_tree(value: Json, resolve: Resolve) -> Json:
    """The value with every text in it substituted; keys stay as they are. Raises PlaceholderError."""
    if isinstance(value, str):
        return substitute(value, resolve)
    if isinstance(value, list):
        return [substitute_tree(item, resolve) for item in value]
    if isinstance(value, dict):
        return {name: substitute_tree(item, resolve) for name, item in value.items()}
    return value


def resource_references(value: Json) -> frozenset[str]:
    """The names of all resources that the texts in a value refer to."""
    return frozenset(
        reference.resource for text in _texts(value) for reference in find(text) if reference.resource is not None
    )


def refers_to_metadata(value: Json) -> bool:
    """Whether any text in a value reads the application's metadata."""
    return any(reference.keys[0] == METADATA for text in _texts(value) for reference in find(text))


def output_references(value: Json) -> frozenset[tuple[str, str]]:
    """Every (resource, output) that the texts in a value read; the output is the first key below the resource."""
    found: set[tuple[str, str]] = set()
    for text in _texts(value):
        for reference in find(text):
            if reference.resource is not None and len(reference.keys) > 2:
                output, *below = reference.keys[2:]
                found.add((reference.resource, below[0] if output == OUTPUTS and below else output))
    return frozenset(found)


def escape(text: str) -> str:
    """The text written so that `substitute` gives it back unchanged."""
    parts: list[str] = []
    end = 0
    for match in _BRACES.finditer(text, 0, text.rfind("}") + 1):
        parts += (text[end : match.start()].replace("$", "$$"), "$$", match[1])
        end = match.end()
    return "".join((*parts, text[end:].replace("$", "$$")))


def resolver(metadata: JsonObject, resources: Mapping[str, Mapping[str, Json] | Lookup]) -> Resolve:
    """A resolve over a spec's metadata and its resources' outputs, each a mapping or a lookup.

    `${resources.db}` is the name `db`; `${resources.db.outputs.host}` is `host` where no output is called `outputs`.
    """

    def resolve(keys: Keys) -> Json:
        if keys[0] == METADATA:
            if len(keys) == 1:
                fault = PlaceholderFault.KEY_REQUIRED
                raise PlaceholderError(fault, "name a key of `metadata`.", keys=keys, at=1, known=tuple(metadata))
            return _descend(metadata, keys, 1)
        if keys[0] == RESOURCES:
            return _resource_value(keys, resources)
        message = "a placeholder starts with `metadata.` or `resources.`; write `$${…}` for the text itself."
        raise PlaceholderError(PlaceholderFault.UNKNOWN_ROOT, message, keys=keys, at=0, known=(METADATA, RESOURCES))

    return resolve


def split(reference: str) -> Keys:
    """The keys of a reference; at least one, possibly empty."""
    return tuple(part.replace("\0", ".") for part in reference.replace(r"\.", "\0").split("."))


def written(keys: Keys) -> str:
    """The reference that `split` reads as these keys."""
    return ".".join(key.replace(".", r"\.") for key in keys)


def formatted(value: Json) -> str:
    """A value inside a text: texts as they are, everything else as compact JSON with sorted keys."""
    if isinstance(value, str):
        return value
    return json.dumps(_plain_numbers(value), ensure_ascii=False, separators=(",", ":"), sort_keys=True)


def _resource_value(keys: Keys, resources: Mapping[str, Mapping[str, Json] | Lookup]) -> Json:
    if len(keys) == 1:
        fault = PlaceholderFault.KEY_REQUIRED
        raise PlaceholderError(fault, "name a resource.", keys=keys, at=1, known=tuple(resources))
    name = keys[1]
    if name not in resources:
        message = f"no resource is called `{name}`."
        raise PlaceholderError(PlaceholderFault.UNKNOWN_RESOURCE, message, keys=keys, at=1, known=tuple(resources))
    if len(keys) == 2:
        return name
    outputs = resources[name]
    if not callable(outputs):
        behind_outputs = keys[2] == OUTPUTS and OUTPUTS not in outputs and len(keys) > 3
        return _descend(dict(outputs), keys, 3 if behind_outputs else 2)
    try:
        return outputs(keys[2:])
    except KeyError as error:
        message = f"`{name}` has no output `{written(keys[2:])}`."
        raise PlaceholderError(PlaceholderFault.KEY_NOT_FOUND, message, keys=keys, at=2) from error


def _descend(value: Json, keys: Keys, start: int) -> Json:
    for at, key in enumerate(keys[start:], start):
        if not isinstance(value, dict):
            message = f"there is no `{key}` in a value that has no keys."
            raise PlaceholderError(PlaceholderFault.NOT_A_MAP, message, keys=keys, at=at)
        if key not in value:
            message = f"there is no key `{key}`."
            raise PlaceholderError(PlaceholderFault.KEY_NOT_FOUND, message, keys=keys, at=at, known=tuple(value))
        value = value[key]
    return value


def _tokens(text: str) -> Iterator[re.Match[str]]:
    """Placeholders and escapes, left to right. Braces are only sought where one closes, so that time stays linear."""
    closed = text.rfind("}") + 1
    yield from _TOKEN.finditer(text, 0, closed)
    yield from _DOLLARS.finditer(text, closed)


def _texts(value: Json) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, list):
        for item in value:
            yield from _texts(item)
    elif isinstance(value, dict):
        for item in value.values():
            yield from _texts(item)


def _plain_numbers(value: Json) -> Json:
    """5.0 is written 5, as JSON writers that know only one kind of number do."""
    if isinstance(value, float) and value.is_integer() and abs(value) < _EXACT_FLOAT:
        return int(value)
    if isinstance(value, list):
        return [_plain_numbers(item) for item in value]
    if isinstance(value, dict):
        return {name: _plain_numbers(item) for name, item in value.items()}
    return value
