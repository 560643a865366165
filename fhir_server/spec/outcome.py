"""Errors as one categorised value, and their face as an OperationOutcome.

Every refusal anywhere in the server is a `FhirError`. Its `Kind` fixes the HTTP status, the FHIR issue code
(https://hl7.org/fhir/R4/valueset-issue-type.html) and whether the diagnostics may be shown to the caller. Front doors
render it: `/fhir` as an OperationOutcome, `/oauth` as RFC 6749 JSON, the portal as a page.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import Any

_POSITION = "http://hl7.org/fhir/StructureDefinition/operationoutcome-issue-"


class Kind(Enum):
    """What went wrong: (HTTP status, issue code, whether diagnostics are shown)."""

    MALFORMED = (400, "structure", True)
    INVALID_VALUE = (400, "value", True)
    INVALID_CONTENT = (422, "invalid", True)
    UNENFORCEABLE = (422, "not-supported", True)
    BUSINESS_RULE = (422, "business-rule", True)
    NOT_SUPPORTED = (400, "not-supported", True)
    UNKNOWN_TYPE = (404, "not-supported", True)
    UNAUTHENTICATED = (401, "login", True)
    FORBIDDEN = (403, "forbidden", True)
    NOT_FOUND = (404, "not-found", True)
    GONE = (410, "deleted", True)
    METHOD_NOT_ALLOWED = (405, "not-supported", True)
    NOT_ACCEPTABLE = (406, "not-supported", True)
    CONFLICT = (409, "conflict", True)
    DUPLICATE = (409, "duplicate", True)
    VERSION_REQUIRED = (412, "conflict", True)
    MULTIPLE_MATCHES = (412, "multiple-matches", True)
    TOO_LARGE = (413, "too-long", True)
    RANGE = (416, "value", True)
    UNSUPPORTED_MEDIA_TYPE = (415, "not-supported", True)
    THROTTLED = (429, "throttled", True)
    TIMEOUT = (503, "timeout", True)
    UNAVAILABLE = (503, "transient", False)
    BUG = (500, "exception", False)

    @property
    def status(self) -> int:
        """Return the HTTP status code."""
        return self.value[0]

    @property
    def issue_code(self) -> str:
        """Return the code of the IssueType value set."""
        return self.value[1]

    @property
    def shown(self) -> bool:
        """Return whether the diagnostics may leave the server."""
        return self.value[2]


@dataclass(frozen=True, slots=True)
class Issue:
    """One OperationOutcome.issue.

    Attributes:
        severity: `fatal`, `error`, `warning` or `information`.
        code: A code of the IssueType value set.
        diagnostics: What helps the caller to fix the request; never record content, SQL or a path of the machine.
        expression: FHIRPath locations of the elements in error, such as `Patient.name[0].given[1]`.
        position: Line and column of the element in the text that was sent, both from 1; None where it is not known.
    """

    severity: str
    code: str
    diagnostics: str
    expression: tuple[str, ...] = ()
    position: tuple[int, int] | None = None


class FhirError(Exception):
    """Refusal of a request.

    Args:
        kind: The category; fixes status and issue code.
        diagnostics: One sentence for the caller, naming the element and what is allowed.
        expression: FHIRPath locations in error.
        issues: Several issues at once; overrides the single one made from `diagnostics`.
    """

    def __init__(
        self,
        kind: Kind,
        diagnostics: str,
        expression: tuple[str, ...] = (),
        issues: tuple[Issue, ...] = (),
    ) -> None:
        """Keep the category and what may be said about it."""
        super().__init__(diagnostics)
        self.kind = kind
        self.diagnostics = diagnostics
        self.issues = issues or (Issue("error", kind.issue_code, diagnostics, expression),)

    @property
    def status(self) -> int:
        """Return the HTTP status code."""
        return self.kind.status


def operation_outcome(issues: tuple[Issue, ...]) -> dict[str, Any]:
    """Return an OperationOutcome resource of these issues (https://hl7.org/fhir/R4/operationoutcome.html)."""
    return {
        "resourceType": "OperationOutcome",
        "issue": [
            {
                **({"extension": position_extensions(issue.position)} if issue.position else {}),
                "severity": issue.severity,
                "code": issue.code,
                "diagnostics": issue.diagnostics,
                **({"expression": list(issue.expression)} if issue.expression else {}),
            }
            for issue in issues
        ],
    }


def position_extensions(position: tuple[int, int]) -> list[dict[str, Any]]:
    """Return the extensions of an issue that say its line and column in the text that was sent."""
    return [
        {"url": f"{_POSITION}{name}", "valueInteger": value}
        for name, value in zip(("line", "col"), position, strict=True)
    ]


def error_outcome(error: FhirError, correlation_id: str = "") -> dict[str, Any]:
    """Return the OperationOutcome of a refusal; a hidden diagnostic becomes a correlation id."""
    if error.kind.shown:
        return operation_outcome(error.issues)
    text = "The server could not answer this request."
    if correlation_id:
        text += f" Quote {correlation_id} when you report it."
    return operation_outcome((Issue("fatal", error.kind.issue_code, text),))
