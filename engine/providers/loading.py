"""Provider folders into the domain: all of them, with every problem, and a bundle of each."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from importlib import import_module
from pathlib import Path

from engine.domain import provider_reader
from engine.domain.provider import Provider
from engine.domain.registry_reader import registry_conflicts
from engine.errors import Invalid, Problem, Severity, counted
from engine.providers import bundle
from engine.steps.registry import config_problems, step_types


@dataclass(frozen=True, slots=True)
class Loaded:
    """What the folders hold. With an error in `problems` the set must not become active."""

    providers: tuple[Provider, ...]
    archives: Mapping[str, bytes]
    """Bundle by digest, for each of `providers`."""
    problems: tuple[Problem, ...]

    @property
    def errors(self) -> tuple[Problem, ...]:
        return tuple(problem for problem in self.problems if problem.severity is Severity.ERROR)

    def checked(self) -> tuple[Provider, ...]:
        """The providers. Raises Invalid with all problems when one of them is an error."""
        if self.errors:
            raise Invalid(f"The providers have {counted(self.errors)}.", self.problems, code="invalid_providers")
        return self.providers


def load(folders: Sequence[Path]) -> Loaded:
    """Read every folder; never raises for what a folder holds. A folder that is listed twice is read once."""
    providers: list[Provider] = []
    archives: dict[str, bytes] = {}
    manifests: dict[str, str] = {}
    problems: list[Problem] = []
    for folder in dict.fromkeys(folder.resolve() for folder in folders):
        try:
            files = bundle.read_folder(folder)
        except Invalid as error:
            problems.extend(error.problems)
            continue
        digest = bundle.digest(files)
        provider, found = _read(files, digest, str(folder))
        problems.extend(found)
        if provider is not None:
            providers.append(provider)
            archives[digest] = bundle.pack(files)
            manifests[digest] = str(folder / provider_reader.MANIFEST)
    problems.extend(registry_conflicts(providers, files=manifests))
    return Loaded(tuple(providers), archives, tuple(problems))


@lru_cache(maxsize=64)
def from_archive(archive: bytes) -> Provider:
    """The provider in a stored bundle. Raises Invalid when this version of the platform cannot read it."""
    files = bundle.files_of(archive)
    provider, problems = _read(files, bundle.digest(files), "")
    if provider is None:
        raise Invalid(f"The stored provider has {counted(problems)}.", problems, code="invalid_providers")
    return provider


def of_files(files: Mapping[str, bundle.BundleFile]) -> tuple[Provider | None, tuple[Problem, ...]]:
    """A provider that is not in a folder yet, and its problems."""
    return _read(files, bundle.digest(files), "")


def default_folders() -> tuple[Path, ...]:
    """The providers that are shipped, found through the package `providers`, in a checkout and in a wheel."""
    places = [Path(place) for place in import_module("providers").__path__]
    manifests = {
        manifest.parent.name: manifest.parent for p in reversed(places) for manifest in p.glob("*/provider.yaml")
    }
    return tuple(manifests[name] for name in sorted(manifests))


def _read(
    files: Mapping[str, bundle.BundleFile], digest: str, folder: str
) -> tuple[Provider | None, tuple[Problem, ...]]:
    return provider_reader.read(
        bundle.contents(files), digest=digest, folder=folder, check_config=config_problems, step_types=step_types()
    )
