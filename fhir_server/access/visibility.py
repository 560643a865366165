"""The gate as SQL: which rows exist for a principal (access.md §4).

`Gate.predicate` is the conjunction of two halves: the *right* half (owner, own data, directory, consent, emergency)
and the *scope*
half (SMART scopes, launch patient). Both are conditions on one row, so they hold for each hop of a query alike.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import (
    BigInteger,
    BindParameter,
    ColumnElement,
    FromClause,
    Select,
    and_,
    bindparam,
    case,
    exists,
    false,
    literal,
    literal_column,
    or_,
    select,
    true,
    union_all,
)

from fhir_server.access import labels, rare, votes
from fhir_server.store.dialects import Either
from fhir_server.store.grants import READ
from fhir_server.store.keys import type_key
from fhir_server.store.visibility import BY_SUMS, Look, RowCondition, Rules

DIRECTORY_TYPES = frozenset(
    {
        "Organization", "Practitioner", "PractitionerRole", "Location", "HealthcareService", "Endpoint",
        "OrganizationAffiliation", "CapabilityStatement", "CodeSystem", "CompartmentDefinition", "ConceptMap",
        "GraphDefinition", "ImplementationGuide", "MessageDefinition", "NamingSystem", "OperationDefinition",
        "SearchParameter", "StructureDefinition", "StructureMap", "TerminologyCapabilities", "ValueSet",
    }
)  # fmt: skip
"""Types that anyone signed in may see, when the row names no patient."""
_DIRECTORY_KEYS = tuple(sorted(type_key(name) for name in DIRECTORY_TYPES))
_TASK = type_key("Task")
_NEVER_GRANTED = (type_key("Consent"),)
"""Types that no consent and no emergency discloses: a Consent would tell a grantee what is hidden from it."""


@dataclass(frozen=True, slots=True)
class ScopeFilter:
    """What one clinical scope lets through: a type, a launch patient (0 for any), and a restriction."""

    type: int
    patient: int
    narrowing: RowCondition | None = None
    """Granular restriction: what the row's own search parameters have to meet; None for none."""


