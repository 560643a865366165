"""The server against its own OpenAPI document: whatever schemathesis sends, the answer is one that is described."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from hypothesis.errors import Unsatisfiable
from schemathesis import GenerationMode
from schemathesis.specs.openapi.checks import negative_data_rejection, positive_data_acceptance

from tests.databases import SqliteDatabases
from tests.server import Server, build, create_schema

_EXAMPLES = 60 if os.environ.get("HYPOTHESIS_PROFILE") == "nightly" else 3
_KNOWN = "known"


def _schema(server: Server, mode: GenerationMode) -> Any:
    document = server.app.test_client().get("/api/openapi.json").get_json()
    if mode is GenerationMode.NEGATIVE:
        # The token that each request is sent with would mend what was broken about it.
        del document["security"], document["components"]["securitySchemes"]
    found = schemathesis.openapi.from_dict(document)
    found.app = server.app
    return found


def _checked(server: Server, wanted: str, mode: GenerationMode) -> int:
    """Send what each operation below a path may, or may not, be sent; return how many operations there are."""
    token = server.operator()
    server.put({"resourceType": "Patient", "id": _KNOWN}, token)
    count = 0
    for found in _schema(server, mode).get_all_operations():
        operation = found.ok()
        if operation.path.startswith(wanted):
            count += 1
            _check(operation, token, mode)
    return count


def _check(operation: Any, token: str, mode: GenerationMode) -> None:
    headers = {"Authorization": f"Bearer {token}", "Accept-Encoding": "identity"}

    @given(case=operation.as_strategy(generation_mode=mode), known=st.booleans())
    @settings(
        max_examples=_EXAMPLES,
        deadline=None,
        derandomize=True,
        suppress_health_check=list(HealthCheck),
        phases=[Phase.generate],
    )
    def hold(case: Any, *, known: bool) -> None:
        parameters: Mapping[str, Any] = case.path_parameters or {}
        if known and "id" in parameters and mode is GenerationMode.POSITIVE:
            real = {"id": _KNOWN, "type": "Patient", "version": "1"}
            case.path_parameters = {name: real.get(name, value) for name, value in parameters.items()}
        left_out = [positive_data_acceptance]
        if any(value in {"", None} for value in (case.query or {}).values() if isinstance(value, str | None)):
            # A parameter without a value is one that is not there (https://hl7.org/fhir/R4/search.html).
            left_out.append(negative_data_rejection)
        # What is valid as far as OpenAPI can say may still break a rule of FHIR's, or one of ours.
        case.call_and_validate(headers=headers, excluded_checks=left_out)

    with suppress(Unsatisfiable):  # There is nothing to get wrong about a GET without parameters.
        hold()


@pytest.fixture
def one(tmp_path: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """Return a server on SQLite: what is refused before anything is stored does not depend on storage."""
    templates = tmp_path_factory.getbasetemp() / "sqlite-templates"
    templates.mkdir(exist_ok=True)
    made = build(SqliteDatabases(tmp_path, templates).prepared("schema", create_schema), tmp_path)
    yield made
    made.close()


def test_fhir_endpoints_answer_as_they_are_described(server: Server) -> None:
    assert _checked(server, "/fhir", GenerationMode.POSITIVE) > 40


def test_fhir_endpoints_refuse_what_is_not_described(one: Server) -> None:
    assert _checked(one, "/fhir", GenerationMode.NEGATIVE) > 40


def test_the_administration_answers_as_it_is_described(server: Server) -> None:
    assert _checked(server, "/api/v1", GenerationMode.POSITIVE) > 5


def test_the_administration_refuses_what_is_not_described(one: Server) -> None:
    assert _checked(one, "/api/v1", GenerationMode.NEGATIVE) > 5
