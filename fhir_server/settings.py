"""Every setting of the server, read from the environment once, validated all at once.

Names are `FHIR_SERVER_` plus the field name in capitals. An unknown `FHIR_SERVER_*` name is an error, and every
mistake is reported together. Only `app` and `cli` import this module; other rooms receive the values they need.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import MISSING, Field, dataclass, field, fields
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from fhir_server.spec.profile_registry import parse_required

PREFIX = "FHIR_SERVER_"
_SHORTEST_SECRET = 32
_ORGANIZATION = re.compile(r"Organization/[A-Za-z0-9.-]{1,64}")
_VECTOR = re.compile(r"P[0-9](\.[A-Z][a-z0-9])+")
DEMO_SECRET = "demo-secret-key-not-for-production"  # noqa: S105 - the demo value that production refuses by name


class SettingsError(Exception):
    """All mistakes in the environment, one per line."""


def _setting(default: Any, meaning: str, *, unit: str = "", secret: bool = False) -> Any:
    return field(default=default, metadata={"meaning": meaning, "unit": unit, "secret": secret})


@dataclass(frozen=True, slots=True)
class Settings:
    """The validated configuration of one server process."""

    database_url: str = _setting(
        "sqlite:///var/fhir.db", "SQLAlchemy URL of the database: sqlite:///… or postgresql+psycopg://…", secret=True
    )
    database_replica_url: str = _setting("", "URL of a read replica; reserved, not used yet", secret=True)
    base_url: str = _setting("http://localhost:8000", "Public root of the server: issuer, links, mail")
    secret_key: str = _setting(
        DEMO_SECRET, "Signs sessions, page cursors and links; at least 32 characters", secret=True
    )
    environment: str = _setting("demo", "`demo` or `production`; production refuses demo secrets, accounts and http")
    mail_url: str = _setting(
        "file://var/outbox",
        "Transport of e-mail: file://folder, smtp://host:port or govuk-notify://host?key=…&template=…",
        secret=True,
    )
    sms_url: str = _setting(
        "file://var/outbox",
        "Transport of text messages: file://folder or govuk-notify://host?key=…&template=…",
        secret=True,
    )
    key_directory: str = _setting("var/keys", "Folder of the server's own signing keys; made at first start")
    signing_key_days: int = _setting(90, "A new key signs ID tokens after this long; 0 makes none", unit="days")
    break_glass_minutes: int = _setting(60, "How long an emergency access lasts", unit="minutes")
    export_hours: int = _setting(24, "How long a complete bulk export can be fetched", unit="hours")
    result_embargo_days: int = _setting(
        0, "A new result is hidden from patient and carers for this long, so that somebody can tell them", unit="days"
    )
    session_idle_minutes: int = _setting(30, "Portal session ends after this long without a request", unit="minutes")
    session_max_hours: int = _setting(12, "Portal session ends after this long in any case", unit="hours")
    child_until_years: int = _setting(16, "What a child shares with a parent ends at this birthday", unit="years")
    agreement_version: str = _setting(
        "2026-11", "Version of the user agreement in force; a new one is asked of everybody before anything else opens"
    )
    privacy_version: str = _setting("2026-11", "Version of the privacy policy in force; asked anew like the agreement")
    language: str = _setting(
        "en", "`en` or `cy`: language of pages and messages for people of whom it is not known which one they want"
    )
    unused_account_days: int = _setting(
        0,
        "An account without a sign-in is closed after this long, a month after a reminder; 0 closes none",
        unit="days",
    )
    child_notice_days: int = _setting(
        30, "So long before that birthday parent and child are told that sharing ends", unit="days"
    )
    second_factor: str = _setting(
        "",
        "Of whom a second proof is demanded at sign-in: `when-set-up` (those who set one up), `staff` (them too) or "
        "`everybody`; empty means when-set-up in the demo and everybody in production",
    )
    nhs_login_issuer: str = _setting("", "Issuer URL of NHS login; empty where people cannot sign in with it")
    nhs_login_client_id: str = _setting("", "Our client id at NHS login")
    nhs_login_private_key_file: str = _setting("", "RSA private key in PEM that we prove to NHS login with")
    nhs_login_vtr: str = _setting(
        '["P9.Cp.Cd","P9.Cp.Ck","P9.Cm"]', "Vectors of trust that a first request asks NHS login for, a JSON array"
    )
    cis2_issuer: str = _setting("", "Issuer URL of NHS CIS2; empty where professionals cannot sign in with it")
    cis2_client_id: str = _setting("", "Our client id at NHS CIS2")
    cis2_private_key_file: str = _setting("", "RSA private key in PEM that we prove to NHS CIS2 with")
    client_registration: str = _setting(
        "closed",
        "`open`: anybody may register an app at /oauth/register, which waits for an administrator; `closed`: nobody",
    )
    client_requests_per_minute: int = _setting(
        0,
        "FHIR and token requests of a client with no limit of its own, in all workers together; 0 sets none",
        unit="per minute",
    )
    private_hosts: str = _setting(
        "", "Hosts whose addresses may be private when clients' keys are fetched there, separated by spaces"
    )
    brand_organizations: str = _setting(
        "", "Organizations that apps show to people as this server's brands: Organization/ID, separated by spaces"
    )
    ehr_launch_file: str = _setting("", "JSON list of the hospital systems that may launch the portal; empty for none")
    required_profiles: str = _setting(
        "", "Profiles that every resource of a type must satisfy: Type=canonical, several separated by spaces"
    )
    trusted_proxies: int = _setting(
        0, "How many proxies of ours pass a request on, each adding to X-Forwarded-For; 0 believes no header"
    )
    max_body_mb: int = _setting(32, "Largest request body accepted", unit="megabytes")
    conditional_deletes: int = _setting(
        1, "How many resources one conditional delete of the operator or a feed may delete; more matches are 412"
    )
    brand_name: str = _setting("Care Information Exchange", "Name shown in the portal and in messages")
    brand_logo: str = _setting("", "URL path of a logo shown in the portal's header; empty shows the name only")
    log_level: str = _setting("INFO", "DEBUG, INFO, WARNING or ERROR")
    log_format: str = _setting("console", "`console` or `json`")

    @property
    def demanded_second_factor(self) -> str:
        """Return of whom a second proof is demanded, the default of the environment included."""
        return self.second_factor or ("when-set-up" if self.environment == "demo" else "everybody")

    @property
    def hosts_of_our_own(self) -> frozenset[str]:
        """Return the hosts that may lead to private addresses; in the demo this machine is one."""
        demo = {"localhost", "127.0.0.1", "::1"} if self.environment == "demo" else set()
        return frozenset({*self.private_hosts.lower().split(), *demo})

    @property
    def fhir_base(self) -> str:
        """Return the FHIR service base URL, without a trailing slash."""
        return f"{self.base_url}/fhir"


def load(environ: Mapping[str, str]) -> Settings:
    """Read and validate the settings.

    Raises:
        SettingsError: With every mistake found, one per line.
    """
    by_name = {PREFIX + item.name.upper(): item for item in fields(Settings)}
    problems = [
        f"{name}: unknown setting" for name in sorted(environ) if name.startswith(PREFIX) and name not in by_name
    ]
    values: dict[str, Any] = {}
    for name, item in by_name.items():
        if name not in environ:
            continue
        try:
            values[item.name] = _parse(item, environ[name])
        except ValueError:
            problems.append(f"{name}: {environ[name]!r} is not a whole number, or too small")
    settings = Settings(**values)
    problems += _check(settings)
    if problems:
        raise SettingsError("\n".join(problems))
    return settings


def _parse(item: Field[Any], text: str) -> Any:
    if item.default is not MISSING and isinstance(item.default, int):
        number = int(text)
        if number < min(1, item.default):
            raise ValueError(text)
        return number
    return text.rstrip("/") if item.name == "base_url" else text


_CHOICES = {
    "log_level": ("DEBUG", "INFO", "WARNING", "ERROR"),
    "log_format": ("console", "json"),
    "language": ("en", "cy"),
    "second_factor": ("", "when-set-up", "staff", "everybody"),
    "client_registration": ("closed", "open"),
}


def _check(settings: Settings) -> list[str]:
    problems = []
    if settings.environment not in {"demo", "production"}:
        problems.append(f"{PREFIX}ENVIRONMENT: must be demo or production")
    if not settings.database_url.startswith(("sqlite:///", "postgresql+psycopg://")):
        problems.append(f"{PREFIX}DATABASE_URL: must start with sqlite:/// or postgresql+psycopg://")
    if urlsplit(settings.base_url).scheme not in {"http", "https"} or not urlsplit(settings.base_url).netloc:
        problems.append(f"{PREFIX}BASE_URL: must be an absolute http or https URL")
    if len(settings.secret_key) < _SHORTEST_SECRET:
        problems.append(f"{PREFIX}SECRET_KEY: at least 32 characters")
    notify = ("govuk-notify://", "govuk-notify+http://")
    if not settings.mail_url.startswith(("file://", "smtp://", *notify)):
        problems.append(f"{PREFIX}MAIL_URL: must start with file://, smtp:// or govuk-notify://")
    if not settings.sms_url.startswith(("file://", *notify)):
        problems.append(f"{PREFIX}SMS_URL: must start with file:// or govuk-notify://")
    for name, allowed in _CHOICES.items():
        if getattr(settings, name) not in allowed:
            named = [each for each in allowed if each]
            problems.append(f"{PREFIX}{name.upper()}: must be {', '.join(named[:-1])} or {named[-1]}")
    problems += _check_providers(settings)
    if not all(_ORGANIZATION.fullmatch(item) for item in settings.brand_organizations.split()):
        problems.append(f"{PREFIX}BRAND_ORGANIZATIONS: each must be like Organization/x")
    try:
        parse_required(settings.required_profiles)
    except ValueError as error:
        problems.append(f"{PREFIX}REQUIRED_PROFILES: {str(error)!r} is not Type=canonical")
    return problems + (_check_production(settings) if settings.environment == "production" else [])


def _check_production(settings: Settings) -> list[str]:
    problems = []
    if settings.secret_key == DEMO_SECRET:
        problems.append(f"{PREFIX}SECRET_KEY: production needs a random secret of its own")
    if not settings.base_url.startswith("https://"):
        problems.append(f"{PREFIX}BASE_URL: production needs https")
    return problems


def _check_providers(settings: Settings) -> list[str]:
    problems = []
    for name in ("nhs_login", "cis2"):
        issuer, *others = (getattr(settings, f"{name}_{part}") for part in ("issuer", "client_id", "private_key_file"))
        prefix = PREFIX + name.upper()
        if issuer and not all(others):
            problems.append(f"{prefix}_ISSUER: needs {prefix}_CLIENT_ID and {prefix}_PRIVATE_KEY_FILE too")
        if others[-1] and not Path(others[-1]).is_file():
            problems.append(f"{prefix}_PRIVATE_KEY_FILE: there is no such file")
        if not issuer and any(others):
            problems.append(f"{prefix}_ISSUER: missing, though other settings of {prefix} are there")
        parts = urlsplit(issuer)
        is_plain = parts.scheme == "http" and parts.hostname in {"localhost", "127.0.0.1", "::1"}
        is_demo = settings.environment == "demo"
        if issuer and (parts.query or parts.fragment or not (parts.scheme == "https" or (is_plain and is_demo))):
            problems.append(
                f"{prefix}_ISSUER: must be an https URL without query; plain http only for a demo's own machine"
            )
    if settings.ehr_launch_file and not Path(settings.ehr_launch_file).is_file():
        problems.append(f"{PREFIX}EHR_LAUNCH_FILE: there is no such file")
    if not vectors(settings.nhs_login_vtr):
        problems.append(f'{PREFIX}NHS_LOGIN_VTR: must be a JSON array such as ["P9.Cp.Cd"]')
    return problems


def vectors(text: str) -> tuple[str, ...]:
    """Return the vectors of trust of a JSON array of strings, none where it is something else."""
    try:
        found = json.loads(text)
    except ValueError:
        return ()
    is_list = isinstance(found, list) and all(isinstance(item, str) and _VECTOR.fullmatch(item) for item in found)
    return tuple(found) if is_list else ()


def describe(settings: Settings, environ: Mapping[str, str]) -> list[dict[str, str]]:
    """Return name, value (secrets masked), unit, source and meaning of every setting."""
    rows = []
    for item in fields(Settings):
        name = PREFIX + item.name.upper()
        value = str(getattr(settings, item.name))
        rows.append(
            {
                "name": name,
                "value": "********" if item.metadata["secret"] and value else value,
                "unit": item.metadata["unit"],
                "source": "environment" if name in environ else "default",
                "meaning": item.metadata["meaning"],
            }
        )
    return rows


def outbox_folder(url: str) -> Path:
    """Return the folder of a `file://` transport URL."""
    return Path(url.removeprefix("file://"))
