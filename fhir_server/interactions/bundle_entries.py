"""One entry of a batch or transaction: what its `request` and `resource` ask for (https://hl7.org/fhir/R4/bundle.html).

Comes in: an entry as it was sent, of which nothing is known. Goes out: an `Entry` with its interaction, or a refusal
that names the element of the Bundle.
"""

from __future__ import annotations

from base64 import b64decode
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from fhir_server.interactions.etags import parse_etags
from fhir_server.interactions.locating import Query, check_parameters, locate_url, parse_criteria
from fhir_server.interactions.model import Code, Context, Interaction
from fhir_server.interactions.patching import JSON_PATCH, MERGE_PATCH, parse_patch
from fhir_server.spec import json
from fhir_server.spec.definitions import Definitions
from fhir_server.spec.outcome import FhirError, Issue, Kind
from fhir_server.spec.primitives import PRIMITIVES
from fhir_server.spec.validate import validate
from fhir_server.spec.values import date_interval
from fhir_server.spec.xml_patch import XML_PATCH, parse_xml_patch

_METHODS = ("GET", "HEAD", "POST", "PUT", "DELETE", "PATCH")
_BUNDLE = frozenset(
    {"resourceType", "id", "meta", "implicitRules", "language", "identifier", "type", "timestamp", "total", "link",
     "entry", "signature", "_id", "_implicitRules", "_language", "_type", "_timestamp", "_total"}
)  # fmt: skip
_ENTRY = frozenset({"id", "extension", "link", "fullUrl", "_fullUrl", "resource", "search", "request", "response"})
_CONDITIONS = ("ifNoneMatch", "ifModifiedSince", "ifMatch", "ifNoneExist")
_REQUEST = frozenset(
    {"id", "extension", "method", "_method", "url", "_url", *_CONDITIONS, *map("_{}".format, _CONDITIONS)}
)
_WITH_RESOURCE = frozenset({Code.CREATE, Code.UPDATE, Code.OPERATION})


@dataclass(frozen=True, slots=True)
class Entry:
    """One parsed entry.

    Attributes:
        index: Its place in the Bundle.
        full_url: What other entries call it.
        interaction: What it asks for.
        new_id: What a create will be stored under.
        is_head: The answer has no resource.
        modified_since: `ifModifiedSince` of a read, microseconds since the epoch; None where absent.
        changes: `Type/id` of all that it changes, none for something new.
    """

    index: int
    full_url: str
    interaction: Interaction
    new_id: str = ""
    is_head: bool = False
    modified_since: int | None = None
    changes: tuple[str, ...] = ()


def parse_entry(index: int, raw: Any, bundle: Interaction, context: Context) -> Entry:
    """Return one entry as an interaction.

    Raises:
        FhirError: 400 naming the element of the entry.
    """
    where = f"Bundle.entry[{index}]"
    if isinstance(raw, Mapping):
        _check_members(raw, _ENTRY, where, ("fullUrl",))
    request = raw.get("request") if isinstance(raw, Mapping) else None
    if not isinstance(request, Mapping) or not isinstance(request.get("method"), str):
        raise FhirError(Kind.MALFORMED, "Every entry needs a request with method and url", (f"{where}.request",))
    _check_members(request, _REQUEST, f"{where}.request", _CONDITIONS)
    if request["method"] not in _METHODS:
        allowed = ", ".join(_METHODS)
        raise FhirError(Kind.INVALID_VALUE, f"request.method is one of {allowed}", (f"{where}.request.method",))
    url = request.get("url")
    if not isinstance(url, str):
        raise FhirError(Kind.MALFORMED, "request.url must be a string", (f"{where}.request.url",))
    resource = raw.get("resource")
    if resource is not None and not isinstance(resource, Mapping):
        raise FhirError(Kind.MALFORMED, "resource must be an object", (f"{where}.resource",))
    try:
        interaction = locate_url(
            context.definitions, request["method"], url.removeprefix(context.fhir_base).lstrip("/")
        )
        check_parameters(replace(interaction, handling=bundle.handling))
    except FhirError as error:
        raise located(error, index) from error
    if interaction.code is Code.TRANSACTION or not _may_be_entry(interaction, bundle, context):
        raise FhirError(
            Kind.NOT_SUPPORTED, "This interaction cannot be an entry of this Bundle", (f"{where}.request.url",)
        )
    full_url = raw.get("fullUrl", "")
    if "/_history/" in full_url:
        text = "fullUrl is not that of a version (bdl-8)"
        raise FhirError(Kind.INVALID_VALUE, text, (f"{where}.fullUrl",))
    fhirpath = interaction.code is Code.PATCH and (resource or {}).get("resourceType") == "Parameters"
    if interaction.code is Code.PATCH and not fhirpath:
        interaction = _with_patch(interaction, resource, where)
    return Entry(
        index,
        full_url if isinstance(full_url, str) else "",
        replace(
            interaction,
            resource=resource if interaction.code in _WITH_RESOURCE or fhirpath else None,
            returns=bundle.returns,
            handling=bundle.handling,
            if_match=_versions(request, "ifMatch", where),
            if_none_match=_versions(request, "ifNoneMatch", where),
            if_none_exist=_if_none_exist(request, interaction, where) or interaction.if_none_exist,
        ),
        is_head=request["method"] == "HEAD",
        modified_since=_modified_since(request, where),
    )


