"""Hospital systems that may launch the portal: the list of them, who is signed in there, and whom it is about.

Takes values, gives values: what the EHR answered is judged here, who may come in is `operations.arriving`'s to say.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import orjson
from nhs_number.validate import is_valid

from fhir_server.identity import guarded_fetch, openid_wire
from fhir_server.identity.accounts import plain_email
from fhir_server.identity.openid import Ehr, OpenIdError, Problem, Provider, private_key
from fhir_server.identity.staff_directory import GMC, USER_ID, is_current

SCOPE = "launch openid fhirUser patient/Patient.r"
SCOPE_AGAIN = "openid fhirUser"
"""For a fresh proof, without a patient."""
CALLBACK = "/launch/callback"
ALGORITHMS = ("RS256", "RS384", "RS512")
_ASSERTION = "RS384"
"""Which every SMART server takes (SMART App Launch 2.2 §5.2)."""
_NHS_NUMBER = "https://fhir.nhs.uk/Id/nhs-number"
_NAME = re.compile(r"[a-z0-9][a-z0-9-]{0,30}")
_ODS_CODE = re.compile(r"[A-Z0-9]{3,12}")
_ID = r"[A-Za-z0-9.\-]{1,64}"
_DATE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
_LONGEST = 100
_MOST = 20
_NEEDED = {"name", "issuer", "client_id", "private_key_file", "organization"}
_KNOWN = _NEEDED | {"emergency_roles"}


@dataclass(frozen=True, slots=True)
class Clinician:
    """Who is signed in at the EHR, as its directory says.

    Attributes:
        identifiers: (system, value) of those that are the same everywhere: SDS user id, GMC number.
        name: A FHIR HumanName with family, given, prefix and text.
        email: Work address, "" where none is known.
        codes: Codings of the role.
        works: Whether the EHR says that they work there now.
    """

    identifiers: tuple[tuple[str, str], ...]
    name: Mapping[str, Any]
    email: str
    codes: tuple[Mapping[str, str], ...]
    works: bool

    @property
    def shown(self) -> str:
        """Return the name as people read it."""
        return str(self.name["text"])


@dataclass(frozen=True, slots=True)
class Launched:
    """Whom the portal was launched for, as the EHR knows them."""

    nhs_number: str
    birth_date: str


def registered(path: Path, base_url: str, *, may_be_local: bool) -> tuple[Provider, ...]:
    """Read the list of hospital systems that may launch the portal.

    Args:
        path: JSON file; paths of keys in it count from its folder.
        base_url: Public root of this server.
        may_be_local: Whether a system may be on this machine, without https.

    Raises:
        ValueError: Naming the entry and what is wrong with it.
    """
    try:
        found = orjson.loads(path.read_bytes())
    except (OSError, orjson.JSONDecodeError) as error:
        raise ValueError(f"{path}: not readable as JSON") from error
    if not isinstance(found, list):
        raise ValueError(f"{path}: must be an array of objects")  # noqa: TRY004 - a mistake in a file, not in a call
    made = tuple(_entry(entry, path, base_url, may_be_local=may_be_local) for entry in found)
    for what in ("name", "issuer"):
        if len({getattr(each, what) for each in made}) != len(made):
            raise ValueError(f"{path}: two systems have the same {what}")
    return made


def clinician_of(claims: Mapping[str, Any], fhir_base: str, access_token: str, now: datetime) -> Clinician:
    """Return who the `fhirUser` of a verified ID token is; asks the EHR for their Practitioner (and PractitionerRole).

    Raises:
        OpenIdError: DECLINED for a user who is no professional; UNTRUSTED where the EHR does not say who it is by an
            SDS user id or GMC number; UNAVAILABLE where it does not answer.
    """
    reference = _reference(claims.get("fhirUser"), fhir_base)
    role: Mapping[str, Any] = {}
    if reference.startswith("PractitionerRole/"):
        role = _read(fhir_base, reference, access_token)
        reference = _reference(role.get("practitioner", {}).get("reference"), fhir_base)
    if not reference.startswith("Practitioner/"):
        raise OpenIdError(Problem.DECLINED, "The user of the EHR is no professional")
    practitioner = _read(fhir_base, reference, access_token)
    identifiers = tuple(
        (str(each["system"]), value)
        for each in _objects(practitioner.get("identifier"))
        if each.get("system") in {USER_ID, GMC} and (value := _text(each.get("value")))
    )
    if not identifiers:
        raise OpenIdError(Problem.UNTRUSTED, "The EHR states neither an SDS user id nor a GMC number")
    codings = [coding for code in _objects(role.get("code")) for coding in _objects(code.get("coding"))]
    works = practitioner.get("active") is not False and role.get("active") is not False and is_current(role, now)
    kept = tuple(
        {key: text for key in ("system", "code", "display") if (text := _text(each.get(key)))} for each in codings
    )
    return Clinician(identifiers, _name(practitioner), _email(claims, practitioner, role), kept[:_MOST], works=works)


def launched_of(tokens: Mapping[str, Any], fhir_base: str, access_token: str) -> Launched | None:
    """Return whom the portal was launched for, None where for nobody, or for somebody without a valid NHS number.

    Raises:
        OpenIdError: UNTRUSTED for a context that is no id; UNAVAILABLE where the EHR does not answer.
    """
    patient_id = tokens.get("patient")
    if patient_id is None:
        return None
    if not isinstance(patient_id, str) or not re.fullmatch(_ID, patient_id):
        raise OpenIdError(Problem.UNTRUSTED, "The patient of the launch is no logical id")
    patient = _read(fhir_base, f"Patient/{patient_id}", access_token)
    numbers = {
        _text(each.get("value")) for each in _objects(patient.get("identifier")) if each.get("system") == _NHS_NUMBER
    }
    born = _text(patient.get("birthDate"))
    if len(numbers) != 1 or not _DATE.fullmatch(born):
        return None
    number = numbers.pop().replace(" ", "")
    return Launched(number, born) if is_valid(number) else None


def _entry(entry: object, path: Path, base_url: str, *, may_be_local: bool) -> Provider:
    if not isinstance(entry, dict) or not _NEEDED <= entry.keys() <= _KNOWN:
        raise ValueError(f"{path}: each system needs {', '.join(sorted(_NEEDED))}; emergency_roles may be there too")
    if not all(isinstance(entry[key], str) and entry[key] for key in _NEEDED) or not _NAME.fullmatch(entry["name"]):
        raise ValueError(f"{path}: the values are texts, and a name is of small letters, digits and hyphens")
    where = f"{path}: {entry['name']}"
    issuer, roles = entry["issuer"], entry.get("emergency_roles", [])
    is_open = issuer.startswith("https://") or may_be_local
    if not guarded_fetch.is_safe(issuer) or not is_open or "?" in issuer or issuer.endswith("/"):
        raise ValueError(f"{where}: issuer must be an https URL without query or / at its end")
    if not _ODS_CODE.fullmatch(entry["organization"]):
        raise ValueError(f"{where}: organization must be an ODS code")
    if not isinstance(roles, list) or not all(isinstance(role, str) and role for role in roles):
        raise ValueError(f"{where}: emergency_roles must be an array of codes")
    return Provider(
        name=f"ehr-{entry['name']}",
        issuer=issuer,
        client_id=entry["client_id"],
        key=private_key(path.parent / entry["private_key_file"]),
        redirect_uri=f"{base_url}{CALLBACK}/{entry['name']}",
        scope=SCOPE,
        algorithms=ALGORITHMS,
        assertion_algorithm=_ASSERTION,
        ehr=Ehr(entry["name"], entry["organization"], frozenset(roles)),
    )


def _reference(found: object, fhir_base: str) -> str:
    """Return `Type/id` of a reference to the EHR's own resource, "" for any other."""
    local = found.removeprefix(f"{fhir_base}/") if isinstance(found, str) else ""
    # INVARIANT: nothing but Type/id below the listed base: the access token is sent there and nowhere else.
    return local if re.fullmatch(rf"(?:Practitioner|PractitionerRole)/{_ID}", local) else ""


