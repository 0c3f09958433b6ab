"""What Schemathesis cannot read in the document."""

from datetime import date
from itertools import count
from typing import Any
from unicodedata import normalize
from zoneinfo import available_timezones

import schemathesis
from jsonschema_rs import Draft202012Validator
from schemathesis import Case, HookContext, Response
from schemathesis.core.failures import AcceptedNegativeData, Failure
from schemathesis.core.parameters import ParameterLocation
from schemathesis.generation import GenerationMode
from schemathesis.generation.meta import ComponentInfo, CoveragePhaseData, TestPhase
from schemathesis.openapi.checks import MissingHeaderNotRejected, RejectedPositiveData

from tests.applications import sort_members
from todo_api.http.problems import KeyReused
from todo_api.single_model import fields
from todo_api.single_model.folding import is_blank

TAGS = {"If-Match": "*", "If-None-Match": '"0"'}
"""Tags that lead to a full answer."""

KEYS = count()

NO_FILTERS = {"dry_run", "max_affected", "tz"}
"""The parameters of a change of many that do not say of which."""
PLACES_OF_A_TODO = ("no_such_list", "list_of_parent", "cycle", "too_deep")
"""The codes of a list or a parent that a todo cannot have."""
PLACES = {"after", "before", "to"}
"""The members of a move."""

WHITE_SPACE = "\t\n\v\f\r \x85\xa0\u1680\u2028\u2029\u202f\u205f\u3000" + "".join(map(chr, range(0x2000, 0x200B)))
"""What the server trims: Unicode's White_Space, which is less than `str.strip` drops."""


DAY = "[0-9]{4}-(0[1-9]|1[0-2])-(0[1-9]|[12][0-9]|3[01])"
INSTANT = rf"{DAY}[Tt]([01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9](\.[0-9]+)?([Zz]|[+-]([01][0-9]|2[0-3]):[0-5][0-9])"
TAG = '(?:W/)?"[!#-~]*"'
FORMS = {
    "cursor": "^[A-Za-z0-9_-]+$",
    "due_after": f"^({DAY}|{INSTANT})$",
    "due_before": f"^({DAY}|{INSTANT})$",
    "Idempotency-Key": '^("[!#-~]{1,255}"|[!#-~]{1,255})$',
    "If-Match": rf"^(\*|{TAG}([ \t]*,[ \t]*{TAG})*)$",
    "If-None-Match": rf"^(\*|{TAG}([ \t]*,[ \t]*{TAG})*)$",
    "q": fields.NOT_BLANK,
    "tag": fields.NOT_BLANK,
}
"""The patterns of parameters: the document has none, as Swagger UI would send nothing that they forbid."""
STRICTER = {fields.DOCUMENTED_NOT_BLANK: fields.NOT_BLANK, fields.DOCUMENTED_TEXT: fields.TEXT}
"""The patterns of bodies: the document has as much of them as every language reads."""


@schemathesis.hook
def before_load_schema(context: HookContext, document: dict[str, Any]) -> None:
    """Say of each text what the server takes, so that the data which is to be right is."""
    _make_stricter(document)
    for path, methods in document["paths"].items():
        for operation in methods.values():
            for parameter in operation.get("parameters", []):
                schema = parameter["schema"]
                if parameter["name"] in FORMS:
                    schema.get("items", schema)["pattern"] = FORMS[parameter["name"]]
                elif parameter["name"] == "sort":
                    member = f"-?({'|'.join(sort_members(document, path))})"
                    schema["pattern"] = f"^{member}(,{member})*$"


def _make_stricter(node: Any) -> None:
    for each in node.values() if isinstance(node, dict) else node if isinstance(node, list) else ():
        _make_stricter(each)
    if isinstance(node, dict) and node.get("pattern") in STRICTER:
        node["pattern"] = STRICTER[node["pattern"]]


@schemathesis.hook
def before_add_examples(context: HookContext, examples: list[Case[Any]]) -> None:
    for case in examples:
        map_case(context, case)


