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
<link rel="stylesheet" href="docs/narrow.css">
<link rel="icon" href="docs/favicon-32x32.png">
<div id="swagger-ui"></div>
<script src="docs/swagger-ui-bundle.js"></script>
<script src="docs/start.js"></script>
</html>
"""
# Swagger UI has no input for a list of int64 and logs an error on the console: give it a text input.
_START = r"""const Int64 = ({ React }) => ({
  components: {
    JsonSchema_integer_int64: (props) => React.createElement(props.getComponent("JsonSchema_string"), props),
  },
})
// The page's own address, whatever a proxy says of it: it may call no other one.
const server = { url: new URL(".", location).href.replace(/\/$/, "") }
const Server = {
  statePlugins: { spec: { wrapActions: {
    updateJsonSpec: (update) => (document) => update({ ...document, servers: [server] }),
  } } },
}
// Swagger UI checks values itself, and when one is wrong it sends nothing and says nothing: have the server say it.
// It also fills in the examples of parameters: a list would then be asked for with every filter at once.
const SendAll = {
  statePlugins: { spec: { wrapSelectors: {
    validateBeforeExecute: (_, { specSelectors }) => (state, operation) =>
      !specSelectors.validationErrors(operation).some((error) => error.includes("Required field is not provided")),
    parameterWithMetaByIdentity: (find) => (...parameter) => find(...parameter)?.delete("example"),
  } } },
}
SwaggerUIBundle({
  url: "openapi.json",
  dom_id: "#swagger-ui",
  deepLinking: true,
  displayRequestDuration: true,
  persistAuthorization: true,
  tryItOutEnabled: true,
  plugins: [Int64, Server, SendAll],
  validatorUrl: null,
})
"""

# Swagger UI lets tables and addresses run out of a narrow window.
_NARROW = """.swagger-ui .info pre { overflow-x: auto; }
.swagger-ui .info pre code { white-space: pre; }
@media (max-width: 640px) {
  .swagger-ui .wrapper { padding: 0 10px; }
  .swagger-ui .schemes, .swagger-ui .schemes > * { flex-wrap: wrap; max-width: 100%; }
  .swagger-ui .servers select { max-width: 100%; min-width: 0; }
  .swagger-ui :is(.parameters, .responses-table) > tbody > tr { display: block; }
  .swagger-ui :is(.parameters, .responses-table) > tbody > tr > td { display: block; max-width: none; width: auto; }
  .swagger-ui :is(.parameters, .responses-table) > thead { display: none; }
  .swagger-ui table { table-layout: fixed; word-break: break-word; }
  .swagger-ui select, .swagger-ui input[type], .swagger-ui textarea { max-width: 100%; min-width: 0; width: 100%; }
  .swagger-ui .opblock .opblock-summary-description { text-align: left; }
}
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


@router.get("/docs/narrow.css")
async def style_docs() -> Response:
    return Response(_NARROW, media_type="text/css")


def install(app: FastAPI, addresses: Addresses) -> None:
    async def describe(request: Request) -> JSONResponse:
        """The OpenAPI document; its server is the address by which it was asked for."""
        document, url = app.openapi(), addresses.base(request.scope)
        info = document["info"]
        description = info["description"].replace(document["servers"][0]["url"], url)
        return JSONResponse(document | {"info": info | {"description": description}, "servers": [{"url": url}]})

    app.include_router(router)
    app.add_route("/openapi.json", describe)
    app.mount("/docs", StaticFiles(directory=str(files(fastapi_swagger) / "resources")))
