"""How the database would answer a search, for operators at the command line: nothing of a record is read.

No road leads here from the API: a plan tells how many rows there are, also of those that a caller may not see.
"""

from __future__ import annotations

from fhir_server.access.decide import gate_of
from fhir_server.access.visibility import Gate
from fhir_server.interactions.locating import locate_url
from fhir_server.interactions.model import Code, Context
from fhir_server.search import parse
from fhir_server.search.explain import Explained
from fhir_server.search.explain import explain as explain_search
from fhir_server.search.terminology import Terminology
from fhir_server.spec.outcome import FhirError, Kind
from fhir_server.store.database import Session
from fhir_server.store.instants import to_us

_OWN_ROAD = "AuditEvent"


def explain(context: Context, url: str, reference: str = "", purpose: str = "TREAT") -> Explained:
    """Return how a search would be answered.

    Args:
        context: Where to search.
        url: Below the service base, such as `Observation?patient=Patient/1`.
        reference: Who asks, such as `Practitioner/1`; "" for the operator, whom no consent filters.
        purpose: Purposes of use, as a token has them.

    Raises:
        FhirError: What the search itself would be refused with; NOT_SUPPORTED (400) for what is no search.
    """
    interaction = locate_url(context.definitions, "GET", url.removeprefix(context.fhir_base).lstrip("/"))
    if interaction.code not in {Code.SEARCH, Code.SEARCH_SYSTEM} or interaction.type == _OWN_ROAD:
        raise FhirError(
            Kind.NOT_SUPPORTED, f"Only searches are explained, and none of {_OWN_ROAD}: [type]?[parameters]"
        )
    with context.store.read() as session:
        gate = _gate(session, context, reference, purpose)
        request = parse.parse(
            context.definitions,
            interaction.type,
            interaction.query,
            fhir_base=context.fhir_base,
            compartment=interaction.compartment,
            terms=Terminology(context.definitions, context.fhir_base, session, gate),
        )
        return explain_search(session, gate, request)


def _gate(session: Session, context: Context, reference: str, purpose: str) -> Gate:
    if not reference:
        return Gate(to_us(context.now()), everything=True)
    return gate_of(session, reference, purpose, context.now())
