"""What goes into the road and what comes out: frozen values.

`Interaction` is a request after parsing, `Context` everything impure, `Outcome` the answer before HTTP.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import Enum
from itertools import islice
from typing import Any

from fhir_server.access.callers import Callers
from fhir_server.access.principal import Principal
from fhir_server.interactions.uploads import Upload
from fhir_server.spec.definitions import Definitions
from fhir_server.spec.xml_patch import Change
from fhir_server.store.database import Store
from fhir_server.store.grants import EmergencyAccess
from fhir_server.store.keys import key_of_reference, reference_key
from fhir_server.store.recorder import Recorder

_PATIENT = re.compile(rb"Patient/([A-Za-z0-9\-.]{1,64})")
_LOOKED_THROUGH = 65_536
_REFERENCES_LIMIT = 16
"""How much of what is shown is looked through for ids of patients (bytes, references); others are looked up."""


class Code(Enum):
    """Interactions of https://hl7.org/fhir/R4/valueset-type-restful-interaction.html and operations."""

    READ = "read"
    VREAD = "vread"
    CREATE = "create"
    UPDATE = "update"
    PATCH = "patch"
    DELETE = "delete"
    HISTORY = "history-instance"
    HISTORY_TYPE = "history-type"
    HISTORY_SYSTEM = "history-system"
    SEARCH = "search-type"
    SEARCH_SYSTEM = "search-system"
    BATCH = "batch"
    TRANSACTION = "transaction"
    CAPABILITIES = "capabilities"
    OPERATION = "operation"


@dataclass(frozen=True, slots=True)
class Interaction:
    """One request for the road.

    Attributes:
        code: Which interaction.
        type: Resource type, "" at system level.
        id: Logical id, "" where none.
        version_id: Version for vread.
        query: Search or operation parameters in order, decoded: (name with modifier, value).
        compartment: Compartment that a search is limited to, such as ("Patient", "1"), None for none.
        resource: Parsed body (decimals kept to the digit by `spec.json`), None where none.
        if_match: Versions of `If-Match`, `*` for any, none where absent.
        if_none_match: Versions of `If-None-Match` that matter to the road: of a read in a Bundle, of a write.
        if_none_exist: Query of `If-None-Exist`, decoded, empty where absent.
        conditional: Criteria of a conditional update, patch or delete (`PUT Patient?identifier=…`).
        operation: Operation code without `$`.
        by_get: The operation was called by GET.
        patch: Operations of a JSON Patch (RFC 6902) body; of a FHIRPath Patch, `resource` is the Parameters.
        xml_patch: Operations of an XML Patch (RFC 5261) body.
        merge_patch: Members of a JSON Merge Patch (RFC 7396) body, None where it is of another kind.
        upload: A raw body that is not held: `Binary.data` of `resource` is its mark.
        returns: `Prefer: return=`: `minimal`, `representation`, `OperationOutcome`, "" where absent.
        handling: `strict` (default) or `lenient` (`Prefer: handling=`).
        prefers_async: `Prefer: respond-async`.
    """

    code: Code
    type: str = ""
    id: str = ""
    version_id: str = ""
    query: tuple[tuple[str, str], ...] = ()
    compartment: tuple[str, str] | None = None
    resource: Mapping[str, Any] | None = None
    if_match: tuple[str, ...] = ()
    if_none_match: tuple[str, ...] = ()
    if_none_exist: tuple[tuple[str, str], ...] = ()
    conditional: tuple[tuple[str, str], ...] = ()
    operation: str = ""
    by_get: bool = False
    patch: tuple[Mapping[str, Any], ...] = ()
    xml_patch: tuple[Change, ...] = ()
    merge_patch: Mapping[str, Any] | None = None
    upload: Upload | None = None
    returns: str = ""
    handling: str = "strict"
    prefers_async: bool = False


@dataclass(frozen=True, slots=True)
class Outcome:
    """What an interaction answers.

    Attributes:
        status: HTTP status, 200, 201, 204.
        content: JSON bytes of the resource or Bundle to disclose, b"" where none.
        type: Resource type of `content`.
        id: Logical id of the resource, "" where none.
        version: Version id, 0 where none.
        updated_at: `meta.lastUpdated`, None where none.
        location: Absolute URL for `Location`, "" where none.
    """

    status: int
    content: bytes = b""
    type: str = ""
    id: str = ""
    version: int = 0
    updated_at: datetime | None = None
    location: str = ""


