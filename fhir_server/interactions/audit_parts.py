"""JSON fragments of an AuditEvent: who, where, what.

Fragments that repeat (the server, a caller, a purpose) are built once and kept, so that an event costs a few joins.
Every text from outside passes `quote`. Codes follow IHE BALP (https://profiles.ihe.net/ITI/BALP/).
"""

from __future__ import annotations

from base64 import b64encode
from dataclasses import dataclass
from functools import lru_cache
from hashlib import sha256
from typing import NamedTuple
from urllib.parse import urlsplit

import orjson

from fhir_server.access.principal import Principal
from fhir_server.interactions.model import Code, Context, Interaction
from fhir_server.search.bundle import link

CANONICAL = "https://fhir-server.example.org"
BALP = "https://profiles.ihe.net/ITI/BALP"
DICOM = "http://dicom.nema.org/resources/ontology/DCM"
ACT_REASON = "http://terminology.hl7.org/CodeSystem/v3-ActReason"
ADMINISTRATION = f"{CANONICAL}/CodeSystem/administration"
ADMINISTRATION_ACTIONS = (
    "list-clients",
    "register-client",
    "read-client",
    "deactivate-client",
    "list-accounts",
    "read-status",
    "list-invitations",
    "read-invitation",
    "read-invitations-file",
    "list-account-requests",
    "invite",
    "resend-invitation",
    "cancel-invitation",
    "upload-invitations",
    "fetch-invitations-report",
    "check-account-request",
    "approve-account-request",
    "refuse-account-request",
)
"""What may be done over `/api/v1`, partly on pages too; codes of the system `ADMINISTRATION`."""
ACCOUNT_ACTIONS = (
    "accept-agreement",
    "add-authenticator",
    "add-organisation",
    "add-passkey",
    "approve-account-reset",
    "ask-account-reset",
    "ask-for-access",
    "ask-for-account",
    "ask-new-email",
    "ask-new-password",
    "change-memorable-question",
    "change-mobile",
    "change-password",
    "choose-language",
    "choose-messages",
    "choose-organisation",
    "confirm-email",
    "close-contact-message",
    "close-sign-in-problem",
    "decline-access-request",
    "disconnect-app",
    "end-parent-access",
    "end-session",
    "forget-device",
    "grant-access-request",
    "invite-carer",
    "invite-parent",
    "join-organisation",
    "list-parent-invitations",
    "leave-record",
    "link-nhs-login",
    "print-invitation",
    "professional-leaves",
    "refuse-account-reset",
    "remove-authenticator",
    "remove-mobile",
    "remove-passkey",
    "rename-passkey",
    "renew-recovery-codes",
    "renew-invitation",
    "resend-carer-invitation",
    "resend-parent-invitation",
    "send-contact-message",
    "send-proof-code",
    "sign-out-everywhere",
    "stop-text-codes",
    "take-up-carer-invitation",
    "unlink-nhs-login",
    "want-text-codes",
    "register-app",
    "change-app",
    "remove-app",
    "new-app-secret",
    "approve-app",
    "refuse-app",
    "suspend-app",
    "resume-app",
    "limit-app",
    "decide-app",
    "list-apps",
    "read-app",
    "list-own-apps",
    "read-own-app",
    "make-calendar-link",
    "stop-calendar-link",
    "close-accounts",
    "reopen-accounts",
    "close-unused-accounts",
    "propose-person-case",
    "approve-person-case",
    "refuse-person-case",
    "list-person-cases",
    "list-contact-messages",
    "confirm-sharing",
    "list-teams",
    "read-team",
    "make-team",
    "rename-team",
    "change-team-members",
    "add-team-member",
    "remove-team-member",
    "end-team",
    "list-professionals",
    "list-invited-professionals",
    "list-account-resets",
    "list-sign-in-problems",
    "invite-professional",
    "resend-set-up",
    "cancel-set-up",
    "unlock-account",
    "resend-messages",
    "load-resources",
)
"""What people do with accounts on pages, and operators by commands; codes of the same system."""
_PARTICIPATION = "http://terminology.hl7.org/CodeSystem/v3-ParticipationType"
_ROLE_CLASS = "http://terminology.hl7.org/CodeSystem/v3-RoleClass"
_PARTICIPANT = "http://terminology.hl7.org/CodeSystem/provenance-participant-type"
_ENTITY_TYPE = "http://terminology.hl7.org/CodeSystem/audit-entity-type"
_OBJECT_ROLE = "http://terminology.hl7.org/CodeSystem/object-role"
_SOURCE_TYPE = "http://terminology.hl7.org/CodeSystem/security-source-type"

_QUERY_LIMIT_BYTES = 16_384
_REFERENCE_LIMIT = 256


