"""Judge documents without doing anything with them."""

from typing import Annotated

from fastapi import Query

from api import models, routing
from api.bodies import TEXT_BODY, RawOf
from api.inputs import PlatformOf
from engine.domain.values import JsonObject
from engine.services import checking, views
from engine.services.checking import DocumentKind

router = routing.router("specs")


@router.post("/api/validate", openapi_extra=TEXT_BODY, responses=models.one(models.Verdict))
def validate(
    platform: PlatformOf,
    raw: RawOf,
    *,
    kind: Annotated[DocumentKind | None, Query(description="Without it, the document says what it is.")] = None,
    strict: Annotated[bool, Query(description="Accept only what the Score standard accepts.")] = False,
) -> JsonObject:
    """Every problem of a Score spec or workflow with its line. The answer is 200 whatever the verdict is."""
    return views.verdict(checking.check(platform, raw, kind=kind, strict=strict))
