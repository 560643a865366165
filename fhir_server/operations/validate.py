"""`[type]/$validate` and `[type]/[id]/$validate`: what would be wrong with a resource, without storing anything.

https://hl7.org/fhir/R4/resource-operation-validate.html. The answer is 200 with an OperationOutcome that names every
problem, whatever it finds; a request that is none is refused like any other.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from fhir_server.access.consent import compile_consent
from fhir_server.access.decide import gate
from fhir_server.access.policy import writes
from fhir_server.interactions.checking import find_issues
from fhir_server.interactions.job import Job
from fhir_server.interactions.model import Interaction, Operation, Outcome
from fhir_server.spec import json
from fhir_server.spec.outcome import FhirError, Issue, Kind, operation_outcome
from fhir_server.store import belonging, resources
from fhir_server.store.keys import NONE
from fhir_server.store.resources import Version

_MODES: Final = ("create", "update", "delete", "profile")
_PARAMETERS: Final = ("resource", "mode", "profile")
_VALUES: Final = {"mode": ("valueCode", "valueString"), "profile": ("valueUri", "valueCanonical", "valueString")}
_STORING: Final = ("create", "update")
_ANY_ID: Final = "new"


@dataclass(frozen=True, slots=True)
class _Asked:
    """The parameters of a call; what was not given is None or empty."""

    resource: Mapping[str, Any] | None
    mode: str
    profile: str


def validate(job: Job, interaction: Interaction) -> Outcome:
    """Return an OperationOutcome with every problem of the resource given, or of the stored one at its own URL.

    Raises:
        FhirError: FORBIDDEN (403) for a token that may write nothing of the type, or read a stored resource; NOT_FOUND
            (404) for a stored one that does not exist for the caller; 400 for parameters that are not those of
            `$validate`, or no resource.
    """
    if not any(job.principal.scopes.allows(right, interaction.type) for right in "cu"):
        raise FhirError(Kind.FORBIDDEN, f"The access token has no scope to write {interaction.type}")
    asked = _asked(interaction)
    if asked.mode == "delete":
        return _answer(_deletion(job, interaction))
    if asked.resource is None and not interaction.id:
        raise _invalid("resource", "is required: a resource in the body, or in a Parameters body")
    found = () if asked.resource is None else _identity(interaction, asked)
    resource = dict(_content(_stored(job, interaction)) if asked.resource is None else asked.resource)
    if asked.mode == "create":
        # The server chooses the id of what is created, whatever was sent.
        resource["id"] = _ANY_ID
    found += find_issues(job, resource, _profiles(asked))
    if asked.mode in _STORING:
        found += _storing(job, interaction, resource, is_valid=all(each.severity != "error" for each in found))
    return _answer(found)


def _storing(job: Job, interaction: Interaction, resource: Mapping[str, Any], *, is_valid: bool) -> tuple[Issue, ...]:
    """Return why this server would not store what is valid FHIR; nothing that depends on what is stored already."""
    found: tuple[Issue, ...] = ()
    if not writes(job.principal, interaction.type):
        text = f"{interaction.type} is a type that this caller may not write."
        found = (Issue("error", "forbidden", text, (interaction.type,)),)
    if is_valid and interaction.type == "Consent":
        try:
            compile_consent(resource, NONE, job.definitions.resource_types)
        except FhirError as error:
            found += error.issues
    return found


def _profiles(asked: _Asked) -> tuple[str, ...]:
    return (asked.profile,) if asked.profile else ()


def _asked(interaction: Interaction) -> _Asked:
    """Return what a call asks, from its URL and its body: a resource, or Parameters that hold one.

    Raises:
        FhirError: INVALID_VALUE (400) naming the parameter.
    """
    pairs: list[tuple[str, Any]] = list(interaction.query)
    body, bare = interaction.resource, None
    if body is not None:
        if body.get("resourceType") == "Parameters" and (interaction.type != "Parameters" or _is_call(body)):
            pairs += _pairs(body)
        else:
            bare = body
    given: dict[str, Any] = {} if bare is None else {"resource": bare}
    for name, value in pairs:
        if name not in _PARAMETERS:
            raise _invalid("name", f"{name[:64]} is not a parameter here; allowed: {', '.join(_PARAMETERS)}")
        if name in given:
            raise _invalid(name, "may be given once")
        given[name] = value
    mode = given.get("mode", "")
    if mode and mode not in _MODES:
        raise _invalid("mode", f"must be one of {', '.join(_MODES)}")
    if mode == "profile" and not given.get("profile"):
        raise _invalid("profile", "is required in mode profile")
    resource = given.get("resource")
    if resource is not None and not isinstance(resource, Mapping):
        raise _invalid("resource", "must be a resource")
    return _Asked(resource, mode, given.get("profile", ""))


def _is_call(body: Mapping[str, Any]) -> bool:
    """Return whether Parameters are those of this operation, not Parameters to validate."""
    items = body.get("parameter")
    return isinstance(items, list) and any(isinstance(each, dict) and each.get("name") == "resource" for each in items)


def _pairs(body: Mapping[str, Any]) -> list[tuple[str, Any]]:
    """Return names and values; the resource is not looked into, for what is wrong with it is the answer."""
    items = body.get("parameter", [])
    if not isinstance(items, list) or not all(isinstance(each, dict) for each in items):
        raise FhirError(Kind.MALFORMED, "parameter must be an array of objects", ("Parameters.parameter",))
    found: list[tuple[str, Any]] = []
    for item in items:
        name = item.get("name")
        if not isinstance(name, str):
            raise FhirError(Kind.MALFORMED, "A parameter needs a name", ("Parameters.parameter.name",))
        if name in _VALUES:
            value = next((item[key] for key in _VALUES[name] if key in item), None)
            if not isinstance(value, str):
                raise _invalid(name, f"must have one of {', '.join(_VALUES[name])}")
            found.append((name, value))
        else:
            found.append((name, item.get("resource", "")))
    return found


def _invalid(name: str, text: str) -> FhirError:
    return FhirError(Kind.INVALID_VALUE, f"{name}: {text}", (f"Parameters.parameter.where(name = '{name}')",))


def _identity(interaction: Interaction, asked: _Asked) -> tuple[Issue, ...]:
    """Return what is wrong with the type and id of a resource sent to this URL."""
    found: list[Issue] = []
    resource = asked.resource or {}
    if resource.get("resourceType") != interaction.type:
        text = f"resourceType must be {interaction.type}, as the URL says."
        found.append(Issue("error", "invalid", text, ("Resource.resourceType",)))
    place = (f"{interaction.type}.id",)
    if interaction.id and asked.mode != "create" and resource.get("id", interaction.id) != interaction.id:
        found.append(Issue("error", "value", f"{place[0]} must be {interaction.id}, as the URL says.", place))
    elif asked.mode == "update" and "id" not in resource:
        found.append(Issue("error", "required", f"{place[0]} is required for an update.", place))
    return tuple(found)


def _stored(job: Job, interaction: Interaction) -> Version:
    """Return the version at the URL, as a read would."""
    gate(job.principal, "r", interaction.type)
    found = resources.get(job.session, job.decision.readable, interaction.type, interaction.id)
    if found is None or found.content is None:
        raise FhirError(Kind.NOT_FOUND, f"{interaction.type}/{interaction.id} is not known")
    job.trace.touch(belonging.owners(job.session, (found.key,))[0], found.type, found.id, found.version)
    return found


def _content(stored: Version) -> Mapping[str, Any]:
    content = stored.content or b""
    return json.decode(content, len(content) + 1)


def _deletion(job: Job, interaction: Interaction) -> tuple[Issue, ...]:
    """Return why the resource at the URL could not be deleted; hidden and absent are one answer."""
    if not interaction.id:
        raise FhirError(Kind.INVALID_VALUE, "mode delete needs the URL of a resource: [type]/[id]/$validate")
    if resources.outside(job.session, job.decision.writable, [_stored(job, interaction).key]):
        text = f"The caller may not delete {interaction.type}/{interaction.id}."
        return (Issue("error", "forbidden", text, (interaction.type,)),)
    return ()


def _answer(found: tuple[Issue, ...]) -> Outcome:
    issues = found or (Issue("information", "informational", "No issues found."),)
    return Outcome(200, json.encode(operation_outcome(issues)), "OperationOutcome")


OPERATION = Operation("validate", ("Resource",), ("type", "instance"), writes=False, run=validate)
