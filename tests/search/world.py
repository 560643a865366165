"""A small world to search in: resources straight into a store, visibilities that show all or hide some."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from sqlalchemy import ColumnElement, FromClause, true

from fhir_server.access.ownership import patients_of
from fhir_server.search import index
from fhir_server.search.model import SearchPage, SearchRequest
from fhir_server.search.parse import parse
from fhir_server.search.run import run
from fhir_server.search.terminology import Terminology
from fhir_server.spec import definitions as spec
from fhir_server.spec.json import decode, encode
from fhir_server.store.database import Store
from fhir_server.store.keys import reference_key
from fhir_server.store.resources import NewVersion, put_new
from fhir_server.store.visibility import Rules, Visibility

BASE = "http://records.test/fhir"
DEFINITIONS = spec.load()
PAGE_KEY = bytes(range(32))
NOW_US = 1_750_000_000_000_000
HIDDEN = 8

Json = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Everything:
    """All rows exist."""

    shape = "everything"
    is_plain = True
    rare = False

    def parameters(self) -> dict[str, Any]:
        return {}

    def predicate(self, row: FromClause, rules: Rules) -> ColumnElement[bool]:  # noqa: ARG002
        return true()

    def votes(self, rules: Rules, patient: ColumnElement[int] | None = None) -> None:  # noqa: ARG002
        return None

    def adds_up(self, types: Sequence[str]) -> bool:  # noqa: ARG002
        return False


@dataclass(frozen=True, slots=True)
class Unhidden:
    """Rows with the label `HIDDEN` do not exist."""

    shape = "unhidden"
    is_plain = True
    rare = False

    def parameters(self) -> dict[str, Any]:
        return {}

    def predicate(self, row: FromClause, rules: Rules) -> ColumnElement[bool]:  # noqa: ARG002
        return row.c.label != HIDDEN

    def votes(self, rules: Rules, patient: ColumnElement[int] | None = None) -> None:  # noqa: ARG002
        return None

    def adds_up(self, types: Sequence[str]) -> bool:  # noqa: ARG002
        return False


ALL = Everything()
SOME = Unhidden()


class World:
    """A store with resources."""

    def __init__(self, database_url: str) -> None:
        self.store = Store(database_url, pool_size=2)
        self.store.create_all()

    def close(self) -> None:
        self.store.close()

    def add(self, resources: Iterable[Json], *, label: int = 1, updated_at: int = NOW_US) -> None:
        """Store the first versions of resources, whoever wrote them."""
        versions = []
        for sent in resources:
            resource = decode(encode(sent), 1_000_000)
            kind, logical_id = resource["resourceType"], resource["id"]
            patients = patients_of(DEFINITIONS, resource, BASE)
            key = reference_key(kind, logical_id)
            patient = patients[0] if patients else 0
            hot, indexed = index.derive(DEFINITIONS, resource, key=key, patient=patient, fhir_base=BASE)
            versions.append(
                NewVersion(
                    key=key,
                    type=kind,
                    id=logical_id,
                    version=1,
                    updated_at=updated_at,
                    content=encode(resource),
                    patients=patients,
                    label=label,
                    confidentiality=0,
                    author=0,
                    code=hot.code,
                    date_lo=hot.date_lo,
                    date_hi=hot.date_hi,
                    index=indexed,
                )
            )
        with self.store.write() as session:
            put_new(session, versions)

    def search(
        self, kind: str, query: Iterable[tuple[str, str]], *, visibility: Visibility = ALL, handling: str = "strict"
    ) -> tuple[SearchPage, SearchRequest]:
        with self.store.read() as session:
            terms = Terminology(DEFINITIONS, BASE, session, visibility)
            options: Json = {"handling": handling, "now_us": NOW_US, "terms": terms}
            request = parse(DEFINITIONS, kind, list(query), fhir_base=BASE, **options)
            page = run(session, visibility, request, page_key=PAGE_KEY, binding="somebody", definitions=DEFINITIONS)
        return page, request

    def ids(self, kind: str, *query: tuple[str, str], visibility: Visibility = ALL) -> list[str]:
        """Return the ids of the first page's matches, in order."""
        page, _ = self.search(kind, query, visibility=visibility)
        return [row.id for row in page.matches]


def decimals(text: str) -> Decimal:
    return Decimal(text)
