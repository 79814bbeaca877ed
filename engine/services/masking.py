"""Resources as doors may show them: without the params that their provider declares secret."""

from collections.abc import Iterable, Mapping
from dataclasses import replace
from functools import cache

import yaml

from engine.domain.changes import MASK
from engine.domain.resource import Resource
from engine.errors import Invalid, NotFound
from engine.services.platform import Platform


def shown(platform: Platform, resource: Resource) -> Resource:
    """The resource with `***` for every secret param. Its outputs are left to `views`, which can reveal them."""
    return all_shown(platform, [resource])[0]


def all_shown(platform: Platform, resources: Iterable[Resource]) -> tuple[Resource, ...]:
    @cache  # a page has many resources of few types
    def secret(kind: str, digest: str) -> frozenset[str]:
        return _secret_params(platform, kind, digest)

    return tuple(_masked(resource, secret(resource.key.type, resource.digest)) for resource in resources)


def _masked(resource: Resource, secret: frozenset[str]) -> Resource:
    if not secret & resource.params.keys():
        return resource
    params = {name: MASK if name in secret else value for name, value in resource.params.items()}
    return replace(resource, params=params)


def spec_text(platform: Platform, source: str, made_by: Mapping[str, str]) -> str:
    """A stored Score document with `***` for every param that a provider declares secret; otherwise as it was sent.

    `made_by` has the digests of the providers that made its resources, by name. Where no active provider offers a type
    nobody says what is secret: all its params are masked. A document with secrets is written anew, without comments:
    they may repeat what is masked.
    """
    document: object = yaml.safe_load(source)
    declared = document.get("resources") if isinstance(document, dict) else None  # pyright: ignore[reportUnknownMemberType, reportUnknownVariableType] # YAML from outside
    masked = False
    for name, wanted in declared.items() if isinstance(declared, dict) else ():  # pyright: ignore[reportUnknownVariableType] # YAML from outside
        if not isinstance(wanted, dict) or not isinstance(params := wanted.get("params"), dict):  # pyright: ignore[reportUnknownMemberType, reportUnknownVariableType] # YAML from outside
            continue
        found = platform.providers.registry.resolve(str(wanted.get("type")))  # pyright: ignore[reportUnknownMemberType, reportUnknownArgumentType] # YAML from outside
        secret = _secret_params(platform, found[1].name, made_by.get(str(name), "")) if found else {*params}  # pyright: ignore[reportUnknownArgumentType, reportUnknownVariableType] # YAML from outside
        for key in secret & params.keys():  # pyright: ignore[reportUnknownMemberType, reportUnknownVariableType] # YAML from outside
            params[key], masked = MASK, True
    return yaml.safe_dump(document, sort_keys=False, allow_unicode=True) if masked else source


def _secret_params(platform: Platform, kind: str, digest: str) -> frozenset[str]:
    """As the active provider says, and as the one says that made the resource."""
    found = platform.providers.registry.resolve(kind)
    now = found[1].secret_params if found else frozenset[str]()
    try:
        then = platform.providers.provider(digest).resource_type(kind)
    except (NotFound, Invalid):
        return now
    return now | then.secret_params if then else now