@dataclass(frozen=True, slots=True)
class Gate:
    """Visibility of one principal at one instant.

    Attributes:
        at_us: The instant, microseconds since the epoch; periods of consents are compared with it.
        everything: The trusted operator: consent does not filter.
        own: Key of the patient who is the caller, 0 for anybody else.
        actors: Subjects closure whose consents count; empty means that no consent counts.
        organizations: Organisations (or the person) whose own data is visible, or writable.
        directory: Directory rows are visible.
        purposes: Bits of the purposes of use.
        other_purposes: Keys of purposes of other code systems.
        action: `grants.READ` or `grants.WRITE`.
        rare: Grants for the caller may have criteria that need a look at content. Without, a permit with such a
            criterion covers nothing and a deny with one hits everything it may be about.
        shielded: What its author withheld from the patient, or what is under embargo, does not exist.
        emergencies: Keys of the patients under a live emergency access of the caller.
        own_only: Own data and consent must *both* hold (writing by a person).
        managed_types: Types that a patient or proxy may change whoever wrote them (Consent), and for whom every row
            has to be of a record: they write nothing that is nobody's.
        reviewed_types: Types that a staff role sees in full (Consent and Task for a privacy officer; not the Tasks of
            an organisation, which nobody asked the privacy office about).
        own_data_types: Types that own data is limited to; empty means every type.
        scopes: None without restriction; else a row must pass one of them.
    """

    at_us: int
    everything: bool = False
    own: int = 0
    actors: tuple[int, ...] = ()
    organizations: tuple[int, ...] = ()
    directory: bool = False
    purposes: int = 0
    other_purposes: tuple[int, ...] = ()
    action: int = READ
    rare: bool = True
    shielded: bool = False
    emergencies: tuple[int, ...] = ()
    own_only: bool = False
    managed_types: tuple[int, ...] = ()
    reviewed_types: tuple[int, ...] = ()
    own_data_types: tuple[int, ...] = ()
    scopes: tuple[ScopeFilter, ...] | None = None

    @property
    def shape(self) -> Hashable:
        """Return what the text of `predicate` depends on: gates of one shape differ in bound values only."""
        scopes = None
        if self.scopes is not None:
            scopes = tuple((scope.type, bool(scope.patient), scope.narrowing) for scope in self.scopes)
        return (
            self.everything, bool(self.own), len(_padded(self.actors)), len(_padded(self.organizations)),
            self.directory, len(_padded(self.emergencies)), self.own_only, self.managed_types,
            self.reviewed_types, self.own_data_types, len(_padded(self.other_purposes)), self.action, self.rare,
            self.shielded, scopes,
        )  # fmt: skip

    @property
    def is_plain(self) -> bool:
        """Return whether no Consent counts."""
        return self.everything or not self.actors

    def parameters(self) -> dict[str, int]:
        """Return the values of `predicate`'s bound parameters by name."""
        values = {"gate_at": self.at_us, "gate_own": self.own, "gate_purposes": self.purposes}
        values["gate_launch"] = next((scope.patient for scope in self.scopes or () if scope.patient), 0)
        for name in ("actors", "organizations", "emergencies", "other_purposes"):
            keys = enumerate(_padded(getattr(self, name)))
            values |= {f"gate_{name}_{index}": key for index, key in keys}
        return values

    def predicate(self, row: FromClause, rules: Rules) -> ColumnElement[bool]:
        """Return the condition under which a row of `resource` exists for this caller.

        Every value of this gate is a parameter with the name and value of `parameters`, so that a statement built for
        one gate serves every gate of its shape. `shape` says what else the text depends on.
        """
        return and_(self._right(row, rules), self._scope(row, rules))

    def _right(self, row: FromClause, rules: Rules) -> ColumnElement[bool]:
        if self.everything:
            return true()
        mine = row.c.author.in_(self._keys("organizations")) if self.organizations else false()
        if self.own_only:
            return self._own_only(row, rules, mine)
        ways = [and_(mine, row.c.type.not_in(_NEVER_GRANTED))]
        if self.own_data_types:
            ways = [and_(mine, row.c.type.in_(self.own_data_types))]
        if self.directory:
            ways.append(and_(row.c.patient == 0, row.c.type.in_(_DIRECTORY_KEYS)))
        if self.reviewed_types:
            ways.append(and_(row.c.type.in_(self.reviewed_types), or_(row.c.type != _TASK, row.c.author == 0)))
        if self.own or self.actors or self.emergencies:
            ways.append(and_(row.c.patient != 0, self._all_patients(row, rules)))
        return or_(*ways)

    def _own_only(self, row: FromClause, rules: Rules, mine: ColumnElement[bool]) -> ColumnElement[bool]:
        if self.managed_types:
            managed = or_(mine, row.c.type.in_(self.managed_types))
            return and_(managed, row.c.patient != 0, self._all_patients(row, rules))
        return and_(mine, or_(row.c.patient == 0, self._all_patients(row, rules)))

    def _all_patients(self, row: FromClause, rules: Rules) -> ColumnElement[bool]:
        """Every patient the row names must permit."""
        if rules.look in BY_SUMS and self.adds_up(()):
            return self._by_sums(row, rules)
        further = rules.resource_patient.alias()
        refused = exists().where(further.c.key == row.c.key, ~self._patient_permits(row, further.c.patient, rules))
        one_by_one = and_(
            self._patient_permits(row, row.c.patient, rules),
            or_(row.c.multi.is_(False), ~refused.correlate(row, *rules.beside)),
        )
        if self.own or self.emergencies or not self.actors:
            return one_by_one
        return Either(postgresql=self._added_up(row, rules), elsewhere=one_by_one)

    def _by_sums(self, row: FromClause, rules: Rules) -> ColumnElement[bool]:
        """Return what the sums alone tell: that the row exists, or that it may."""
        found = self._sums(row, rules)
        return and_(found == votes.YES if rules.look is Look.SURE else found != votes.NO, self._unshielded(row))

    def _added_up(self, row: FromClause, rules: Rules) -> ColumnElement[bool]:
        """Return the same by the sum of the first patient's grants, by each provision where that is unsure."""
        further = rules.resource_patient.alias()
        named = union_all(
            select(row.c.patient.label("patient")).correlate(row),
            select(further.c.patient).where(row.c.multi.is_(True), further.c.key == row.c.key).correlate(row),
        ).subquery()
        refusing = ~self._patient_permits(row, named.c.patient, rules)
        refused = exists(select(named.c.patient).where(refusing).correlate(row, *rules.beside))
        found = self._sums(row, rules)
        return case((votes.YES, self._unshielded(row)), (votes.ASK, ~refused), value=found, else_=false())

    def _sums(self, row: FromClause, rules: Rules) -> ColumnElement[int]:
        """Return what the sum of grants of the row's first patient tells, see `votes.verdict`."""
        never = row.c.type.in_(_NEVER_GRANTED)
        if rules.votes is None:
            node = rules.grant.alias()
            counted = select(votes.verdict(row, votes.sum_of(node), never))
            of_first = counted.where(node.c.patient == row.c.patient, *self._in_force(node))
            return of_first.correlate(row).scalar_subquery()
        found = votes.verdict(row, votes.Sum(*(rules.votes.c[name] for name in votes.Sum._fields)), never)
        return found if rules.one is None else case((row.c.patient != rules.one, votes.ASK), else_=found)

    def _unshielded(self, row: FromClause) -> ColumnElement[bool]:
        if not self.shielded:
            return true()
        open_to_patient = row.c.label.bitwise_and(literal_column(str(labels.NO_DISCLOSURE_TO_PATIENT))) == 0
        return and_(open_to_patient, row.c.released_at <= self._at)

    def _patient_permits(self, row: FromClause, patient: ColumnElement[int], rules: Rules) -> ColumnElement[bool]:
        ways: list[ColumnElement[bool]] = []
        if self.own:
            ways.append(patient == _value("gate_own", self.own))
        if self.actors:
            ways.append(
                and_(
                    self._vote(row, patient, rules, permit=True),
                    ~self._vote(row, patient, rules, permit=False),
                )
            )
        if self.emergencies:
            grantable = row.c.label.bitwise_and(literal_column(str(labels.EVERY))) == row.c.label
            ways.append(and_(row.c.type.not_in(_NEVER_GRANTED), grantable, self._emergency(patient, rules)))
        found = or_(*ways) if ways else false()
        return and_(self._unshielded(row), found)

    def adds_up(self, types: Sequence[str]) -> bool:
        """Return whether sums of grants decide on most rows of these types; of a Consent they never do."""
        counts = not (self.is_plain or self.own or self.emergencies or self.own_only)
        return counts and {*map(type_key, types)}.isdisjoint(_NEVER_GRANTED)

    def votes(self, rules: Rules, patient: ColumnElement[int] | None = None) -> Select[Any] | None:
        """Return what the grants of each patient come to, to be joined to many rows at once, or those of one."""
        if self.is_plain or self.own or self.emergencies:
            return None
        node = rules.grant.alias()
        added = votes.sum_of(node)
        columns = [column.label(name) for name, column in zip(votes.Sum._fields, added, strict=True)]
        if patient is not None:
            return select(*columns).where(node.c.patient == patient, *self._in_force(node))
        return select(node.c.patient, *columns).where(*self._in_force(node)).group_by(node.c.patient)

    def _vote(self, row: FromClause, patient: ColumnElement[int], rules: Rules, *, permit: bool) -> ColumnElement[bool]:
        """Return whether a provision that is in force for the caller votes this way on the row.

        A node further down is an exception to the one it stands in: a deny stands unless a permit within it hits, and
        one deny that stands outvotes every permit (access.md §4.4 and §4.5).
        """
        node = rules.grant.alias()
        hit = [node.c.patient == patient, *self._in_force(node), self._covers(row, node, rules, permit=permit)]
        if not permit:
            nested = rules.grant.alias()
            exception = exists().where(
                nested.c.patient == patient,
                *self._in_force(nested),
                nested.c.consent == node.c.consent,
                nested.c.position > node.c.position,
                nested.c.position <= node.c.ends,
                self._covers(row, nested, rules, permit=True),
            )
            excepted = exception.correlate(row, node, *rules.beside, _table_of(patient))
            hit.append(or_(node.c.ends == node.c.position, ~excepted))
        return exists().where(*hit).correlate(row, *rules.beside, _table_of(patient))

    def _in_force(self, node: FromClause) -> list[ColumnElement[bool]]:
        purpose = node.c.purposes.bitwise_and(_value("gate_purposes", self.purposes)) != 0
        if self.other_purposes:
            purpose = or_(purpose, node.c.purpose.in_(self._keys("other_purposes")))
        return [
            node.c.actor.in_((literal_column("0"), *self._keys("actors"))),
            node.c.valid_from <= self._at,
            node.c.valid_to > self._at,
            purpose,
            node.c.actions.bitwise_and(literal_column(str(self.action))) != 0,
        ]

    def _covers(self, row: FromClause, node: FromClause, rules: Rules, *, permit: bool) -> ColumnElement[bool]:
        if permit:
            rare = self._rare(row, node, rules, unknown=False)
            # A Consent tells what is hidden: only a provision that names the type gives it, to a full proxy.
            return and_(
                node.c.permit.is_(True),
                row.c.label.bitwise_and(node.c.labels) == row.c.label,
                row.c.confidentiality <= node.c.confidentiality,
                or_(row.c.type.not_in(_NEVER_GRANTED), node.c.type.in_(_NEVER_GRANTED)),
                or_(node.c.rare.is_(False), rare),
            )
        return and_(
            node.c.permit.is_(False),
            or_(row.c.label.bitwise_and(node.c.labels) != 0, row.c.confidentiality >= node.c.confidentiality),
            or_(node.c.rare.is_(False), self._rare(row, node, rules, unknown=True)),
        )

    def _rare(self, row: FromClause, node: FromClause, rules: Rules, *, unknown: bool) -> ColumnElement[bool]:
        """Return whether the row meets a node's criteria on content; `unknown` is the answer where nobody can tell."""
        if self.rare and rules.exact:
            return rare.met(row, node, rules, unknown=unknown)
        # What is judged as another record, of which nothing is known here.
        elsewhere = row.c.type.in_((rare.BINARY, rare.PROVENANCE))
        if unknown:
            return or_(node.c.type == 0, node.c.type == row.c.type, elsewhere)
        alone = and_(node.c.code == 0, node.c.data_from.is_(None), node.c.meaning == 0)
        return and_(node.c.type == row.c.type, ~elsewhere, alone)

    def _emergency(self, patient: ColumnElement[int], rules: Rules) -> ColumnElement[bool]:
        block = rules.grant.alias()
        blocked = exists().where(
            block.c.patient == patient,
            block.c.blocks_emergency.is_(True),
            block.c.valid_from <= self._at,
            block.c.valid_to > self._at,
        )
        return and_(patient.in_(self._keys("emergencies")), ~blocked.correlate(_table_of(patient)))

    @property
    def _at(self) -> BindParameter[int]:
        return _value("gate_at", self.at_us)

    def _keys(self, name: str) -> list[BindParameter[int]]:
        return [_value(f"gate_{name}_{index}", key) for index, key in enumerate(_padded(getattr(self, name)))]

    def _scope(self, row: FromClause, rules: Rules) -> ColumnElement[bool]:
        if self.scopes is None:
            return true()
        return or_(false(), *(self._through(scope, row, rules) for scope in self.scopes))

    @staticmethod
    def _through(scope: ScopeFilter, row: FromClause, rules: Rules) -> ColumnElement[bool]:
        conditions: list[ColumnElement[bool]] = [literal(value=True)]
        if scope.type:
            conditions.append(row.c.type == scope.type)
        if scope.patient:
            further = rules.resource_patient.alias()
            launch = _value("gate_launch", scope.patient)
            named = exists().where(further.c.key == row.c.key, further.c.patient == launch).correlate(row)
            # Nobody's record: only the directory, not e.g. a letter that its organisation tied to no patient.
            listed = and_(row.c.patient == 0, row.c.type.in_(_DIRECTORY_KEYS))
            conditions.append(or_(row.c.patient == launch, and_(row.c.multi.is_(True), named), listed))
        if scope.narrowing is not None:
            # A version has no index rows of its own, and what is not known is refused.
            conditions.append(scope.narrowing.on(row) if rules.exact else false())
        return and_(*conditions)


NOTHING = Gate(at_us=0)
"""The visibility of a caller without any right: no row exists."""


def _value(name: str, value: int) -> BindParameter[int]:
    return bindparam(name, value, BigInteger)


def _padded(keys: tuple[int, ...]) -> tuple[int, ...]:
    """Repeat the last key up to a power of two, so that there are few shapes and the meaning stays."""
    if not keys:
        return keys
    return keys + keys[-1:] * ((1 << (len(keys) - 1).bit_length()) - len(keys))


def _table_of(column: ColumnElement[int]) -> FromClause:
    return column.table  # type: ignore[no-any-return]
