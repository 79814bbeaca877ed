"""Specs as they were submitted. Submitting, listing and deleting them is the same as for applications."""

from api import models, routing
from api.inputs import ANYWHERE, ActorOf, Environment, Name, PlatformOf, Reveal
from engine.domain.values import JsonObject
from engine.services import applications, views

router = routing.router("specs")


@router.get("/api/specs/{name}", responses=models.one(models.SpecDetails))
def get_spec(
    platform: PlatformOf, actor: ActorOf, name: Name, *, environment: Environment = ANYWHERE, reveal: Reveal = False
) -> JsonObject:
    """The newest version of the spec with the state of what it asked for. Its text, which may hold secrets, is shown
    with `reveal`.
    """
    shown = views.application_details(applications.get(platform, name, environment=environment))
    if reveal:
        newest = applications.spec_revealed(platform, actor, name, environment=environment)
        return {**shown, "spec": {**views.spec_version(newest), "source": newest.source}}
    return {**shown, "spec": views.spec_version(applications.spec_of(platform, name, environment=environment))}
