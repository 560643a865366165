"""Join a searchset Bundle from stored bytes; a resource is parsed only where `_elements` or `_summary` cut it down.

https://hl7.org/fhir/R4/bundle.html#searchset.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Any
from urllib.parse import quote

from fhir_server.search.model import Row, SearchPage, SearchRequest
from fhir_server.search.parse import CURSOR
from fhir_server.search.text import SCORE_ONE
from fhir_server.spec.json import encode
from fhir_server.spec.outcome import operation_outcome

_SAFE = ":/,$*"
_PLAIN = re.compile(r"[\w.~:/,$*-]*", re.ASCII)


def searchset(page: SearchPage, request: SearchRequest, *, fhir_base: str, path: str) -> bytes:
    """Return a searchset Bundle as JSON bytes.

    Args:
        page: What was found.
        request: What was understood; the self link states exactly that.
        fhir_base: Service base URL without trailing slash.
        path: Path below it that was searched, such as `Patient`; "" for the system.
    """
    head: dict[str, Any] = {"resourceType": "Bundle", "type": "searchset"}
    if page.total is not None:
        head["total"] = page.total
    url = f"{fhir_base}/{path}".rstrip("/") if path else fhir_base
    head["link"] = list(_links(page, request, url))
    entries = list(_entries(page, request, fhir_base))
    opened = encode(head)
    if not entries:
        return opened
    return b'%s,"entry":[%s]}' % (opened[:-1], b",".join(entries))


def _links(page: SearchPage, request: SearchRequest, url: str) -> Iterator[dict[str, str]]:
    own = [*request.understood, *([(CURSOR, request.cursor)] if request.cursor else [])]
    yield {"relation": "self", "url": link(url, own)}
    if request.cursor or page.last_cursor:
        yield {"relation": "first", "url": link(url, request.understood)}
    others = (("previous", page.previous_cursor), ("next", page.next_cursor), ("last", page.last_cursor))
    for relation, cursor in others:
        if cursor:
            yield {"relation": relation, "url": link(url, [*request.understood, (CURSOR, cursor)])}


def link(url: str, query: Sequence[tuple[str, str]]) -> str:
    """Return a URL with this query, percent-encoded."""
    pairs = "&".join([f"{_encoded(name)}={_encoded(value)}" for name, value in query])
    return f"{url}?{pairs}" if pairs else url


def _encoded(text: str) -> str:
    # `quote` takes longer to find that there is nothing to do.
    return text if _PLAIN.fullmatch(text) else quote(text, safe=_SAFE, errors="replace")


def _entries(page: SearchPage, request: SearchRequest, fhir_base: str) -> Iterator[bytes]:
    for row in page.matches:
        yield _entry(row, request, fhir_base, "match")
    for row in page.includes:
        yield _entry(row, request, fhir_base, "include")
    if page.outcomes:
        yield b'{"resource":%s,"search":{"mode":"outcome"}}' % encode(operation_outcome(page.outcomes))


def _entry(row: Row, request: SearchRequest, fhir_base: str, mode: str) -> bytes:
    content = row.content
    if request.projection is not None:
        content = request.projection.apply(row.type, content, included=mode == "include")
    full_url = encode(f"{fhir_base}/{row.type}/{row.id}")
    score = b"" if row.score is None else b',"score":%.4f' % (row.score / SCORE_ONE)
    return b'{"fullUrl":%s,"resource":%s,"search":{"mode":"%s"%s}}' % (full_url, content, mode.encode(), score)
