"""Routers whose handlers answer with what `engine.services.views` made, as it is."""

from collections.abc import Callable
from typing import Any

from fastapi import APIRouter
from fastapi.routing import APIRoute


class PlainRoute(APIRoute):
    """Describes answers by `responses` alone: they are not validated and copied once more on their way out."""

    def __init__(self, path: str, endpoint: Callable[..., Any], **options: Any) -> None:
        options["response_model"] = None
        super().__init__(path, endpoint, **options)


def router(tag: str) -> APIRouter:
    return APIRouter(tags=[tag], route_class=PlainRoute)
