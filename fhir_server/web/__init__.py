"""What every front door shares: session, CSRF, security headers, request id, errors in the form of the door.

Takes values, knows no settings. `install(app, Web(...))` in the composition root wires it; front doors ask
`web.context()`, `web.signed_in()` and `web.require(...)`. Nothing below this room ever sees a request.
"""

from __future__ import annotations

from fhir_server.web.errors import render_error
from fhir_server.web.extension import Web, context, current, request_id
from fhir_server.web.install import install
from fhir_server.web.security import allow_form_target, csp_nonce, safe_next
from fhir_server.web.session import SignedIn, end_session, require, rotate, signed_in, start_session

__all__ = [
    "SignedIn",
    "Web",
    "allow_form_target",
    "context",
    "csp_nonce",
    "current",
    "end_session",
    "install",
    "render_error",
    "request_id",
    "require",
    "rotate",
    "safe_next",
    "signed_in",
    "start_session",
]
