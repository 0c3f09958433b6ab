"""What /docs begins with: a first call, and a paragraph on each thing that all operations have in common."""

from importlib.resources import files
from string import Template

DEFAULT_URL = "http://127.0.0.1:8000"
_WITH_TOKENS = {
    "in_curl": " -H 'Authorization: Bearer todo_…'",
    "in_python": ' headers={"Authorization": "Bearer todo_…"},',
    "in_javascript": ', Authorization: "Bearer todo_…"',
    "tokens": "every call needs one. The operator of this server makes it (`python -m todo_api token create OWNER`);"
    " press **Authorize** and paste it here, or send it as `Authorization: Bearer todo_…`. 401 says that it is missing,"
    " wrong or expired, 403 that it may only read.",
}
_WITHOUT_TOKENS = {
    "in_curl": "",
    "in_python": "",
    "in_javascript": "",
    "tokens": "this server needs none, and serves the machine that it runs on alone. One that serves others needs"
    " `Authorization: Bearer todo_…` with each call.",
}


def introduction(url: str, *, with_tokens: bool) -> str:
    """The introduction in Markdown, of a server at `url`."""
    text = Template((files(__package__) / "introduction.md").read_text("utf-8"))
    return text.substitute(_WITH_TOKENS if with_tokens else _WITHOUT_TOKENS).replace(DEFAULT_URL, url)