@dataclass(frozen=True, slots=True)
class Agent:
    """Who asked, as recorded.

    Attributes:
        reference: `Practitioner/1`, `Patient/2`, `system`, `account:<id>`, or "" for somebody unknown.
        name: Display name, "" where none.
        role: Account role, "" where none.
        organization: Literal reference of the organisation acted for, or "".
        client_id: OAuth client or `portal`.
        address: Network address of the caller, "" where none.
    """

    reference: str
    name: str = ""
    role: str = ""
    organization: str = ""
    client_id: str = ""
    address: str = ""


class Entity(NamedTuple):
    """A resource that an interaction touched.

    Attributes:
        type: Resource type.
        id: Logical id.
        version: Version disclosed or written, 0 where it has none.
        patients: Keys of the patients it belongs to, empty for none or where unknown.
    """

    type: str
    id: str
    version: int = 0
    patients: tuple[int, ...] = ()


def agent_of(principal: Principal, context: Context) -> Agent:
    """Return the caller as an agent."""
    organization = principal.organization
    if not organization and principal.subject.startswith("Organization/"):
        organization = principal.subject
    return Agent(principal.subject, principal.name, principal.role, organization, principal.client_id, context.address)


def quote(text: str) -> bytes:
    """Return the text as a JSON string; half a surrogate pair, which is no text, becomes a question mark."""
    try:
        return orjson.dumps(text)
    except orjson.JSONEncodeError:
        return orjson.dumps(text.encode("utf-8", "replace").decode())


@lru_cache(maxsize=1_024)
def coding(system: str, code: str) -> bytes:
    """Return a Coding."""
    return b'{"system":%b,"code":%b}' % (quote(system), quote(code))


def concept(system: str, code: str) -> bytes:
    """Return a CodeableConcept of one Coding."""
    return b'{"coding":[%b]}' % coding(system, code)


@lru_cache(maxsize=256)
def purposes(text: str) -> bytes:
    """Return the `purposeOfEvent` array of a caller's purposes: `CODE` of v3-ActReason or `system|code`, by blanks."""
    found = []
    for word in text.split():
        system, bar, code = word.rpartition("|")
        found.append(concept(system if bar else ACT_REASON, code))
    return b"[%b]" % b",".join(found)


# What data flows where decides the roles: (server, client, person) as BALP has them per action.
_READ_ROLES = (concept(DICOM, "110153"), concept(DICOM, "110152"), concept(_PARTICIPATION, "IRCP"))
_QUERY_ROLES = (concept(DICOM, "110152"), concept(DICOM, "110153"), concept(_PARTICIPATION, "IRCP"))
_WRITE_ROLES = (concept(DICOM, "110152"), concept(DICOM, "110153"), concept(_PARTICIPATION, "AUT"))
_DELETE_ROLES = (concept(_PARTICIPANT, "custodian"), concept(DICOM, "110150"), concept(_PARTICIPATION, "AUT"))
_ROLES = {"R": _READ_ROLES, "E": _QUERY_ROLES, "C": _WRITE_ROLES, "U": _WRITE_ROLES, "D": _DELETE_ROLES}
_PROVIDER = concept(_ROLE_CLASS, "PROV")


@lru_cache(maxsize=4_096)
def agents(agent: Agent, action: str, fhir_base: str) -> bytes:
    """Return the `agent` array: server, client application, who asked, the organisation acted for."""
    server_role, client_role, person_role = _ROLES[action]
    base = quote(fhir_base)
    parts = [
        b'{"type":%b,"who":{"display":%b},"requestor":false,"network":{"address":%b,"type":"5"}}'
        % (server_role, base, base)
    ]
    if agent.client_id or agent.address:
        network = b',"network":{"address":%b,"type":"2"}' % quote(agent.address) if agent.address else b""
        client = agent.client_id or "unknown"
        who = b'{"identifier":{"system":"%b/client","value":%b}}' % (CANONICAL.encode(), quote(client))
        parts.append(b'{"type":%b,"who":%b,"requestor":false%b}' % (client_role, who, network))
    is_organization = agent.reference.startswith("Organization/")
    parts.append(
        b'{"type":%b%b,"who":%b%b,"requestor":true}'
        % (
            _PROVIDER if is_organization else person_role,
            b',"role":[{"text":%b}]' % quote(agent.role) if agent.role else b"",
            _who(agent.reference, agent.name),
            b',"name":%b' % quote(agent.name) if agent.name else b"",
        )
    )
    if agent.organization and agent.organization != agent.reference:
        parts.append(b'{"type":%b,"who":%b,"requestor":false}' % (_PROVIDER, _who(agent.organization, "")))
    return b"[%b]" % b",".join(parts)


