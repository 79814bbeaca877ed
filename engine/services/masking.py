"""Resources as doors may show them: without the params that their provider declares secret."""

from dataclasses import replace

from engine.domain.changes import MASK
from engine.domain.resource import Resource
from engine.errors import Invalid, NotFound
from engine.services.platform import Platform


def shown(platform: Platform, resource: Resource) -> Resource:
    """The resource with `***` for every secret param. Its outputs are left to `views`, which can reveal them."""
    secret = _secret_params(platform, resource)
    if not secret & resource.params.keys():
        return resource
    params = {name: MASK if name in secret else value for name, value in resource.params.items()}
    return replace(resource, params=params)


def _secret_params(platform: Platform, resource: Resource) -> frozenset[str]:
    """As the active provider says, and as the one says that made the resource."""
    found = platform.providers.registry.resolve(resource.key.type)
    now = found[1].secret_params if found else frozenset[str]()
    try:
        then = platform.providers.provider(resource.digest).resource_type(resource.key.type)
    except (NotFound, Invalid):
        return now
    return now | then.secret_params if then else now
