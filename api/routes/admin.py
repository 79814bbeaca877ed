"""What operators do to the platform as a whole."""

from typing import Annotated

from fastapi import Body

from api import models, routing, system_models
from api.bodies import PauseBody
from api.inputs import ActorOf, PlatformOf
from engine.domain.values import JsonObject
from engine.services import claiming, views

router = routing.router("admin")


@router.get("/api/admin/claiming", responses=models.one(system_models.Claiming))
def get_claiming(platform: PlatformOf) -> JsonObject:
    """Whether workers claim executions, or who paused that and why."""
    return views.claiming(claiming.state(platform))


@router.post("/api/admin/pause", responses=models.one(system_models.Claiming))
def pause_claiming(
    platform: PlatformOf, actor: ActorOf, body: Annotated[PauseBody | None, Body()] = None
) -> JsonObject:
    """No worker claims anything more. What runs goes on to its end, what is cancelled ends.

    Submissions are accepted and wait.
    """
    return views.claiming(claiming.pause(platform, actor, reason="" if body is None else body.reason))


@router.post("/api/admin/resume", responses=models.one(system_models.Claiming))
def resume_claiming(platform: PlatformOf, actor: ActorOf) -> JsonObject:
    """Workers claim again."""
    return views.claiming(claiming.resume(platform, actor))
