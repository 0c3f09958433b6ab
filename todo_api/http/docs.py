"""/docs: Swagger UI from this server alone, under a content security policy that allows no inline code."""

from importlib.resources import files

import fastapi_swagger
from fastapi import APIRouter, FastAPI, Request
from fastapi.responses import HTMLResponse, JSONResponse, RedirectResponse, Response
from fastapi.staticfiles import StaticFiles

from todo_api.http.addresses import Addresses

_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self';"
    " base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
# Every address is relative, so that the page works behind a proxy that adds a prefix.
_PAGE = """<!DOCTYPE html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>todo_api</title>
<link rel="stylesheet" href="docs/swagger-ui.css">
<link rel="icon" href="docs/favicon-32x32.png">
<div id="swagger-ui"></div>
<script src="docs/swagger-ui-bundle.js"></script>
<script src="docs/start.js"></script>
</html>
"""
# Swagger UI has no input for a list of int64 and logs an error on the console: give it a text input.
_START = """const Int64 = ({ React }) => ({
  components: {
    JsonSchema_integer_int64: (props) => React.createElement(props.getComponent("JsonSchema_string"), props),
  },
})
SwaggerUIBundle({
  url: "openapi.json",
  dom_id: "#swagger-ui",
  deepLinking: true,
  displayRequestDuration: true,
  persistAuthorization: true,
  tryItOutEnabled: true,
  plugins: [Int64],
  validatorUrl: null,
})
"""

router = APIRouter(include_in_schema=False)


@router.get("/")
async def lead_to_docs() -> RedirectResponse:
    return RedirectResponse("docs")


@router.get("/docs")
async def show_docs() -> HTMLResponse:
    return HTMLResponse(_PAGE, headers={"Content-Security-Policy": _POLICY})


@router.get("/docs/start.js")
async def start_docs() -> Response:
    return Response(_START, media_type="text/javascript")


def install(app: FastAPI, addresses: Addresses) -> None:
    async def describe(request: Request) -> JSONResponse:
        """The OpenAPI document; its server is the address by which it was asked for."""
        return JSONResponse(app.openapi() | {"servers": [{"url": addresses.base(request.scope)}]})

    app.include_router(router)
    app.add_route("/openapi.json", describe)
    app.mount("/docs", StaticFiles(directory=str(files(fastapi_swagger) / "resources")))
