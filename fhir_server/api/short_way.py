"""The short way of what a record is asked most: GET of a resource or of a search, by a bearer token.

What Flask does around a view takes longer than the answer. Here the same functions read the request, perform it and say
the answer. Whatever is out of the ordinary goes the whole way (`routes`): from its start where nothing has happened
yet, and with what is known of it where the road has refused.

INVARIANT: decision and audit live in the road, so neither way knows more than the other; what they answer is the same.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from http import HTTPStatus
from typing import TYPE_CHECKING, Protocol

from flask import Flask, Request, g

from fhir_server.access.callers import Outdated
from fhir_server.access.principal import Principal
from fhir_server.api.compression import compressed, is_compressible, is_to_be_compressed
from fhir_server.api.requests import Wishes, read_request
from fhir_server.api.responses import Answer, whole_answer
from fhir_server.api.routes import CORS, blueprint, extension
from fhir_server.interactions.model import Code, Context, Interaction
from fhir_server.interactions.perform import perform
from fhir_server.web import Web
from fhir_server.web.bearer import PAID, remembered
from fhir_server.web.extension import EXTENSION, id_of
from fhir_server.web.security import machine_headers

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

_PREFIX = "/fhir/"
_SCHEME = "bearer "
_PLAIN = frozenset({Code.READ, Code.SEARCH})
_UNUSUAL = ("HTTP_DPOP", "HTTP_TRANSFER_ENCODING")
_STATUS = {status.value: f"{status.value} {status.phrase.upper()}" for status in HTTPStatus}
_VARY = {True: ("Vary", "Accept, Accept-Encoding"), False: ("Vary", "Accept")}


class Note(Protocol):
    """Notes a request that was answered: door, status, seconds, and what its line says beside them."""

    def __call__(self, door: str, status: int, seconds: float, facts: Callable[[], Mapping[str, object]]) -> None:
        """Note one request."""
        ...


@dataclass(frozen=True, slots=True)
class _Asked:
    """A request that is understood, and who it is from."""

    request: Request
    interaction: Interaction
    wishes: Wishes
    presentation: Mapping[str, str]
    principal: Principal
    context: Context
    token: str

    def forget(self) -> None:
        """Look up whose token it is when it comes again."""
        if self.context.callers is not None:
            self.context.callers.forget(self.token)


class ShortWay:
    """A WSGI application that answers plain reads itself and leaves the rest to another."""

    def __init__(self, app: Flask, whole_way: WSGIApplication, note: Note) -> None:
        """Stand before `whole_way`, which is what Flask answers."""
        self._app = app
        self._whole_way = whole_way
        self._note = note

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        """Answer one request."""
        started_s = time.perf_counter()
        asked = self._understood(environ) if _is_plain(environ) else None
        if asked is None:
            return self._whole_way(environ, start_response)
        try:
            outcome = perform(asked.interaction, asked.principal, asked.context)
            made = whole_answer(asked.interaction, asked.wishes, outcome, asked.context.definitions)
            content, headers = self._finished(asked, made)
        except Outdated:
            # Nothing has happened yet, and the whole way remembers nobody.
            asked.forget()
            environ[PAID] = True
            return self._whole_way(environ, start_response)
        except Exception as error:  # noqa: BLE001 - every refusal is said the whole way
            return self._refused(environ, start_response, asked, error, started_s)
        start_response(_STATUS[made.status], headers)
        seconds = time.perf_counter() - started_s
        self._note(blueprint.name, made.status, seconds, partial(_facts, asked))
        return [content]

    def _understood(self, environ: WSGIEnvironment) -> _Asked | None:
        """Return the request with who it is from; None where the whole way has to say what is wrong with it."""
        web: Web = self._app.extensions[EXTENSION]
        here, request = web.base, Request(environ)
        token = environ["HTTP_AUTHORIZATION"][len(_SCHEME) :].strip()
        presentation: dict[str, str] = {}
        try:
            definitions = here.live() if here.live else here.definitions
            interaction, wishes = read_request(
                request,
                definitions,
                environ["PATH_INFO"][len(_PREFIX) :],
                limit_bytes=extension(self._app).body_limit_bytes,
                presentation=presentation,
            )
            if interaction.code not in _PLAIN or wishes.binary:
                return None
            principal = remembered(here, token)
            if web.client_limits is not None and web.client_limits.spend(principal.client_id, here.now(), here.store):
                return None
        except Exception:  # noqa: BLE001 - whatever it is, the whole way meets it again and says so
            return None
        own = replace(
            here,
            request_id=id_of(request, here),
            address=request.remote_addr or "",
            definitions=definitions,
        )
        return _Asked(request, interaction, wishes, presentation, principal, own, token)

    def _finished(self, asked: _Asked, made: Answer) -> tuple[bytes, list[tuple[str, str]]]:
        """Return content and headers as they go out."""
        web: Web = self._app.extensions[EXTENSION]
        content, may_be_compressed = made.content, bool(made.content) and is_compressible(asked.wishes.format.media)
        headers = [*made.headers, *CORS, _VARY[may_be_compressed]]
        headers += machine_headers(asked.context.request_id, is_https=web.is_https)
        if may_be_compressed and is_to_be_compressed(asked.request, content):
            content = compressed(content)
            headers.append(("Content-Encoding", "gzip"))
        if made.status != HTTPStatus.NOT_MODIFIED:
            headers.append(("Content-Length", str(len(content))))
        return content, headers

    def _refused(
        self,
        environ: WSGIEnvironment,
        start_response: StartResponse,
        asked: _Asked,
        error: Exception,
        started_s: float,
    ) -> Iterable[bytes]:
        """Answer what the road has refused as a view that raised it would be answered."""
        app = self._app
        with app.request_context(environ):
            g.started_s, g.bearer, g.context = started_s, asked.principal, asked.context
            g.request_id, g.fhir_presentation = asked.context.request_id, asked.presentation
            response = app.process_response(app.make_response(app.handle_user_exception(error)))
            return response(environ, start_response)


def _is_plain(environ: WSGIEnvironment) -> bool:
    path: str = environ["PATH_INFO"]
    return (
        environ["REQUEST_METHOD"] == "GET"
        and path.startswith(_PREFIX)
        and environ.get("HTTP_AUTHORIZATION", "")[: len(_SCHEME)].lower() == _SCHEME
        and path.isascii()
        # Flask leads to the same path without empty parts.
        and "//" not in path
        and environ.get("CONTENT_LENGTH", "") in {"", "0"}
        and not any(name in environ for name in _UNUSUAL)
    )


def _facts(asked: _Asked) -> dict[str, object]:
    """Return what the log says of a request; never an id of a record."""
    interaction = asked.interaction
    owner = (interaction.compartment[0], "{id}") if interaction.compartment else ()
    parts = (*owner, interaction.type, *(("{id}",) if interaction.id else ()))
    return {
        "method": "GET",
        "route": _PREFIX + "/".join(parts),
        "request_id": asked.context.request_id,
        "client_id": asked.principal.client_id,
    }
