"""Whether a set of providers can serve together."""

from collections.abc import Iterable, Mapping, Sequence

from engine.domain.provider import Provider
from engine.errors import Problem, quoted


def registry_conflicts(providers: Sequence[Provider], *, files: Mapping[str, str] | None = None) -> list[Problem]:
    """Every name that two providers claim: their own, a resource type or alias, a golden path.

    `files` gives the manifest of each provider, by digest.
    """
    where = files or {}
    problems: list[Problem] = []
    for noun, claims in (
        ("provider name", _claims((p.name, p) for p in providers)),
        ("resource type", _claims((n, p) for p in providers for k in p.resource_types for n in (k.name, *k.aliases))),
        ("golden path", _claims((w.name, p) for p in providers for w in p.golden_paths)),
    ):
        for name, claimants in claims.items():
            if len(claimants) > 1:
                problems.append(_conflict(noun, name, claimants, where))
    return problems


def _claims(pairs: Iterable[tuple[str, Provider]]) -> dict[str, list[Provider]]:
    claims: dict[str, list[Provider]] = {}
    for name, provider in pairs:
        claims.setdefault(name, []).append(provider)
    return claims


def _conflict(noun: str, name: str, claimants: Sequence[Provider], files: Mapping[str, str]) -> Problem:
    told = ", ".join(
        f"{provider.name} ({files[provider.digest]})" if provider.digest in files else provider.name
        for provider in claimants
    )
    names = quoted(dict.fromkeys(provider.name for provider in claimants))
    return Problem(
        "capability_conflict",
        name,
        f"Capability conflict: {noun} '{name}' claimed by multiple providers: {told}",
        f"Rename it in one of {names}, or remove one of the providers.",
        file=files.get(claimants[-1].digest, ""),
    )
