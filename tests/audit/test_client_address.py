"""Whose address an AuditEvent names: that of who called, or of whom as many proxies as are trusted say so."""

from pathlib import Path

import pytest

from tests.consent.world import fill
from tests.databases import Databases
from tests.server import build

_SEEN = "127.0.0.1"


@pytest.mark.parametrize(
    "proxies, forwarded, named",
    [
        (0, "192.0.2.1", _SEEN),
        (1, "192.0.2.1", "192.0.2.1"),
        (1, "198.51.100.66, 192.0.2.1", "192.0.2.1"),
        (2, "198.51.100.66, 192.0.2.1, 10.0.0.1", "192.0.2.1"),
        (2, "192.0.2.1", _SEEN),
        (1, "", _SEEN),
    ],
)
def test_of_forwarded_addresses_only_what_trusted_proxies_added_counts(
    databases: Databases, tmp_path: Path, proxies: int, forwarded: str, named: str
) -> None:
    server = build(databases.prepared("small-world", fill), tmp_path, trusted_proxies=proxies)
    ann = server.token("Patient/ann")
    headers = {"X-Forwarded-For": forwarded, "X-Forwarded-Proto": "gopher", "X-Forwarded-Host": "elsewhere.example"}
    answer = server.call("GET", "Patient/ann", ann, headers=headers if forwarded else {})
    assert answer.status_code == 200
    (event,) = (entry["resource"] for entry in server.get("AuditEvent?patient=ann&_count=1", ann)["entry"])
    addresses = {agent["network"]["address"] for agent in event["agent"] if agent.get("network", {}).get("type") == "2"}
    assert addresses == {named}
    assert "elsewhere.example" not in str(event)
    server.close()
