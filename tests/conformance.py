"""Write docs/conformance.md: what a real server of this checkout passes, fails and does not support.

Run by `make conformance`; needs the shared cases and bundles beside the checkout.
"""

import http.client
import json
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from tests.http.bundles import FOLDER, SHARED, comparable, difference, note, parsed
from tests.http.live import LiveServer, operator_token, send
from tests.server import create_schema

TARGET = Path(__file__).resolve().parents[1] / "docs" / "conformance.md"


class Probe(NamedTuple):
    """One feature of the specification and a request that only a server that supports it answers with success."""

    feature: str
    path: str
    method: str = "GET"
    accept: str = "application/fhir+json"
    body: Mapping[str, Any] | str | None = None
    sent_type: str = "application/fhir+json"
    prefer: str = ""


_MATCH = {
    "resourceType": "Parameters",
    "parameter": [
        {
            "name": "resource",
            "resource": {"resourceType": "Patient", "name": [{"family": "a"}], "birthDate": "1980-01-01"},
        }
    ],
}
_XML_PATCH = '<diff><replace sel="Patient/id/@value">probe</replace></diff>'
_PATCH = {
    "resourceType": "Parameters",
    "parameter": [
        {
            "name": "operation",
            "part": [{"name": "type", "valueCode": "delete"}, {"name": "path", "valueString": "Patient.birthDate"}],
        }
    ],
}
_PROBES = (
    Probe("read, search, create, update, delete, JSON Patch, history of an instance", "Patient?_count=1"),
    Probe("XML", "Patient?_count=1", accept="application/fhir+xml"),
    Probe("history of a type", "Patient/_history"),
    Probe("history of the system", "_history"),
    Probe("search of the whole system", "?_type=Patient,Observation&_count=1"),
    Probe("compartment search", "Patient/probe/Observation"),
    Probe("search by POST", "Patient/_search", "POST", sent_type="application/x-www-form-urlencoded"),
    Probe("chained search", "Observation?subject:Patient.name=a"),
    Probe("reverse chained search (`_has`)", "Patient?_has:Observation:subject:code=a"),
    Probe("`_include`", "Observation?_include=Observation:subject&_count=1"),
    Probe("`_revinclude`", "Patient?_revinclude=Observation:subject&_count=1"),
    Probe("`_include:iterate`", "Observation?_include:iterate=Observation:subject&_count=1"),
    Probe("`_summary`", "Patient?_summary=true&_count=1"),
    Probe("`_elements`", "Patient?_elements=name&_count=1"),
    Probe("`_total=accurate`", "Patient?_total=accurate&_count=1"),
    Probe("`_filter`", "Patient?_filter=name eq a"),
    Probe("`_query`", "Patient?_query=a"),
    Probe("`_list`", "Patient?_list=a"),
    Probe("`_text`", "Patient?_text=a"),
    Probe("`_content`", "Patient?_content=a"),
    Probe("`_sort=_score`", "Patient?_content=a&_sort=_score"),
    Probe("`_contained`, `_containedType`", "Patient?_contained=true&_containedType=contained"),
    Probe("`_tag`, `_security`, `_profile`, `_source`", "Patient?_tag=a&_security=a&_profile=a&_source=a"),
    Probe("`:missing`", "Patient?name:missing=true"),
    Probe("`:exact`, `:contains`", "Patient?name:exact=a&family:contains=a"),
    Probe("`:not`, `:text`, `:of-type`", "Observation?code:not=a&code:text=a"),
    Probe("`:identifier`", "Observation?subject:identifier=a"),
    Probe("`:in`", "Observation?category:in=http://hl7.org/fhir/ValueSet/observation-category"),
    Probe("`:not-in`", "Observation?category:not-in=http://hl7.org/fhir/ValueSet/observation-category"),
    Probe("`:above` of a token", "Encounter?class:above=http://terminology.hl7.org/CodeSystem/v3-ActCode|AMB"),
    Probe("`:below` of a token", "Encounter?class:below=http://terminology.hl7.org/CodeSystem/v3-ActCode|AMB"),
    Probe("`:below` of a URI", "ValueSet?url:below=http://example.org"),
    Probe("composite parameters", "Observation?code-value-quantity=a$1"),
    Probe("`near`", "Location?near=51.5|-0.1|5|km"),
    Probe("FHIRPath Patch", "Patient/probe", "PATCH", body=_PATCH),
    Probe(
        "JSON Merge Patch", "Patient/probe", "PATCH", body='{"active":true}', sent_type="application/merge-patch+json"
    ),
    Probe("TerminologyCapabilities", "metadata?mode=terminology"),
    Probe("XML Patch", "Patient/probe", "PATCH", body=_XML_PATCH, sent_type="application/xml-patch+xml"),
    Probe("`$everything`", "Patient/probe/$everything"),
    Probe("bulk `$export`", "$export?_type=Patient", prefer="respond-async"),
    Probe("`$validate`", "Patient/$validate", "POST", body={"resourceType": "Patient"}),
    Probe("`$meta`", "Patient/probe/$meta"),
    Probe("`$expand`", "ValueSet/$expand?url=http://hl7.org/fhir/ValueSet/administrative-gender"),
    Probe("`$validate-code`", "CodeSystem/$validate-code?url=http://hl7.org/fhir/administrative-gender&code=male"),
    Probe("`$lastn`", "Observation/$lastn?patient=probe"),
    Probe("`$match`", "Patient/$match", "POST", body=_MATCH),
    Probe("`$graphql`", '$graphql?query={Patient(id:"probe"){id}}'),
)
_BY_HAND = (
    "Subscriptions: the resource is stored, nothing is notified.",
    "Terminology: that of FHIR itself and of stored CodeSystem and ValueSet resources.",
    "Operations cannot be entries of a transaction, nor those that change the record of a batch.",
    "Profiles held to: ours and an administrator's, where a resource claims one or the settings require it.",
    "`$dispute-access` and `$access-disputes` are a patient's own.",
    "`$answer-dispute`, `$disable-sharing`, `$enable-sharing`, `$close-emergency-review` are a privacy officer's.",
    "A history says POST of every first version and PUT of every later one, also where an update made the first.",
    "`Prefer: respond-async` is for `$export`; all other answers are immediate.",
    "A conditional delete is 412 for several matches, unless `FHIR_SERVER_CONDITIONAL_DELETES` allows as many.",
    "U+FFFE and U+FFFF, which no XML document may hold, are kept in JSON and shown as U+FFFD in XML.",
)


