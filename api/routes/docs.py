"""The page that describes the API to people: Swagger UI, from files that are installed with us."""

from typing import Final

from fastapi.openapi.docs import get_swagger_ui_html
from starlette.requests import Request
from starlette.responses import HTMLResponse
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles

PAGE: Final = "/docs"
_FILES: Final = "/docs/files"
_SCRIPT, _STYLE, _ICON = (f"{_FILES}/{name}" for name in ("swagger-ui-bundle.js", "swagger-ui.css", "favicon.png"))
PUBLIC: Final = frozenset({PAGE, _SCRIPT, _STYLE, _ICON})


async def show(_request: Request) -> HTMLResponse:
    """Its addresses are relative to it, so that they hold behind a proxy with a prefix too."""
    return get_swagger_ui_html(
        title="innominatus",
        openapi_url="openapi.json",
        swagger_js_url=_SCRIPT.removeprefix("/"),
        swagger_css_url=_STYLE.removeprefix("/"),
        swagger_favicon_url=_ICON.removeprefix("/"),
        swagger_ui_parameters={"validatorUrl": None},  # else it sends the description to a server on the Internet
    )


ROUTES = (
    Route(PAGE, show, include_in_schema=False),
    Mount(_FILES, StaticFiles(packages=[("fastapi_offline", "static")])),
)