def check_bundle(bundle: Mapping[str, Any], definitions: Definitions) -> None:
    """Refuse what a Bundle of requests does not have, and what is around its entries and no FHIR.

    Raises:
        FhirError: MALFORMED (400) naming the member; 422 as for a resource that is stored.
    """
    _check_members(bundle, _BUNDLE, "Bundle", ())
    # A total is for the results of a search (bdl-1), but clients count what they send, and nothing depends on it.
    around = {
        name: value for name, value in bundle.items() if name != "entry" and (name, type(value)) != ("total", int)
    }
    if around.keys() <= {"resourceType", "type"}:
        return
    if isinstance(meta := around.get("meta"), Mapping):
        # What a profile says of a Bundle, it says of all of it.
        around["meta"] = {name: value for name, value in meta.items() if name != "profile"}
        around = {name: value for name, value in around.items() if value != {}}
    validate(definitions, around)


def _check_members(found: Mapping[str, Any], known: frozenset[str], where: str, texts: Sequence[str]) -> None:
    # INVARIANT: nothing is passed over: who misspells ifNoneExist would be told 201, and have the resource twice.
    for name in found:
        if name not in known:
            text = f"{where} has no member {name[:64]!r} that is understood here"
            raise FhirError(Kind.MALFORMED, text, (f"{where}.{name[:64]}",))
    for name in texts:
        if name in found and not (isinstance(found[name], str) and found[name]):
            raise FhirError(Kind.MALFORMED, f"{name} must be text", (f"{where}.{name}",))


def _may_be_entry(interaction: Interaction, bundle: Interaction, context: Context) -> bool:
    """Return whether an operation, if it is one, may be an entry: where it changes nothing, and in a batch.

    Some write what is no part of the record, a limit or a job, in a transaction of their own.
    """
    if interaction.code is not Code.OPERATION:
        return True
    operation = context.operations.get(interaction.operation)
    is_batch = bundle.resource is not None and bundle.resource.get("type") == "batch"
    return is_batch and (operation is None or not operation.writes)


def _with_patch(interaction: Interaction, resource: Mapping[str, Any] | None, where: str) -> Interaction:
    """Return the interaction with the patch that a Binary holds."""
    try:
        binary = resource or {}
        content_type = binary.get("contentType")
        if binary.get("resourceType") != "Binary" or content_type not in {JSON_PATCH, MERGE_PATCH, XML_PATCH}:
            raise ValueError  # noqa: TRY301 - said below, with what is allowed
        raw = b64decode(str(binary["data"]), validate=True)
        if content_type == XML_PATCH:
            return replace(interaction, xml_patch=parse_xml_patch(raw, len(raw)))
        if content_type == MERGE_PATCH:
            return replace(interaction, merge_patch=json.decode(raw, len(raw)))
        return replace(interaction, patch=parse_patch(raw))
    except (KeyError, TypeError, ValueError) as error:
        kinds = f"{JSON_PATCH}, {MERGE_PATCH} or {XML_PATCH}"
        text = f"A PATCH entry needs Parameters (FHIRPath Patch) or a Binary of {kinds} with base64 data"
        raise FhirError(Kind.MALFORMED, text, (f"{where}.resource",)) from error


def _if_none_exist(request: Mapping[str, Any], interaction: Interaction, where: str) -> Query:
    if "ifNoneExist" not in request:
        return ()
    expression = (f"{where}.request.ifNoneExist",)
    if interaction.code is not Code.CREATE:
        raise FhirError(Kind.INVALID_VALUE, "ifNoneExist is for a create", expression)
    return parse_criteria(request["ifNoneExist"], interaction.type, "ifNoneExist", expression)


def _modified_since(request: Mapping[str, Any], where: str) -> int | None:
    """Return `ifModifiedSince` in microseconds since the epoch; like the header it yields to `ifNoneMatch`."""
    text = request.get("ifModifiedSince")
    if text is None or "ifNoneMatch" in request:
        return None
    instant = PRIMITIVES["instant"]
    if not instant.accepts(text):
        expected = f"ifModifiedSince is {instant.rule}"
        raise FhirError(Kind.INVALID_VALUE, expected, (f"{where}.request.ifModifiedSince",))
    return date_interval(text)[0]


def _versions(request: Mapping[str, Any], name: str, where: str) -> tuple[str, ...]:
    return parse_etags(request[name], name, (f"{where}.request.{name}",)) if name in request else ()


def located(error: FhirError, index: int) -> FhirError:
    """Return the same error with its expressions below the entry."""
    where = f"Bundle.entry[{index}]"
    issues = tuple(
        Issue(
            issue.severity,
            issue.code,
            issue.diagnostics,
            tuple(f"{where}.resource.{path.partition('.')[2] or path}" for path in issue.expression) or (where,),
        )
        for issue in error.issues
    )
    return FhirError(error.kind, error.diagnostics, issues=issues)
