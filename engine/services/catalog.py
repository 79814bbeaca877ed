"""Providers and golden paths, as the active set has them."""

from engine.domain.provider import Provider, ProviderWorkflow, ResourceType
from engine.domain.reading import did_you_mean
from engine.errors import NotFound
from engine.services.platform import Platform


def providers(platform: Platform) -> tuple[Provider, ...]:
    return platform.providers.registry.providers


def provider(platform: Platform, name: str) -> Provider:
    """Raises NotFound."""
    found = platform.providers.registry.provider(name)
    if found is None:
        raise NotFound("provider", name, known=[known.name for known in providers(platform)])
    return found


def resource_type(platform: Platform, name: str) -> tuple[Provider, ResourceType]:
    """A type by its name or an alias, with the provider that makes it. Raises NotFound."""
    registry = platform.providers.registry
    found = registry.resolve(name)
    if found is None:
        raise NotFound("resource type", name, hint=did_you_mean(name, registry.type_names, noun="Known types"))
    return found


def golden_paths(platform: Platform) -> tuple[tuple[Provider, ProviderWorkflow], ...]:
    """Every golden path with its provider, by name."""
    pairs = [(owner, path) for owner in providers(platform) for path in owner.golden_paths]
    return tuple(sorted(pairs, key=lambda pair: pair[1].name))


def golden_path(platform: Platform, name: str) -> tuple[Provider, ProviderWorkflow]:
    """Raises NotFound."""
    found = platform.providers.registry.golden_path(name)
    if found is None:
        raise NotFound("golden path", name, known=[path.name for _, path in golden_paths(platform)])
    return found