@schemathesis.hook
def map_case(context: HookContext, case: Case[Any]) -> Case[Any]:
    """Make right what is not in question in a case, so that the server gets to what is."""
    assert case.meta is not None
    phase = case.meta.phase.data
    in_coverage = isinstance(phase, CoveragePhaseData)
    # The valid headers of the coverage phase are letters and digits: no tag is among them, and it sends a wrong one.
    # The example of a tag names a version that the operations before have changed.
    sends_wrong_tag = in_coverage or case.meta.phase.name is TestPhase.EXAMPLES
    if sends_wrong_tag:
        for name in (TAGS.keys() & case.headers.keys()) - {phase.parameter}:
            case.headers[name] = TAGS[name]
            if phase.parameter_location is not ParameterLocation.HEADER:
                case.meta.components[ParameterLocation.HEADER] = ComponentInfo(mode=GenerationMode.POSITIVE)
    # One key for all requests would lead to nothing but refusals.
    is_asked = phase.parameter == "Idempotency-Key" or case.meta.is_negative_at(ParameterLocation.HEADER)
    if "Idempotency-Key" in case.headers and not is_asked:
        case.headers["Idempotency-Key"] = f"key-{next(KEYS)}"
    # Beside a cursor that the server did not make, nothing else in the query would be tested.
    in_question = phase.parameter == "cursor" if in_coverage else case.meta.is_negative_at(ParameterLocation.QUERY)
    if len(case.query) > 1 and not in_question:
        case.query.pop("cursor", None)
    # No schema can say that one of many parameters is needed.
    if case.operation.label in ("PATCH /todos", "DELETE /todos") and not case.query.keys() - NO_FILTERS:
        case.query["complete"] = "true"
    if case.operation.label in ("POST /trash/restore", "DELETE /trash") and not case.query.keys() - NO_FILTERS:
        case.query["q"] = "milk"
    if not case.meta.is_negative_at(ParameterLocation.QUERY) and phase.parameter != "dry_run":
        if case.meta.phase.name is TestPhase.STATEFUL:
            # A todo that is created or deleted in a dry run would be looked for, or found, to no avail.
            case.query.pop("dry_run", None)
        elif case.operation.label == "DELETE /todos":  # it would leave no todo for the others
            case.query["dry_run"] = "true"
    if not case.meta.is_negative_at(ParameterLocation.BODY):
        case.body = _right(case.body, case.operation.method.upper())
    return case


def _right(body: Any, method: str) -> Any:
    """A body that keeps to its schema, made to keep to what no schema says in a way that generators read."""
    if isinstance(body, list):
        return [_right(each, method) for each in body]
    if isinstance(body, dict):
        body = {name: _right(value, method) for name, value in body.items()}
        if None not in (body.get("due_on"), body.get("due_at")):
            del body["due_at" if method == "POST" else "due_on"]
        if body.keys() <= PLACES and method == "POST":  # one place, no more and no less
            body = dict(list(body.items())[:1]) or {"to": "bottom"}
    return body


@schemathesis.hook
def filter_failure(context: HookContext, failure: Failure, case: Case[Any], response: Response) -> bool:
    """Whether a failure counts."""
    if isinstance(failure, MissingHeaderNotRejected) and "Authorization" in response.request.headers:
        return False  # it was sent: the command line has it for every request
    if isinstance(failure, AcceptedNegativeData) and response.status_code == 431:
        return False  # it is refused, by a status that the check does not know
    if isinstance(failure, AcceptedNegativeData):
        # White space around text is dropped: "Buy milk\n" is taken, though no task is kept like this.
        return not (_only_the_body_is_negative(case) and _is_valid_when_trimmed(case))
    if isinstance(failure, RejectedPositiveData):
        if response.json()["type"] == KeyReused.type:  # that of the example, for one
            return False
        errors = response.json().get("errors")
        return not errors or not all(_is_beyond_schemas(error, case) for error in errors)
    return True


def _is_beyond_schemas(error: dict[str, str], case: Case[Any]) -> bool:
    """Whether a value is wrong in a way that no schema can say."""
    code, value = error["code"], _value_at(error["pointer"], case)
    if code == "time_zone":
        return value not in available_timezones()
    if code == "distinct":  # but for the white space around them
        return len({normalize("NFC", tag.strip(WHITE_SPACE)) for tag in value}) < len(value)
    if code == "one_line":  # what can be seen
        return isinstance(value, str) and is_blank(value)
    if code.startswith("date"):
        return not _is_a_day(value[:10])
    # Which cursors, todos and lists the server made, where a todo may be, and that a member is named once.
    return code in ("cursor", "no_such_todo", "repeated_member", *PLACES_OF_A_TODO)


def _value_at(pointer: str, case: Case[Any]) -> Any:
    if not pointer.startswith("/"):
        sent = case.query.get(pointer)
        return sent[0] if isinstance(sent, list) and len(sent) == 1 else sent
    value: Any = case.body
    for part in pointer.split("/")[1:]:
        value = value[int(part) if isinstance(value, list) else part]
    return value


def _is_a_day(text: str) -> bool:
    """Whether there is such a day, such as no 30 February."""
    try:
        date.fromisoformat(text)
    except ValueError:
        return False
    return True


def _only_the_body_is_negative(case: Case[Any]) -> bool:
    assert case.meta is not None
    return {place for place in case.meta.components if case.meta.is_negative_at(place)} == {ParameterLocation.BODY}


def _is_valid_when_trimmed(case: Case[Any]) -> bool:
    document = case.operation.schema.raw_schema
    content = document["paths"][case.operation.path][case.operation.method.lower()]["requestBody"]["content"]
    schema = {**content[case.media_type]["schema"], "components": document["components"]}
    return Draft202012Validator(schema).is_valid(_trimmed(case.body))


def _trimmed(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: each if key == "notes" else _trimmed(each) for key, each in value.items()}
    if isinstance(value, list):
        return [_trimmed(each) for each in value]
    return value.strip(WHITE_SPACE) if isinstance(value, str) else value