@dataclass(frozen=True, slots=True)
class Context:
    """Everything impure that a request may use.

    Attributes:
        store: The database.
        definitions: R4 definitions and our own conformance resources.
        now: Clock, aware UTC.
        new_id: Source of logical ids (UUIDs).
        fhir_base: Service base URL without trailing slash.
        request_id: Id of this request, recorded in audit (`X-Request-Id`).
        address: Network address of the caller, for audit.
        break_glass_minutes: How long an emergency access lasts.
        export_hours: How long a bulk export is kept once it is complete.
        result_embargo: How long a new result is hidden from the patient and carers.
        page_key: 32 bytes that seal page cursors.
        operations: FHIR operations by code, from the registry in `operations`.
        again: Looks up afresh who asks, for what takes long; None where nobody can lose a right meanwhile.
        statement: JSON of what the server says of itself, by `mode` of `metadata`; None outside of the REST API.
        live: Looks up the definitions with the search parameters that an operator added; None for the plain ones.
        conditional_deletes: How many resources one conditional delete of a program may delete; more matches are 412.
        callers: Who asked lately; None where each is looked up.
        recorder: Makes the AuditEvents of reads and refusals durable before anything is disclosed.
    """

    store: Store
    definitions: Definitions
    now: Callable[[], datetime]
    new_id: Callable[[], str]
    fhir_base: str
    request_id: str = ""
    address: str = ""
    break_glass_minutes: int = 60
    export_hours: int = 24
    result_embargo: timedelta = timedelta(0)
    page_key: bytes = field(default=b"", repr=False)
    conditional_deletes: int = 1
    recorder: Recorder | None = None
    callers: Callers | None = None
    operations: Mapping[str, Operation] = field(default_factory=dict)
    again: Callable[[], Principal] | None = None
    live: Callable[[], Definitions] | None = None
    statement: Callable[[str], bytes] | None = None


@dataclass(frozen=True, slots=True)
class Operation:
    """One FHIR operation of the registry.

    Attributes:
        code: Name without `$`.
        types: Resource types it is defined on; empty for the system level only.
        levels: Subset of `system`, `type`, `instance`.
        writes: Changes the record: runs in a write transaction and only by POST.
        run: The function, given the job and the interaction.
    """

    code: str
    types: tuple[str, ...]
    levels: tuple[str, ...]
    writes: bool
    run: Callable[[Any, Interaction], Outcome]


@dataclass(slots=True)
class Trace:
    """What an interaction touched, for its AuditEvents; filled while it runs, also when it is refused.

    Attributes:
        patients: Keys of the patients whose record was disclosed, changed or aimed at.
        entities: (type, id, version, keys of its patients) of each resource; version 0 where unknown.
        emergencies: The caller's live emergency accesses, which a refusal is logged under too.
        named: Logical ids of patients that the request says or the answer shows, by key.
    """

    patients: dict[int, None] = field(default_factory=dict)
    entities: list[tuple[str, str, int, tuple[int, ...]]] = field(default_factory=list)
    emergencies: tuple[EmergencyAccess, ...] = ()
    named: dict[int, str] = field(default_factory=dict)

    def told(self) -> dict[int, str]:
        """Return the ids of those patients, by key, of whose record something was disclosed or changed."""
        owners = {owner for *_, owned in self.entities for owner in owned}
        return {key: logical_id for key, logical_id in self.named.items() if key in owners}

    def touch(
        self,
        patients: Iterable[int],
        resource_type: str = "",
        logical_id: str = "",
        version: int = 0,
        content: bytes | None = None,
    ) -> None:
        """Add a resource and the patients it belongs to; what is shown of it mostly says their ids."""
        owners = tuple(patient for patient in patients if patient)
        self.patients.update(dict.fromkeys(owners))
        if content and not self.named.keys() >= set(owners):
            self._read_names(owners, content)
        if resource_type:
            self.entities.append((resource_type, logical_id, version, owners))
        if resource_type == "Patient":
            self.named[reference_key(resource_type, logical_id)] = logical_id

    def _read_names(self, owners: tuple[int, ...], content: bytes) -> None:
        # A key is made from the reference, so one that has the key is the patient's.
        for found in islice(_PATIENT.finditer(content, 0, _LOOKED_THROUGH), _REFERENCES_LIMIT):
            key = key_of_reference(found[0].decode())
            if key in owners:
                self.named[key] = found[1].decode()

    def aim(self, patient_id: str) -> None:
        """Add a patient whose record the request is about, whether or not it finds anything there."""
        key = reference_key("Patient", patient_id)
        self.patients[key] = None
        self.named[key] = patient_id