def _read(fhir_base: str, reference: str, access_token: str) -> Mapping[str, Any]:
    headers = {"Authorization": f"Bearer {access_token}", "Accept": "application/fhir+json"}
    found = openid_wire.document(f"{fhir_base}/{reference}", headers=headers)
    resource_type, _, logical_id = reference.partition("/")
    if (found.get("resourceType"), found.get("id")) != (resource_type, logical_id):
        raise OpenIdError(Problem.UNTRUSTED, f"The EHR answered with another resource than the {resource_type}")
    return found


def _name(practitioner: Mapping[str, Any]) -> dict[str, Any]:
    names = _objects(practitioner.get("name"))
    first = next((name for name in names if name.get("use") == "official"), names[0] if names else {})
    parts = {
        key: texts
        for key in ("prefix", "given")
        if (texts := [text for each in _list(first.get(key)) if (text := _text(each))])
    }
    family = _text(first.get("family"))
    made = " ".join([*parts.get("prefix", ()), *parts.get("given", ()), family]).strip() or _text(first.get("text"))
    if not made:
        raise OpenIdError(Problem.UNTRUSTED, "The EHR does not state the name of its user")
    return {**parts, **({"family": family} if family else {}), "text": made}


def _email(claims: Mapping[str, Any], *resources: Mapping[str, Any]) -> str:
    telecoms = [each for resource in resources for each in _objects(resource.get("telecom"))]
    listed = [each.get("value") for each in telecoms if each.get("system") == "email" and each.get("use") != "old"]
    for found in (claims.get("email"), *listed):
        if email := plain_email(_text(found)):
            return email
    return ""


def _objects(found: object) -> list[Mapping[str, Any]]:
    return [each for each in _list(found) if isinstance(each, Mapping)]


def _list(found: object) -> list[Any]:
    return found[:_MOST] if isinstance(found, list) else []


def _text(found: object) -> str:
    return found.strip() if isinstance(found, str) and len(found) <= _LONGEST and found.isprintable() else ""
