"""Reads a Score document: the verdict of the v1b1 rules, every problem at once, the seed's dialect translated."""

from dataclasses import replace

from engine.domain.spec import WORKLOAD, ParsedSpec
from engine.domain.spec_check import MOST_PROBLEMS, Findings, TooMany, check
from engine.domain.spec_references import as_object, check_references, output_reads, volume_reads
from engine.domain.spec_shape import DOCUMENT
from engine.domain.spec_translation import translate
from engine.domain.values import JsonObject
from engine.domain.yaml_source import Limits, Source, load, load_all
from engine.errors import Problem


def read(
    source: str | bytes,
    *,
    strict: bool = False,
    max_bytes: int = 1_000_000,
    max_resources: int = 1000,
    file: str = "",
) -> ParsedSpec:
    """Read a Score document; never raises for what the document holds.

    `strict` gives the official verdict. Otherwise the seed's dialect is accepted: each use is a warning and is
    translated, so that the spec is always of the official shape. Problems come in the order of their lines.
    """
    text = load(source, limits=Limits(max_bytes=max_bytes), file=file)
    return _parsed(text, strict=strict, max_resources=max_resources)


def read_all(
    source: str | bytes,
    *,
    strict: bool = False,
    max_bytes: int = 1_000_000,
    max_resources: int = 1000,
    file: str = "",
) -> tuple[ParsedSpec, ...]:
    """Every Score document of a text that may hold several, at least one: for validation; `read` takes only one."""
    texts = load_all(source, limits=Limits(max_bytes=max_bytes), file=file)
    return tuple(_parsed(text, strict=strict, max_resources=max_resources) for text in texts)


def _parsed(text: Source, *, strict: bool, max_resources: int) -> ParsedSpec:
    findings = Findings(text, strict)
    spec = None
    if text.value is not None:
        document = as_object(text.value)
        try:
            check(findings, DOCUMENT, text.value)
            if _check_resources(findings, document, max_resources):
                check_references(findings, document)
                spec = replace(
                    translate(findings, document),
                    reads=output_reads(document, source=text),
                    volumes=volume_reads(document, source=text),
                )
        except TooMany:
            findings.problems.append(_rest(text))
    errors = [*text.problems, *findings.problems]
    return ParsedSpec(None if errors else spec, _sorted([*errors, *findings.warnings]))


def _check_resources(findings: Findings, document: JsonObject, max_resources: int) -> bool:
    """False when there are too many resources to look any further."""
    resources = as_object(document.get("resources"))
    if len(resources) > max_resources:
        message = f"there are {len(resources)} resources; {max_resources} are allowed"
        findings.error("too_many_resources", ("resources",), message, "split the document into several applications")
        return False
    for name, value in resources.items():
        if as_object(value).get("type") == WORKLOAD:
            message = f"the type `{WORKLOAD}` stands for the application itself and cannot be declared"
            findings.error("reserved_type", ("resources", name, "type"), message, "name the type of what you need")
    return True


def _rest(source: Source) -> Problem:
    message = f"the document has {MOST_PROBLEMS} problems or more; the rest is not shown"
    last = replace(source.problem("too_many_problems", (), message), line=0, column=0)
    return replace(last, fix="mend these and validate again")


def _sorted(problems: list[Problem]) -> tuple[Problem, ...]:
    """By line and column; what has no place in the text comes last, the same problem once."""
    return tuple(
        sorted(dict.fromkeys(problems), key=lambda one: (not one.line, one.line, one.column, one.path, one.code)),
    )
