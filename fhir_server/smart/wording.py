"""Scopes in plain words, for the person who is asked."""

from __future__ import annotations

import re
from dataclasses import dataclass

from fhir_server.access.scopes import Clinical
from fhir_server.language import either, listed
from fhir_server.smart.narrowing import clinical
from fhir_server.web.language import code as page_language
from fhir_server.web.language import say

IDENTITY = "identity"
LAUNCH = frozenset({"launch", "launch/patient"})
"""Scopes that grant nothing: they say that the app wants to know whose record is open."""
_IDENTITY_SCOPES = ("openid", "fhirUser", "profile")

_NOUNS = {
    "*": "everything in the record",
    "AllergyIntolerance": "allergies",
    "Appointment": "appointments",
    "AuditEvent": "the list of who opened the record",
    "Binary": "files attached to letters",
    "CarePlan": "care plans",
    "CareTeam": "the care team",
    "Condition": "health conditions and diagnoses",
    "Consent": "what is shared and with whom",
    "Device": "medical devices",
    "DiagnosticReport": "test reports",
    "DocumentReference": "letters and documents",
    "Encounter": "visits and hospital stays",
    "FamilyMemberHistory": "family history",
    "Goal": "care goals",
    "Immunization": "vaccinations",
    "Location": "places of care",
    "Medication": "medicines",
    "MedicationDispense": "medicines handed out",
    "MedicationRequest": "prescriptions",
    "MedicationStatement": "medicines taken",
    "Observation": "test results and measurements",
    "Organization": "hospitals, practices and other organisations",
    "Patient": "name, date of birth and contact details",
    "Practitioner": "names of health professionals",
    "PractitionerRole": "roles of health professionals",
    "Procedure": "operations and procedures",
    "Provenance": "where information came from",
    "QuestionnaireResponse": "answers to questionnaires",
    "RelatedPerson": "family and carers",
    "ServiceRequest": "referrals and test orders",
}
_VERBS = (("rs", "see"), ("c", "add to"), ("u", "change"), ("d", "delete"))
_CATEGORIES = {
    "laboratory": "laboratory results",
    "vital-signs": "vital signs such as blood pressure and weight",
    "social-history": "lifestyle, such as smoking",
    "imaging": "scans and X-rays",
    "survey": "answers to health surveys",
    "encounter-diagnosis": "diagnoses made at a visit",
    "problem-list-item": "the problem list",
}
_PREFIXES = {
    "eq": "%(value)s",
    "ne": "other than %(value)s",
    "gt": "above %(value)s",
    "lt": "below %(value)s",
    "ge": "from %(value)s",
    "le": "up to %(value)s",
    "sa": "after %(value)s",
    "eb": "before %(value)s",
    "ap": "about %(value)s",
}
_COMPARED = re.compile(rf"(?P<prefix>{'|'.join(_PREFIXES)})?(?P<number>[\d.][^|]*)(?:\|[^|]*\|(?P<unit>[^|]*))?")


@dataclass(frozen=True, slots=True)
class Item:
    """One thing that an app asks for, to be ticked or not.

    Attributes:
        value: Form value: the scope itself, or `identity`.
        text: What it means.
        hint: More about it, or "".
        writes: The app could change the record with it.
    """

    value: str
    text: str
    hint: str = ""
    writes: bool = False


def items(scope: str) -> tuple[Item, ...]:
    """Return what these scopes mean, in the order to be read: the record first, then who you are, then for how long."""
    asked = scope.split()
    found = [_clinical_item(item, parsed) for item in asked if (parsed := clinical(item)) is not None]
    if any(item in _IDENTITY_SCOPES for item in asked):
        found.append(
            Item(IDENTITY, say("Know who you are"), say("Your identity in this service, to sign you in to the app"))
        )
    if "online_access" in asked:
        hint = say("Until you sign out of this service, at most as long as you may stay signed in")
        found.append(Item("online_access", say("Keep its access while you are signed in here"), hint))
    if "offline_access" in asked:
        hint = say("Until you remove the app under Connected apps, or 90 days after it last asked")
        found.append(Item("offline_access", say("Keep its access when you are not using the app"), hint))
    return tuple(found)


def chosen(scope: str, ticked: frozenset[str]) -> str:
    """Return the scopes that the person left ticked; those of a launch only say whose record, so they stay."""
    return " ".join(item for item in scope.split() if item in LAUNCH or _box(item) in ticked)


def scopes_of(item: Item, scope: str) -> tuple[str, ...]:
    """Return the scopes, of those asked for, that one box stands for."""
    return tuple(each for each in scope.split() if _box(each) == item.value)


def _box(item: str) -> str:
    return IDENTITY if item in _IDENTITY_SCOPES else item


def _clinical_item(item: str, scope: Clinical) -> Item:
    verbs = [say(verb) for rights, verb in _VERBS if set(rights) & set(scope.rights)]
    text = say("%(verbs)s %(what)s") % {"verbs": listed(verbs, page_language()), "what": _noun(scope.type)}
    hints = [_restriction(name, value) for name, value in scope.query]
    if scope.level == "user":
        hints.append(say("In every record that you can open"))
    return Item(item, text[0].upper() + text[1:], ". ".join(hints), bool(set("cud") & set(scope.rights)))


def _noun(resource_type: str) -> str:
    if resource_type in _NOUNS:
        return say(_NOUNS[resource_type])
    spaced = re.sub(r"(?<=[a-z])(?=[A-Z])", " ", resource_type).lower()
    return say("“%(kind)s” entries") % {"kind": spaced}


def _restriction(name: str, value: str) -> str:
    code, _, modifier = name.partition(":")
    shown = [_shown(each) for each in value.split(",")]
    if name == "category":
        kinds = [say(_CATEGORIES[each]) if each in _CATEGORIES else f"“{each}”" for each in shown]
        return say("Only %(kinds)s") % {"kinds": either(kinds, page_language())}
    said = {"element": code, "modifier": modifier, "values": f" {say('or')} ".join(shown)}
    match modifier:
        case "missing":
            absent = say("Only where %(element)s is not recorded")
            return (absent if value == "true" else say("Only where %(element)s is recorded")) % said
        case "not" | "not-in":
            return say("Only where %(element)s is not %(values)s") % said
        case "":
            return say("Only where %(element)s is %(values)s") % said
    return say("Only where %(element)s (%(modifier)s) is %(values)s") % said


def _shown(value: str) -> str:
    """Return a search value as a person reads it: a number with its unit, a date, or a code without its system."""
    if compared := _COMPARED.fullmatch(value):
        amount = f"{compared['number']} {compared['unit'] or ''}".strip()
        return say(_PREFIXES[compared["prefix"] or "eq"]) % {"value": amount}
    system, _, code = value.rpartition("|")
    return code or system
