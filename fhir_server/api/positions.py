"""Tell line and column in the caller's own text with each issue of a refusal, and of the answer of `$validate`.

https://hl7.org/fhir/R4/extension-operationoutcome-issue-line.html. What is accepted costs nothing: the text is read for
positions only when something is wrong with it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from flask import Request

from fhir_server.api.formats import XML_BODIES
from fhir_server.interactions.model import Interaction, Outcome
from fhir_server.spec import json
from fhir_server.spec.outcome import FhirError, position_extensions
from fhir_server.spec.positions import LENGTH_LIMIT, Path, Position, find_positions

_BODY = "fhir_server.body"
_ENTRY_OUTCOME = b'"outcome":{"resourceType":"OperationOutcome"'


def keep(request: Request, raw: bytes) -> None:
    """Keep the text of a body for as long as the request lasts, unless it is very long."""
    # What is wrong with the result of a patch stands nowhere in the patch.
    if len(raw) <= LENGTH_LIMIT and request.method != "PATCH":
        request.environ[_BODY] = raw


def located(error: Exception, request: Request) -> Exception:
    """Return the same refusal with the line and column of each issue whose element is in the body."""
    if not isinstance(error, FhirError) or not error.kind.shown or _BODY not in request.environ:
        return error
    found = _positions(request, [each for issue in error.issues for each in issue.expression])
    if not found:
        return error
    issues = tuple(
        replace(issue, position=found.get(issue.expression[0])) if issue.expression else issue for issue in error.issues
    )
    return FhirError(error.kind, error.diagnostics, issues=issues)


def located_in_answer(outcome: Outcome, interaction: Interaction, request: Request) -> Outcome:
    """Return the answer of `$validate` with the line and column of each issue."""
    if _BODY not in request.environ or interaction.resource is None:
        return outcome
    answer = json.decode(outcome.content, len(outcome.content) + 1)
    issues: list[dict[str, Any]] = answer["issue"]
    expressions = [issue["expression"][0] for issue in issues if "expression" in issue]
    found = _positions(request, expressions, _below(interaction.resource))
    for issue in issues:
        position = found.get(issue.get("expression", [""])[0])
        if position:
            issue["extension"] = position_extensions(position)
    return replace(outcome, content=json.encode(answer))


def located_in_entries(outcome: Outcome, request: Request) -> Outcome:
    """Return the answer to a batch with the line and column of each issue of its entries."""
    if _BODY not in request.environ or _ENTRY_OUTCOME not in outcome.content:
        return outcome
    try:
        answer = json.decode(outcome.content, len(outcome.content) + 1)
    except FhirError:
        # What is stored may be as deep as JSON is read; an answer around it is deeper.
        return outcome
    issues: list[tuple[str, dict[str, Any]]] = []
    for index, entry in enumerate(answer.get("entry", ())):
        for issue in entry["response"].get("outcome", {}).get("issue", ()):
            where = f"Bundle.entry[{index}]"
            expression = issue.get("expression", (where,))[0]
            if not expression.startswith("Bundle.entry["):
                expression = f"{where}.resource.{expression.partition('.')[2]}"
            issues.append((expression, issue))
    found = _positions(request, [expression for expression, _ in issues])
    for expression, issue in issues:
        if position := found.get(expression):
            issue["extension"] = position_extensions(position)
    return replace(outcome, content=json.encode(answer))


def _positions(request: Request, expressions: Sequence[str], below: Path = ()) -> Mapping[str, Position]:
    return find_positions(request.environ[_BODY], expressions, xml=request.mimetype in XML_BODIES, below=below)


def _below(body: Mapping[str, Any]) -> Path:
    """Return where in Parameters the resource is that was to be validated."""
    items = body.get("parameter")
    if body.get("resourceType") != "Parameters" or not isinstance(items, list):
        return ()
    named = (index for index, each in enumerate(items) if isinstance(each, dict) and each.get("name") == "resource")
    index = next(named, None)
    return () if index is None else (("parameter", index), ("resource", 0))