def main() -> None:
    """Start a server, try everything, write the page."""
    if not SHARED.exists():
        sys.exit("The shared cases and data are not beside this checkout.")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        url = f"sqlite:///{folder}/record.db"
        create_schema(url)
        token = operator_token(url)
        server = LiveServer(url, folder)
        try:
            sections = [
                *_cases(server, token, folder),
                *_bundles(server, token),
                *_statement(server),
                *_probes(server, token),
            ]
        finally:
            server.stop()
    TARGET.write_text("\n".join([_HEAD, *sections]) + "\n", encoding="utf-8")


_HEAD = """# Conformance

Written by `make conformance` from a real server on SQLite; do not edit. Tests hold both databases to the same cases.
"""


def _cases(server: LiveServer, token: str, folder: Path) -> Iterator[str]:
    yield "## Shared cases\n\n| cases | firm | passed | uncertain | as described |\n|---|---|---|---|---|"
    failed: list[str] = []
    for kind in ("rest", "search"):
        report = folder / f"{kind}.json"
        script = SHARED / "cases" / "run_cases.py"
        base = f"http://127.0.0.1:{server.port}/fhir"
        command = [sys.executable, str(script), kind, base, "--token", token, "--out", str(report)]
        subprocess.run(command, check=True, capture_output=True)
        results = json.loads(report.read_text())
        firm = [each for each in results if not each["uncertain"]]
        unsure = [each for each in results if each["uncertain"]]
        passed, described = (sum(each["ok"] for each in group) for group in (firm, unsure))
        yield f"| {kind} | {len(firm)} | {passed} | {len(unsure)} | {described} |"
        failed += [f"* {kind} `{each['id']}`: {'; '.join(each['fails'])}" for each in results if not each["ok"]]
    yield "\n" + ("\n".join(["Not passed:", "", *failed]) if failed else "None fails.") + "\n"


