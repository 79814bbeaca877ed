"""Whether the outputs that a spec reads are among those that providers declare."""

from collections.abc import Iterator, Mapping
from itertools import islice

from engine.domain.placeholders import OUTPUTS, written
from engine.domain.provider import ResourceType
from engine.domain.spec import OutputRead, Spec
from engine.domain.spec_check import MOST_PROBLEMS
from engine.domain.spec_references import MOST_CANDIDATES
from engine.domain.yaml_path import shortened
from engine.errors import Problem, nearest, quoted


def output_problems(spec: Spec, types: Mapping[str, ResourceType]) -> list[Problem]:
    """Every placeholder whose output the type of its resource does not declare; `types` by the resource's name.

    A type that declares no outputs may give out anything. What lies within an output is not known before it is there.
    """
    found = list(islice(_found(spec, types), MOST_PROBLEMS + 1))
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


def _fix(read: OutputRead, at: int, declared: list[str]) -> str:
    close = nearest(read.keys[at][:100], declared[:MOST_CANDIDATES])
    if not close:
        return f"its outputs are {quoted(declared, most=20)}"
    right = [written((*read.keys[:at], name, *read.keys[at + 1 :])) for name in close]
    return f"did you mean {' or '.join(f'`${{{shortened(text)}}}`' for text in right)}?"
