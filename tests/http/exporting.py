"""Bulk exports as a client makes them, with the worker run in between."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlsplit

import orjson
from werkzeug.test import TestResponse

from fhir_server.interactions.model import Context
from fhir_server.operations import export_work
from tests.server import Server

ASYNC = {"Prefer": "respond-async"}
FILE = {"Accept": "application/fhir+ndjson"}


def base(server: Server) -> Context:
    """Return what background jobs work with."""
    found: Context = server.app.extensions["fhir"].base
    return found


def begin(server: Server, token: str, path: str = "$export", **headers: str) -> str:
    """Kick an export off; return its URL."""
    answer = server.call("GET", path, token, headers=ASYNC | headers)
    assert answer.status_code == 202, answer.text
    assert not answer.data
    return str(answer.headers["Content-Location"])


def work(server: Server) -> None:
    """Let a worker list everything there is to list."""
    server.clock.advance(seconds=2)
    while export_work.work(base(server)):
        pass


def fetch(server: Server, token: str, url: str, status: int = 200) -> TestResponse:
    """Fetch a file."""
    answer = server.call("GET", url, token, headers=FILE)
    assert answer.status_code == status, answer.text
    return answer


def files_of(server: Server, token: str, manifest: dict[str, Any]) -> dict[str, bytes]:
    """Return every file of a manifest by its place and name."""
    named = [
        (f"{part} {each['type']}", each["url"]) for part in ("output", "deleted", "error") for each in manifest[part]
    ]
    return {f"{name} {urlsplit(url).path.rpartition('/')[2]}": fetch(server, token, url).data for name, url in named}


def exported(server: Server, token: str, path: str = "$export", **headers: str) -> dict[str, bytes]:
    """Return every file of a whole export, and delete it."""
    url = begin(server, token, path, **headers)
    work(server)
    found = files_of(server, token, server.get(url, token))
    assert server.call("DELETE", url, token).status_code == 202
    return found


def names_of(files: dict[str, bytes]) -> set[str]:
    """Return `Type/id` of every resource of the output; none twice, and each in a file of its type."""
    found = []
    for name, content in files.items():
        part, kind, _ = name.split(" ")
        lines = [orjson.loads(line) for line in content.splitlines()]
        assert {line["resourceType"] for line in lines} == {kind}
        found += [f"{line['resourceType']}/{line['id']}" for line in lines if part == "output"]
    assert len(found) == len(set(found))
    return set(found)