def _bundles(server: LiveServer, token: str) -> Iterator[str]:
    connection = server.connection()
    sent: dict[str, dict[str, Any]] = {}
    paths = sorted(FOLDER.glob("*.json"))
    refused = []
    headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/fhir+json"}
    for path in paths:
        connection.request("POST", "/fhir/", path.read_bytes(), headers)
        answer = connection.getresponse()
        raw = answer.read()
        if answer.status == http.client.OK:
            note(parsed(path.read_bytes()), parsed(raw), sent)
        else:
            refused.append(f"* `{path.name}`: {answer.status}")
    differing = []
    for name, resource in sent.items():
        connection.request("GET", f"/fhir/{name}", headers=headers)
        found = parsed(connection.getresponse().read())
        if where := difference(comparable(found), comparable(resource), name.partition("/")[0]):
            differing.append(f"* {where}")
    connection.close()
    counts = Counter(name.partition("/")[0] for name in sent)
    yield "## Synthea bundles\n"
    yield f"{len(paths) - len(refused)} of {len(paths)} bundles are accepted as transactions; of {len(sent)} resources"
    yield f"{len(sent) - len(differing)} come back as they were sent but for `meta`, `id` and rewritten references:"
    yield ", ".join(f"{kind} {count}" for kind, count in counts.most_common()) + ".\n"
    yield from (*refused, *differing[:50])


def _statement(server: LiveServer) -> Iterator[str]:
    connection = server.connection()
    _, capabilities = send(connection, "GET", "metadata", "")
    connection.close()
    rest = capabilities["rest"][0]
    parameters = sum(len(resource.get("searchParam", ())) for resource in rest["resource"])
    shapes = Counter(
        ", ".join(sorted(each["code"] for each in resource["interaction"])) for resource in rest["resource"]
    )
    operations = sorted({f"${each['name']}" for resource in rest["resource"] for each in resource.get("operation", ())})
    yield "## CapabilityStatement\n"
    yield f"* {len(rest['resource'])} resource types, {parameters} search parameters"
    yield from (f"* {count} types: {interactions}" for interactions, count in shapes.most_common())
    yield f"* system: {', '.join(each['code'] for each in rest['interaction'])}"
    yield f"* formats: {', '.join(capabilities['format'])}; patches: {', '.join(capabilities['patchFormat'])}"
    yield f"* operations: {', '.join(operations)}\n"


def _probes(server: LiveServer, token: str) -> Iterator[str]:
    connection = server.connection()
    send(
        connection, "PUT", "Patient/probe", token, {"resourceType": "Patient", "id": "probe", "name": [{"family": "a"}]}
    )
    yield "## Features of the specification\n\nEach was asked of the server; a refusal is quoted.\n"
    yield "| feature | supported | |\n|---|---|---|"
    for probe in _PROBES:
        status, said = _ask(connection, probe, token)
        supported = "yes" if status < http.client.BAD_REQUEST else "no"
        yield f"| {probe.feature} | {supported} | {'' if supported == 'yes' else f'{status}: {said}'} |"
    connection.close()
    yield "\nWhat no request shows:\n"
    yield from (f"* {sentence}" for sentence in _BY_HAND)


def _ask(connection: http.client.HTTPConnection, probe: Probe, token: str) -> tuple[int, str]:
    headers = {"Authorization": f"Bearer {token}", "Accept": probe.accept, "Prefer": probe.prefer}
    body = None
    if probe.method != "GET":
        headers["Content-Type"] = probe.sent_type
        body = probe.body if isinstance(probe.body, str) else json.dumps(probe.body) if probe.body else "name=a"
    path = (
        probe.path.replace(" ", "%20").replace("|", "%7C").replace('"', "%22").replace("{", "%7B").replace("}", "%7D")
    )
    connection.request(probe.method, f"/fhir/{path}", body, headers)
    answer = connection.getresponse()
    raw = answer.read()
    if answer.status < http.client.BAD_REQUEST:
        return answer.status, ""
    issues = json.loads(raw).get("issue", [{}]) if raw.startswith(b"{") else [{}]
    said = str(issues[0].get("diagnostics", "")).replace("|", "\\|").replace("\n", " ")
    return answer.status, said.partition(". Supported")[0][:160]


if __name__ == "__main__":
    main()