def _who(reference: str, name: str) -> bytes:
    if "/" in reference:
        return b'{"reference":%b%b}' % (quote(reference), b',"display":%b' % quote(name) if name else b"")
    if reference:
        return b'{"identifier":{"system":"%b/account","value":%b}}' % (CANONICAL.encode(), quote(reference))
    return b'{"display":%b}' % quote(name or "unknown")


@lru_cache(maxsize=16)
def source(fhir_base: str) -> bytes:
    """Return `source`: this server observed the event."""
    site = urlsplit(fhir_base).netloc or fhir_base
    return b'{"site":%b,"observer":{"display":%b},"type":[%b]}' % (
        quote(site),
        quote(fhir_base),
        coding(_SOURCE_TYPE, "4"),
    )


_PATIENT = b'"type":%b,"role":%b}' % (coding(_ENTITY_TYPE, "1"), coding(_OBJECT_ROLE, "1"))
_DATA = b'"type":%b,"role":%b}' % (coding(_ENTITY_TYPE, "2"), coding(_OBJECT_ROLE, "4"))
# Without a type: BALP tells its one query entity from others by the type.
_RESULT = b'"role":%b}' % coding(_OBJECT_ROLE, "4")
_QUERY = b'{"type":%b,"role":%b,' % (coding(_ENTITY_TYPE, "2"), coding(_OBJECT_ROLE, "24"))
_REQUEST = b'"type":%b}' % coding(f"{BALP}/CodeSystem/BasicAuditEntityType", "XrequestId")
_SECURITY = b'"role":%b' % coding(_OBJECT_ROLE, "13")
_CONSENT = b'"type":%b}' % coding("http://hl7.org/fhir/resource-types", "Consent")


def patient_entity(patient_id: str) -> bytes:
    """Return the entity of the patient whose record it is."""
    return b'{"what":{"reference":%b},%b' % (quote(f"Patient/{patient_id}"[:_REFERENCE_LIMIT]), _PATIENT)


def data_entity(entity: Entity, *, result: bool = False) -> bytes:
    """Return the entity of the one resource of an interaction, or of one `result` of a search."""
    role = _RESULT if result else _DATA
    if not entity.id:
        return b'{"name":%b,%b' % (quote(entity.type[:_REFERENCE_LIMIT]), role)
    version = f"/_history/{entity.version}" if entity.version else ""
    reference = f"{entity.type}/{entity.id}"[:_REFERENCE_LIMIT]
    return b'{"what":{"reference":%b},%b' % (quote(reference + version), role)


def request_entity(request_id: str) -> bytes:
    """Return the entity that names the request (`X-Request-Id`)."""
    return b'{"what":{"identifier":{"value":%b}},%b' % (quote(request_id), _REQUEST)


def emergency_entity(grant_id: str, reason: str = "", reason_code: str = "") -> bytes:
    """Return the entity of an emergency access, with its reason where it starts or ends."""
    what = b'{"what":{"identifier":{"system":"%b/break-glass","value":%b}},' % (CANONICAL.encode(), quote(grant_id))
    description = b',"description":%b' % quote(reason) if reason else b""
    detail = b',"detail":[{"type":"reasonCode","valueString":%b}]' % quote(reason_code) if reason_code else b""
    return what + _SECURITY + description + detail + b"}"


def subject_entity(name: str) -> bytes:
    """Return the entity of what was administered: an account, a client, the server."""
    return b'{%b,"name":%b}' % (_SECURITY, quote(name[:_REFERENCE_LIMIT]))


def consent_entity(consent_id: str) -> bytes:
    """Return the entity of a Consent that decided."""
    return b'{"what":{"reference":%b},%b' % (quote(f"Consent/{consent_id}"), _CONSENT)


def query_entity(interaction: Interaction) -> bytes:
    """Return the entity of the query, base64 of `Type?name=value`; a longer one is cut and named by its SHA-256.

    A search in a compartment is named as it was asked for: `Patient/1/Observation?…`, or `Patient/1/*` of any type.
    """
    target = "/".join(part for part in (interaction.type, interaction.id) if part)
    if interaction.compartment:
        target = "/".join((*interaction.compartment, interaction.type or "*"))
    if interaction.code is Code.OPERATION:
        target = f"{target}/${interaction.operation}" if target else f"${interaction.operation}"
    pairs = interaction.query or interaction.conditional or interaction.if_none_exist
    text = link(target, pairs).encode("utf-8", "replace")
    note = b""
    if len(text) > _QUERY_LIMIT_BYTES:
        note = b'"description":"cut; SHA-256 of the whole is %b",' % sha256(text).hexdigest().encode()
        text = text[:_QUERY_LIMIT_BYTES]
    return b'%b%b"query":"%b"}' % (_QUERY, note, b64encode(text))
