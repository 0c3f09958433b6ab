"""What Schemathesis cannot read in the document."""

from typing import Any

import schemathesis
from jsonschema_rs import Draft202012Validator
from schemathesis import Case, HookContext, Response
from schemathesis.core.failures import AcceptedNegativeData, Failure
from schemathesis.core.parameters import ParameterLocation
from schemathesis.generation import GenerationMode
from schemathesis.generation.meta import ComponentInfo, CoveragePhaseData
from schemathesis.openapi.checks import RejectedPositiveData

TAGS = {"If-Match": "*", "If-None-Match": '"0"'}
"""Tags that lead to a full answer."""

WHITE_SPACE = "\t\n\v\f\r \x85\xa0\u1680\u2028\u2029\u202f\u205f\u3000" + "".join(map(chr, range(0x2000, 0x200B)))
"""What the server trims: Unicode's White_Space, which is less than `str.strip` drops."""


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
    if in_coverage and phase.parameter_location is not ParameterLocation.HEADER:
        for name in TAGS.keys() & case.headers.keys():
            case.headers[name] = TAGS[name]
            case.meta.components[ParameterLocation.HEADER] = ComponentInfo(mode=GenerationMode.POSITIVE)
    # Beside a cursor that the server did not make, nothing else in the query would be tested.
    in_question = phase.parameter == "cursor" if in_coverage else case.meta.is_negative_at(ParameterLocation.QUERY)
    if len(case.query) > 1 and not in_question:
        case.query.pop("cursor", None)
    return case


@schemathesis.hook
def filter_failure(context: HookContext, failure: Failure, case: Case[Any], response: Response) -> bool:
    """Whether a failure counts."""
    if isinstance(failure, AcceptedNegativeData):
        # White space around text is dropped: "Buy milk\n" is taken, though no task is kept like this.
        return not (_only_the_body_is_negative(case) and _is_valid_when_trimmed(case))
    if isinstance(failure, RejectedPositiveData):
        # No schema can say which cursors the server made.
        return {error["code"] for error in response.json().get("errors", [])} != {"cursor"}
    return True


def _only_the_body_is_negative(case: Case[Any]) -> bool:
    assert case.meta is not None
    return {place for place in case.meta.components if case.meta.is_negative_at(place)} == {ParameterLocation.BODY}


def _is_valid_when_trimmed(case: Case[Any]) -> bool:
    if not isinstance(case.body, dict):
        return False
    document = case.operation.schema.raw_schema
    content = document["paths"][case.operation.path][case.operation.method.lower()]["requestBody"]["content"]
    schema = {**content[case.media_type]["schema"], "components": document["components"]}
    trimmed = {key: value.strip(WHITE_SPACE) if isinstance(value, str) else value for key, value in case.body.items()}
    return Draft202012Validator(schema).is_valid(trimmed)
