"""Providers: what the platform teams offer."""

from api import models, routing
from api.inputs import Name, PlatformOf
from engine.domain.values import JsonObject
from engine.services import catalog, views

router = routing.router("providers")


@router.get("/api/providers", responses=models.page("providers", models.Provider))
def list_providers(platform: PlatformOf) -> JsonObject:
    items = [views.provider(found) for found in catalog.providers(platform)]
    return {"items": [*items], "next_cursor": "", "total": len(items)}


@router.get("/api/providers/{name}", responses=models.one(models.ProviderDetails))
def get_provider(platform: PlatformOf, name: Name) -> JsonObject:
    """Its resource types with their params and outputs, and its workflows with their parameters."""
    return views.provider_details(catalog.provider(platform, name))
