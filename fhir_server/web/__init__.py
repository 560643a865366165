"""What every front door shares: session, CSRF, security headers, request id, errors in the form of the door.

Takes values, knows no settings. `install(app, Web(...))` in the composition root wires it; front doors ask
`web.context()`, `web.signed_in()` and `web.require(...)`. Nothing below this room ever sees a request.
"""

from __future__ import annotations

from fhir_server.web.browsers import browser_name
from fhir_server.web.errors import page_status, render_error
from fhir_server.web.extension import Web, context, current, request_id
from fhir_server.web.install import install
from fhir_server.web.language import acceptance, say, say_many
from fhir_server.web.security import allow_form_target, csp_nonce, safe_next
from fhir_server.web.session import (
    ACTING_AS,
    WARN_BEFORE,
    SignedIn,
    ask_again,
    end_others,
    end_session,
    glance,
    is_fresh,
    require,
    require_fresh,
    rotate,
    signed_in,
    start_session,
    work_for,
)

__all__ = [
    "ACTING_AS",
    "WARN_BEFORE",
    "SignedIn",
    "Web",
    "acceptance",
    "allow_form_target",
    "ask_again",
    "browser_name",
    "context",
    "csp_nonce",
    "current",
    "end_others",
    "end_session",
    "glance",
    "install",
    "is_fresh",
    "page_status",
    "render_error",
    "request_id",
    "require",
    "require_fresh",
    "rotate",
    "safe_next",
    "say",
    "say_many",
    "signed_in",
    "start_session",
    "work_for",
]
