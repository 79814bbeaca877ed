"""Golden paths: workflows offered to people."""

from api import models, routing
from api.inputs import Name, PlatformOf
from engine.domain.values import JsonObject
from engine.services import catalog, views

router = routing.router("golden paths")


@router.get("/api/golden-paths", responses=models.page("golden paths", models.Workflow))
def list_golden_paths(platform: PlatformOf) -> JsonObject:
    items = [views.workflow(path, owner.name) for owner, path in catalog.golden_paths(platform)]
    return {"items": [*items], "next_cursor": "", "total": len(items)}


@router.get("/api/golden-paths/{name}", responses=models.one(models.Workflow))
def get_golden_path(platform: PlatformOf, name: Name) -> JsonObject:
    owner, path = catalog.golden_path(platform, name)
    return views.workflow(path, owner.name)
