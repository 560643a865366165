"""What every process of the server puts together from `Settings`: logging, context, definitions, keys. No front door.

Commands start in a fraction of the time because they take this and not `app`.
"""

from __future__ import annotations

import gc
import hashlib
import json
import uuid
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from fhir_server import logs
from fhir_server.access.callers import Callers
from fhir_server.interactions.model import Context
from fhir_server.interactions.own_parameters import Current
from fhir_server.operations import BY_CODE
from fhir_server.settings import PREFIX, Settings, SettingsError
from fhir_server.spec.definitions import Definitions, load
from fhir_server.spec.profile_registry import parse_required
from fhir_server.store.checkpoints import Signer, load_signer
from fhir_server.store.database import Store
from fhir_server.store.recorder import Recorder

_PROFILES = (Path(__file__).parent / "profiles", Path(__file__).parent.parent / "profiles")


def configure_logging(settings: Settings) -> None:
    """Let this process log as the settings say."""
    # What an exception says may quote a record; only invented ones may be quoted.
    invented = settings.environment == "demo" and settings.log_level == "DEBUG"
    logs.configure(settings.log_level, settings.log_format, messages=invented)


def make_context(settings: Settings, store: Store, *, now: Callable[[], datetime] | None = None) -> Context:
    """Return everything impure that requests use, as one value."""
    known = _required(settings)
    return Context(
        store=store,
        definitions=known,
        now=now or (lambda: datetime.now(UTC)),
        new_id=lambda: str(uuid.uuid4()),
        fhir_base=settings.fhir_base,
        break_glass_minutes=settings.break_glass_minutes,
        export_hours=settings.export_hours,
        result_embargo=timedelta(days=settings.result_embargo_days),
        conditional_deletes=settings.conditional_deletes,
        page_key=hashlib.blake2b(b"page cursor", key=settings.secret_key.encode()[:64], digest_size=32).digest(),
        operations=BY_CODE,
        recorder=Recorder(store),
        callers=Callers(store),
        live=Current(known, store),
    )


def settle_memory() -> None:
    """Keep the collector from looking again and again at what a process that serves has made to stay."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 20, 20)


@cache
def definitions() -> Definitions:
    """Return the R4 definitions with the search parameters and profiles of our own `profiles/`; read once a process."""
    kinds: dict[str, list[Mapping[str, Any]]] = {"SearchParameter": [], "StructureDefinition": []}
    for item in own_resources():
        kinds.get(str(item.get("resourceType")), []).append(item)
    found = load(extra=kinds["SearchParameter"])
    return replace(found, profiles=found.profiles.adding(kinds["StructureDefinition"]))


def _required(settings: Settings) -> Definitions:
    """Return the definitions with the profiles that the settings require.

    Raises:
        SettingsError: One is required of what is no resource type.
    """
    known, required = definitions(), parse_required(settings.required_profiles)
    if unknown := required.keys() - known.resource_types:
        raise SettingsError(f"{PREFIX}REQUIRED_PROFILES: {', '.join(sorted(unknown))}: no resource type of FHIR R4")
    return replace(known, profiles=known.profiles.requiring(required)) if required else known


def own_resources() -> Iterator[Mapping[str, Any]]:
    """Yield the conformance resources of `profiles/`: in the package when installed, in the checkout otherwise."""
    folder = next((path for path in _PROFILES if path.is_dir()), None)
    for path in sorted(folder.glob("*.json")) if folder else ():
        yield json.loads(path.read_text(encoding="utf-8"))


def audit_signer(settings: Settings) -> Signer:
    """Return the key and name that checkpoints of the audit log are signed with.

    Raises:
        ValueError: The key file holds no Ed25519 key.
    """
    return load_signer(Path(settings.key_directory), f"{urlsplit(settings.base_url).netloc}/audit")
