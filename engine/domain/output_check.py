"""Whether the outputs that a spec reads, itself or for a volume, are among those that providers declare."""

from collections.abc import Iterator, Mapping
from itertools import chain, islice

from engine.domain.placeholders import OUTPUTS, written
from engine.domain.provider import ResourceType
from engine.domain.spec import OutputRead, Spec, VolumeRead
from engine.domain.spec_check import MOST_PROBLEMS
from engine.domain.spec_references import MOST_CANDIDATES
from engine.domain.volume_source import SOURCE, source_keys
from engine.domain.yaml_path import shortened
from engine.errors import Problem, nearest, quoted


def output_problems(spec: Spec, types: Mapping[str, ResourceType]) -> list[Problem]:
    """Every placeholder whose output the type of its resource does not declare; `types` by the resource's name.

    So is every volume from a resource that gives out none, or from a resource's bare name with a path behind it.
    A type that declares no outputs may give out anything. What lies within an output is not known before it is there.
    """
    found = list(islice(chain(_found(spec, types), _volumes(spec, types)), MOST_PROBLEMS + 1))
    if len(found) > MOST_PROBLEMS:
        message = f"more than {MOST_PROBLEMS} placeholders read unknown outputs; the rest is not shown"
        found[-1] = Problem("too_many_problems", "", message, "mend these and ask again")
    return found


def _found(spec: Spec, types: Mapping[str, ResourceType]) -> Iterator[Problem]:
    for read in spec.reads:
        kind = types.get(read.keys[1])
        declared = [output.name for output in kind.outputs] if kind else []
        if kind is None or not declared:
            continue
        at = 3 if read.keys[2] == OUTPUTS and OUTPUTS not in declared and len(read.keys) > 3 else 2
        if read.keys[at] not in declared:
            message = f"`${{{shortened(written(read.keys))}}}` reads an output that `{kind.name}` does not have"
            fix = _fix(read, at, declared)
            yield Problem("unknown_output", read.path, message, fix, read.line, read.column, about=kind.name)


def _volumes(spec: Spec, types: Mapping[str, ResourceType]) -> Iterator[Problem]:
    for read in spec.volumes:
        kind, whole = types.get(read.resource), f"`${{{shortened(written(source_keys(read.resource)[:2]))}}}`"
        declared = [output.name for output in kind.outputs] if kind else []
        if kind and declared and SOURCE not in declared:
            message = f"{whole} is no volume: `{kind.name}` gives out no `{SOURCE}` to mount"
            fix = f"name a resource of type `volume`, or an output that is a folder; it has {quoted(declared[:20])}"
            yield Problem("unknown_output", read.path, message, fix, line=read.line, column=read.column)
        elif read.behind:
            yield _behind(read, whole)


def _behind(read: VolumeRead, whole: str) -> Problem:
    """What follows a volume is a folder in it, which has a key of its own; where it is none, it means an output."""
    message = f"{whole} stands for a whole volume, and `{shortened(read.behind)}` follows it"
    folder = read.behind.strip("/")
    fix = f"write {whole} here"
    fix += f" and `path: {shortened(folder)}` beside it" if read.behind.startswith("/") and folder else " alone"
    return Problem("invalid_value", read.path, message, fix, line=read.line, column=read.column)


def _fix(read: OutputRead, at: int, declared: list[str]) -> str:
    close = nearest(read.keys[at][:100], declared[:MOST_CANDIDATES])
    if not close:
        return f"its outputs are {quoted(declared, most=20)}"
    right = [written((*read.keys[:at], name, *read.keys[at + 1 :])) for name in close]
    return f"did you mean {' or '.join(f'`${{{shortened(text)}}}`' for text in right)}?"
