"""Criteria of a provision on content: type, code, clinical time, relation to another record (access.md §3).

SQL face; `verdict` holds the one in memory. A Binary is judged as the record it belongs to. For a Provenance, which has
as many subjects as targets, a permit by such criteria covers nothing and a deny hits.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import ColumnElement, FromClause, and_, case, exists, literal_column, or_

from fhir_server.store.grants import AUTHORED_BY, INSTANCE, RELATED
from fhir_server.store.keys import hash32, type_key
from fhir_server.store.visibility import Rules

BINARY: Final = type_key("Binary")
PROVENANCE: Final = type_key("Provenance")
PATIENT: Final = type_key("Patient")
_AUTHORS: Final = {
    "asserter": ("AllergyIntolerance", "Condition"),
    "attester": ("Composition",),
    "authenticator": ("DocumentReference",),
    "author": (
        "Basic", "Composition", "DetectedIssue", "DocumentManifest", "DocumentReference", "Flag", "MessageHeader",
        "QuestionnaireResponse", "RequestGroup",
    ),
    "performer": (
        "DiagnosticReport", "ImagingStudy", "Immunization", "MedicationAdministration", "MedicationDispense",
        "Observation", "Procedure", "RiskAssessment",
    ),
    "recorder": ("AdverseEvent", "AllergyIntolerance"),
    "requester": (
        "CommunicationRequest", "DeviceRequest", "MedicationRequest", "ServiceRequest", "SupplyRequest", "Task",
    ),
    "results-interpreter": ("DiagnosticReport",),
    "sender": ("Communication", "CommunicationRequest", "MessageHeader"),
    "source": ("List", "MedicationStatement", "QuestionnaireResponse"),
}  # fmt: skip
AUTHORS: Final = frozenset(hash32(f"{kind}.{code}") for code, kinds in _AUTHORS.items() for kind in kinds)
"""Search parameters that say who wrote a record or stands for what is in it."""
# One piece of text: as that many expressions it would be most of every statement.
_IS_AUTHOR: Final[ColumnElement[Any]] = literal_column("(" + ", ".join(str(param) for param in sorted(AUTHORS)) + ")")


def met(row: FromClause, node: FromClause, rules: Rules, *, unknown: bool) -> ColumnElement[bool]:
    """Return whether a row meets the criteria on content of a node (a row of `consent_grant`).

    Nests no deeper than it has to: SQLite parses expressions with a stack of a hundred entries.

    Args:
        row: The row, with the columns of `resource` but content.
        node: The compiled node.
        rules: Tables to look into.
        unknown: What holds where the record does not say: False for a permit, True for a deny.
    """
    subject = _Subject(row, rules)
    found = and_(
        row.c.type != PROVENANCE,
        or_(node.c.type == 0, node.c.type == subject.column("type")),
        or_(node.c.code == 0, _has_code(subject, node, rules, contained=unknown)),
        or_(node.c.data_from.is_(None), *_in_time(subject, node, unknown=unknown)),
        or_(node.c.meaning == 0, *_related(subject, node, rules)),
    )
    return or_(row.c.type == PROVENANCE, found) if unknown else found


@dataclass(frozen=True, slots=True)
class _Subject:
    """The record that a row is judged as: that of a Binary's security context, else itself."""

    row: FromClause
    rules: Rules

    @property
    def key(self) -> ColumnElement[int]:
        return case((self.row.c.context != 0, self.row.c.context), else_=self.row.c.key)

    def column(self, name: str) -> ColumnElement[Any]:
        assert self.rules.subject is not None  # noqa: S101 - `store.visibility.with_subject` joined it
        return case((self.row.c.context != 0, self.rules.subject.c[name]), else_=self.row.c[name])


def _has_code(subject: _Subject, node: FromClause, rules: Rules, *, contained: bool) -> ColumnElement[bool]:
    """Return whether the record has the code, or something that it contains, which closes it and opens nothing.

    What contains a permitted result may hold others beside it.
    """
    token = rules.token.alias()
    own = () if contained else (token.c.item >= 0,)
    found = exists().where(
        token.c.key == subject.key,
        token.c.code == node.c.code,
        or_(node.c.system == 0, token.c.system == node.c.system),
        *own,
    )
    return found.correlate(subject.row, node)


def _in_time(subject: _Subject, node: FromClause, *, unknown: bool) -> tuple[ColumnElement[bool], ...]:
    """Return whether the clinical time lies within (permit) or meets (deny) the period, as alternatives.

    A record without a time is not known to lie outside; a Patient has none.
    """
    low, high = subject.column("date_lo"), subject.column("date_hi")
    if not unknown:
        return (and_(low >= node.c.data_from, high <= node.c.data_to),)
    undated = and_(low.is_(None), subject.row.c.type != PATIENT)
    return undated, and_(low < node.c.data_to, high > node.c.data_from)


def _related(subject: _Subject, node: FromClause, rules: Rules) -> tuple[ColumnElement[bool], ...]:
    """Return whether the record is, refers to, is referred to by, or was written by what the node names."""
    to, back = rules.reference.alias(), rules.reference.alias()
    refers = exists().where(
        node.c.meaning != INSTANCE,
        to.c.key == subject.key,
        to.c.target == node.c.target,
        or_(node.c.meaning != AUTHORED_BY, to.c.param.op("IN", is_comparison=True)(_IS_AUTHOR)),
    )
    referred = exists().where(node.c.meaning == RELATED, back.c.key == node.c.target, back.c.target == subject.key)
    return (
        and_(node.c.meaning != AUTHORED_BY, subject.key == node.c.target),
        and_(node.c.meaning == AUTHORED_BY, subject.column("author") == node.c.target),
        refers.correlate(subject.row, node),
        referred.correlate(subject.row, node),
    )
