"""Composition root: the only place that knows every layer; makes a WSGI application from `Settings`."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta
from functools import cache, partial
from importlib.metadata import version
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from flask import Flask, request
from werkzeug.middleware.proxy_fix import ProxyFix

from fhir_server import assembly, worker
from fhir_server.admin import install as administration
from fhir_server.admin.extension import Admin
from fhir_server.admin.metrics import Metrics
from fhir_server.admin.observing import Watch, observe
from fhir_server.api import exports
from fhir_server.api import routes as api
from fhir_server.api.short_way import ShortWay
from fhir_server.assembly import audit_signer, configure_logging, make_context
from fhir_server.identity import ages, ehr_launch, news
from fhir_server.identity.agreements import Terms
from fhir_server.identity.client_limits import ClientLimits
from fhir_server.identity.openid import Provider, private_key
from fhir_server.identity.second_proof import Demand
from fhir_server.interactions import own_parameters
from fhir_server.interactions.capability import statement
from fhir_server.interactions.model import Context
from fhir_server.notify.rendering import Letterhead
from fhir_server.notify.transports import transport
from fhir_server.operations import (
    REGISTRY,
    closing_unused,
    end_break_glass,
    export_work,
    inviting_files,
    start_signing,
)
from fhir_server.portal import routes as portal
from fhir_server.settings import Settings, SettingsError, describe, vectors
from fhir_server.settings import load as load_settings
from fhir_server.signin import cis2, nhs_login, relying_party
from fhir_server.signin import routes as signin
from fhir_server.smart import authority, keys, registry
from fhir_server.smart import routes as smart
from fhir_server.smart.brands import Brands
from fhir_server.smart.discovery import oauth_uris
from fhir_server.spec import json
from fhir_server.spec.definitions import Definitions
from fhir_server.store import oauth_codes
from fhir_server.store.checkpoints import Signer, sign_all
from fhir_server.store.condition import waiting_count
from fhir_server.store.database import Store
from fhir_server.store.keys import key_of_reference
from fhir_server.web import SignedIn, Web, install
from fhir_server.web.admission import Admission, Room
from fhir_server.worker import Job, limits_job, messages_job, noted

_MEGABYTE = 1024 * 1024
_TOKENS_KEPT = timedelta(days=30)


def make() -> Flask:
    """Return the application of one worker process, configured by the environment.

    With SQLite it runs the background jobs too, in a thread.
    """
    settings = load_settings(os.environ)
    configure_logging(settings)
    app = create_app(settings)
    if settings.database_url.startswith("sqlite"):
        web: Web = app.extensions["fhir"]
        background = threading.Thread(
            target=worker.run,
            args=(jobs(settings, web.base), threading.Event()),
            kwargs={"clock": time.monotonic},
            name="worker",
            daemon=True,
        )
        background.start()
    assembly.settle_memory()
    return app


def create_app(settings: Settings, *, store: Store | None = None, now: Callable[[], datetime] | None = None) -> Flask:
    """Return the server as a WSGI application.

    Args:
        settings: Validated settings.
        store: An open store, for tests; else the one of `settings.database_url` is opened.
        now: Clock, for tests; else the system's.
    """
    context = make_context(settings, store or Store(settings.database_url), now=now)
    app = Flask("fhir_server", static_folder=None)
    app.config["MAX_CONTENT_LENGTH"] = settings.max_body_mb * _MEGABYTE
    app.config["MAX_FORM_MEMORY_SIZE"] = _MEGABYTE
    app.url_map.strict_slashes = False
    # INVARIANT: what is asked later takes the context from the application, where a test may put another.
    metrics = Metrics(lambda: waiting_count(_context_of(app).store))
    watch = Watch(metrics)
    app.wsgi_app = ShortWay(app, app.wsgi_app, watch.note)  # type: ignore[method-assign]
    if settings.trusted_proxies:
        # INVARIANT: of the header only what our own proxies wrote counts; scheme and host are those of the base URL.
        app.wsgi_app = ProxyFix(app.wsgi_app, x_for=settings.trusted_proxies, x_proto=0, x_host=0)  # type: ignore[method-assign]
    observe(app, watch)
    install(app, _web(settings, context))
    authority.install(
        app,
        Path(settings.key_directory),
        private_hosts=settings.hosts_of_our_own,
        registration=settings.client_registration == "open",
        brands=Brands(
            settings.brand_name, settings.base_url, settings.brand_logo, tuple(settings.brand_organizations.split())
        ),
    )
    relying_party.install(app, providers(settings))
    # Made when first asked for, by whoever serves: it parses the expression of every search parameter.
    capabilities = cache(partial(_capabilities, settings, context.definitions, context.now()))
    app.extensions[api.EXTENSION] = api.Api(
        cache(lambda: json.encode(capabilities())), settings.max_body_mb * _MEGABYTE
    )
    _restate(app, settings)
    for door in (api, exports, smart, signin, portal):
        app.register_blueprint(door.blueprint)
    admin = Admin(version("fhir-server"), capabilities, registry.register_client, metrics)
    administration.install(app, admin, REGISTRY, base_url=settings.base_url)
    turned_away = partial(metrics.observe, "none", 503, 0.0)
    app.wsgi_app = Admission(app.wsgi_app, Room(), turned_away, settings.language)  # type: ignore[method-assign]
    return app


def providers(settings: Settings) -> tuple[Provider, ...]:
    """Return our registrations with other identity providers.

    Raises:
        SettingsError: A private key cannot be read.
    """
    rows = (
        (nhs_login, settings.nhs_login_issuer, settings.nhs_login_client_id, settings.nhs_login_private_key_file),
        (cis2, settings.cis2_issuer, settings.cis2_client_id, settings.cis2_private_key_file),
    )
    vtr = {nhs_login: vectors(settings.nhs_login_vtr)}
    try:
        return tuple(
            Provider(
                name=room.NAME,
                issuer=issuer,
                client_id=client_id,
                key=private_key(Path(key_file)),
                redirect_uri=f"{settings.base_url}{room.CALLBACK}",
                scope=room.SCOPE,
                algorithms=room.ALGORITHMS,
                vtr=vtr.get(room, ()),
            )
            for room, issuer, client_id, key_file in rows
            if issuer
        ) + _hospitals(settings)
    except ValueError as error:
        raise SettingsError(str(error)) from error


def _hospitals(settings: Settings) -> tuple[Provider, ...]:
    """Return the hospital systems that may launch the portal."""
    if not settings.ehr_launch_file:
        return ()
    is_demo = settings.environment == "demo"
    return ehr_launch.registered(Path(settings.ehr_launch_file), settings.base_url, may_be_local=is_demo)


def jobs(settings: Settings, context: Context) -> tuple[Job, ...]:
    """Return the background jobs of this server."""
    host = urlsplit(settings.base_url).hostname or "localhost"
    transports = {
        "email": transport(settings.mail_url, sender_host=host),
        "text": transport(settings.sms_url, sender_host=host),
    }
    letterhead = Letterhead(settings.brand_name, settings.base_url, settings.language)
    signer = audit_signer(settings)
    unused_for = timedelta(days=settings.unused_account_days)
    every = (
        messages_job(context.store, transports, letterhead, context.now),
        limits_job(context.store, context.now),
        Job("emergency-ends", lambda: end_break_glass.record_expired(context), every_s=5.0),
        Job("emergency-checkpoints", lambda: start_signing.sign_starts(context, signer)),
        Job("search-parameters", lambda: own_parameters.index_due(context), every_s=1.0),
        Job("invitation-files", lambda: inviting_files.work(context), every_s=1.0),
        Job("exports", lambda: export_work.work(context)),
        Job("export-upkeep", lambda: export_work.upkeep(context), every_s=5.0),
        Job("unused-accounts", lambda: closing_unused.work(context, unused_for), every_s=3_600.0),
        Job("birthdays", lambda: _tell_of_birthdays(settings, context), every_s=21_600.0),
        Job("record-news", lambda: news.tell_due(context.store, context.now(), context.result_embargo), every_s=10.0),
        Job("enrolment-upkeep", lambda: inviting_files.upkeep(context), every_s=600.0),
        Job("signing-keys", lambda: _rotate_keys(settings, context), every_s=3_600.0),
        Job("oauth-purge", lambda: _purge_tokens(context), every_s=86_400.0),
        Job("audit-checkpoints", _sealing(signer, context), every_s=60.0),
    )
    return tuple(noted(job, context.store, context.now) for job in every)


def _rotate_keys(settings: Settings, context: Context) -> int:
    """Make the next key of ID tokens where one is due; workers that share the folder agree by what is in it."""
    if not settings.signing_key_days:
        return 0
    return keys.rotate(Path(settings.key_directory), context.now(), timedelta(days=settings.signing_key_days))


def _tell_of_birthdays(settings: Settings, context: Context) -> int:
    """Tell parents and children whose sharing ends with a birthday; a message that was sent is not sent again."""
    notice = ages.Notice(settings.child_until_years, timedelta(days=settings.child_notice_days))
    return ages.tell_due(context.store, notice, context.now())


def _purge_tokens(context: Context) -> int:
    """Forget codes and tokens that ended a month ago, of which nobody asks any more."""
    with context.store.write() as session:
        oauth_codes.purge(session, context.now() - _TOKENS_KEPT)
    return 0


def _sealing(signer: Signer, context: Context) -> Callable[[], int]:
    def seal() -> int:
        checkpoint = sign_all(context.store, signer, context.now())
        return checkpoint.size if checkpoint else 0

    return seal


def _web(settings: Settings, context: Context) -> Web:
    return Web(
        base=context,
        base_url=settings.base_url,
        secret_key=settings.secret_key,
        brand_name=settings.brand_name,
        brand_logo=settings.brand_logo,
        session_idle=timedelta(minutes=settings.session_idle_minutes),
        session_max=timedelta(hours=settings.session_max_hours),
        child_until_years=settings.child_until_years,
        terms=Terms(settings.agreement_version, settings.privacy_version),
        language=settings.language,
        second_factor=Demand(settings.demanded_second_factor),
        client_limits=ClientLimits(settings.client_requests_per_minute),
        settings=tuple(
            (row["name"], f"{row['value']} {row['unit']}".strip(), row["source"], row["meaning"])
            for row in describe(settings, os.environ)
        ),
        on_sign_out=(_end_emergencies,),
    )


def _end_emergencies(context: Context, person: SignedIn) -> None:
    end_break_glass.end_of_session(context, key_of_reference(person.principal.subject), person.session_id)


def _context_of(app: Flask) -> Context:
    web: Web = app.extensions["fhir"]
    return web.base


def _restate(app: Flask, settings: Settings) -> None:
    """Make the CapabilityStatement anew when the operator's search parameters have changed since it was made."""
    first: api.Api = app.extensions[api.EXTENSION]
    stated = [_context_of(app).definitions]

    def restate() -> None:
        if not request.path.endswith("/metadata"):
            return
        context = _context_of(app)
        found = context.live() if context.live else context.definitions
        if found is not stated[0]:
            stated[0] = found
            made = json.encode(_capabilities(settings, found, context.now()))
            app.extensions[api.EXTENSION] = replace(first, capabilities=lambda: made, capabilities_xml={})

    app.before_request(restate)


def _capabilities(settings: Settings, definitions: Definitions, at: datetime) -> dict[str, Any]:
    return statement(
        definitions,
        REGISTRY,
        fhir_base=settings.fhir_base,
        software_version=version("fhir-server"),
        security=oauth_uris(settings.base_url),
        deletes_several=settings.conditional_deletes > 1,
        now=at,
    )
