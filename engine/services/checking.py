"""Judge a document, or the files of a provider, without doing anything with them."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from engine.domain import provider_reader, spec_reader, workflow_reader
from engine.domain.provider import Provider
from engine.domain.registry_reader import registry_conflicts
from engine.domain.yaml_source import Limits, Source, load_all
from engine.errors import Problem, Severity
from engine.providers import loading
from engine.providers.bundle import BundleFile
from engine.services.platform import Platform
from engine.steps.registry import config_problems, step_types


class DocumentKind(StrEnum):
    SPEC = "spec"
    WORKFLOW = "workflow"


@dataclass(frozen=True, slots=True)
class Verdict:
    """`kind` is what the document was taken for. Warnings leave it valid."""

    kind: DocumentKind
    problems: tuple[Problem, ...]

    @property
    def valid(self) -> bool:
        return not any(problem.severity is Severity.ERROR for problem in self.problems)


def check(
    platform: Platform, source: str | bytes, *, kind: DocumentKind | None = None, strict: bool = False
) -> Verdict:
    """Every problem of a Score document or workflow; without `kind` the document says what it is.

    Whether providers can fulfil a spec is told by a dry run, not here.
    """
    settings = platform.settings
    texts = load_all(source, limits=Limits(max_bytes=settings.max_spec_bytes))
    wanted = kind or _guessed(texts[0])
    if wanted is DocumentKind.WORKFLOW:
        found = [
            problem
            for text in texts
            for problem in workflow_reader.read(text, check_config=config_problems, step_types=step_types())[1]
        ]
        return Verdict(wanted, tuple(found))
    specs = spec_reader.read_all(
        source,
        strict=strict,
        max_bytes=settings.max_spec_bytes,
        max_resources=settings.max_resources_per_spec,
    )
    return Verdict(wanted, tuple(problem for parsed in specs for problem in parsed.problems))


@dataclass(frozen=True, slots=True)
class ProviderVerdict:
    """What the files would be as a provider; None when they are none. Warnings leave them valid."""

    provider: Provider | None
    problems: tuple[Problem, ...]

    @property
    def valid(self) -> bool:
        return self.provider is not None and not any(found.severity is Severity.ERROR for found in self.problems)


def check_provider(platform: Platform, files: Mapping[str, str]) -> ProviderVerdict:
    """Every problem of a provider given by its files (`provider.yaml` and what it names), beside those active now."""
    contents = {name: BundleFile(text.encode()) for name, text in files.items()}
    provider, problems = loading.of_files(contents)
    if provider is None:
        return ProviderVerdict(None, problems)
    others = [other for other in platform.providers.registry.providers if other.name != provider.name]
    conflicts = registry_conflicts([*others, provider], files={provider.digest: provider_reader.MANIFEST})
    return ProviderVerdict(provider, (*problems, *conflicts))


def _guessed(text: Source) -> DocumentKind:
    document = text.value
    if not isinstance(document, dict):
        return DocumentKind.SPEC
    named = document.get("kind") == "Workflow"
    stepped = isinstance(document.get("steps"), list) and "containers" not in document
    return DocumentKind.WORKFLOW if named or stepped else DocumentKind.SPEC
