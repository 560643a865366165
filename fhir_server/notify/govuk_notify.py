"""Hand messages to GOV.UK Notify: its REST API v2, e-mail and text messages.

One template of the service for each channel says `((subject))` and `((body))`, or `((body))`: what people read is
ours, the same by every transport. The message's id is the `reference`. Notify takes a reference twice, so a repeated
try asks first whether the one before arrived.
"""

from __future__ import annotations

import http.client
import re
import ssl
from dataclasses import dataclass, field
from ipaddress import ip_address
from typing import Any, Final
from urllib.parse import parse_qs, urlencode, urlsplit

import orjson
from joserfc import jwt
from joserfc.jwk import OctKey

from fhir_server.notify.delivery import Delivery, UndeliverableError

SCHEMES: Final = ("govuk-notify://", "govuk-notify+http://")
_UUID = r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}"
_KEY = re.compile(rf"(?:.*-)?(?P<service>{_UUID})-(?P<secret>{_UUID})")
_TIMEOUT_S = 20
_MAX_BYTES = 65_536
_CREATED, _OK = 201, 200
_BAD_REQUEST: Final = 400
_FOR_GOOD: Final = "ValidationError"
"""Of receiver or content. A wrong template, key or clock (400, 403) is ours to mend while messages wait, and 429 and
5xx pass."""


@dataclass(frozen=True, slots=True)
class GovukNotifyTransport:
    """Send by GOV.UK Notify.

    Attributes:
        host: Name and port of the API.
        is_plain: Without TLS: this machine only, for tests.
        service_id: Whose key it is.
        secret: What requests are signed with.
        template_id: Of the channel.
    """

    host: str
    is_plain: bool
    service_id: str
    secret: str = field(repr=False)
    template_id: str

    def send(self, delivery: Delivery) -> None:
        """Send one e-mail or, where there is no subject, one text message.

        Raises:
            UndeliverableError: Notify refused receiver or content for good.
            OSError: Another try may succeed: no answer, an error of the service, too many messages today.
        """
        if delivery.is_repeat and self._arrived(delivery):
            return
        channel, to = ("email", "email_address") if delivery.subject else ("sms", "phone_number")
        personalisation = {"body": delivery.body} | ({"subject": delivery.subject} if delivery.subject else {})
        body = {
            to: delivery.to,
            "template_id": self.template_id,
            "personalisation": personalisation,
            "reference": delivery.id,
        }
        status, answer = self._ask(delivery, "POST", f"/v2/notifications/{channel}", orjson.dumps(body))
        errors = answer.get("errors")
        said = {each.get("error") for each in errors if isinstance(each, dict)} if isinstance(errors, list) else set()
        if status == _BAD_REQUEST and said == {_FOR_GOOD}:
            raise UndeliverableError("refused by GOV.UK Notify")
        if status != _CREATED:
            raise OSError(f"GOV.UK Notify answered {status}")

    def _arrived(self, delivery: Delivery) -> bool:
        """Return whether an earlier try of a message reached Notify."""
        status, found = self._ask(delivery, "GET", f"/v2/notifications?{urlencode({'reference': delivery.id})}")
        if status != _OK:
            raise OSError(f"GOV.UK Notify answered {status}")
        return bool(found.get("notifications"))

    def _ask(self, delivery: Delivery, method: str, path: str, body: bytes | None = None) -> tuple[int, dict[str, Any]]:
        claims = {"iss": self.service_id, "iat": int(delivery.sent_at.timestamp())}
        token = jwt.encode({"alg": "HS256", "typ": "JWT"}, claims, OctKey.import_key(self.secret), algorithms=["HS256"])
        headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json", "User-Agent": "fhir-server"}
        connection = self._connection()
        try:
            connection.request(method, path, body, headers)
            answer = connection.getresponse()
            content = answer.read(_MAX_BYTES)
        except http.client.HTTPException as error:
            raise OSError("GOV.UK Notify did not answer") from error
        finally:
            connection.close()
        try:
            found = orjson.loads(content)
        except orjson.JSONDecodeError:
            found = {}
        return answer.status, found if isinstance(found, dict) else {}

    def _connection(self) -> http.client.HTTPConnection:
        if self.is_plain:
            return http.client.HTTPConnection(self.host, timeout=_TIMEOUT_S)
        return http.client.HTTPSConnection(self.host, timeout=_TIMEOUT_S, context=ssl.create_default_context())


def transport(url: str) -> GovukNotifyTransport:
    """Return the transport of `govuk-notify://host?key=…&template=…`.

    Raises:
        ValueError: A part is missing or malformed, or the key would travel in clear to another machine.
    """
    parts = urlsplit(url)
    options = {name: values[-1] for name, values in parse_qs(parts.query).items()}
    key, is_plain = _KEY.fullmatch(options.get("key", "")), parts.scheme.endswith("+http")
    if not parts.hostname or key is None or not re.fullmatch(_UUID, options.get("template", "")):
        raise ValueError("govuk-notify:// needs a host, an API key (key=name-uuid-uuid) and the id of a template")
    if is_plain and not _is_this_machine(parts.hostname):
        raise ValueError("govuk-notify+http:// is for this machine only")
    return GovukNotifyTransport(parts.netloc, is_plain, key["service"], key["secret"], options["template"])


def _is_this_machine(host: str) -> bool:
    try:
        return host == "localhost" or ip_address(host).is_loopback
    except ValueError:
        return False
