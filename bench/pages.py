"""`python -m bench pages`: how long the server takes to make each page of a patient with five years of data.

One server process on SQLite and the demo's first patient, whose record grows by 60 letters, 120 appointments and
1,200 Observations.
Milliseconds over HTTP, CPU of the server for each page, and what it weighs without its style sheets and scripts.
"""

import argparse
import base64
import json
import random
import re
import statistics
import time
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx

from bench import data
from bench.system import Record, System, run, running

COLUMNS = ("page", "p50_ms", "p95_ms", "server_cpu_ms", "kB")
PATIENT, PROFESSIONAL = "amelia.hart@example.org", "helen.ashworth@example.org"
_ID = "amelia-hart"
_RECORD = ("", "/appointments", "/letters", "/letters/bench-letter-1", "/results", "/results/4548-4", "/measurements")
PAGES = {
    PATIENT: ("/", *(f"/record{path}" for path in _RECORD), "/record/notes", "/record/download", "/sharing",
              "/sharing/with/Practitioner/priya-raman", "/access-log", "/apps", "/account"),
    PROFESSIONAL: ("/patients", *(f"/patients/{_ID}{path}" for path in _RECORD), f"/patients/{_ID}/add/letter"),
}  # fmt: skip
_LABEL = {
    "security": [{"system": "https://fhir-server.example.org/CodeSystem/privacy-label", "code": "general"}],
}
_TRUST = {"display": "Bench Trust"}
_TOKEN = re.compile(r'name="csrf_token" value="([^"]+)"')


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure pages and print a table."""
    parser = argparse.ArgumentParser(prog="fhir-server bench pages", description=main.__doc__, allow_abbrev=False)
    parser.add_argument("only", nargs="*", help="addresses, such as /record/letters; all by default")
    parser.add_argument("--times", type=int, default=20, help="each page is asked for so often")
    parser.add_argument("--folder", type=Path, default=Path("var/bench"), help="keeps the record between runs")
    options = parser.parse_args(arguments)
    print(f"| {' | '.join(COLUMNS)} |\n|{'---|' * len(COLUMNS)}")
    with running(options.folder, "sqlite", Record("pages", _fill), workers=1) as system:
        accounts = json.loads((options.folder / "accounts.json").read_text())["accounts"]
        passwords = {account["email"]: account["password"] for account in accounts}
        for email, paths in PAGES.items():
            with httpx.Client(base_url=f"http://127.0.0.1:{system.port}", timeout=60) as browser:
                _sign_in(browser, email, passwords[email])
                for path in paths:
                    if not options.only or path in options.only:
                        row = _measured(system, browser, path, options.times)
                        print(f"| {' | '.join(row)} |", flush=True)


def _measured(system: System, browser: httpx.Client, path: str, times: int) -> tuple[str, str, str, str, str]:
    answer = browser.get(path)
    if not answer.is_success:
        return path, "–", "–", str(answer.status_code), "–"
    taken = []
    cpu_before_s, _ = system.cpu_s()
    for _ in range(times):
        started = time.perf_counter()
        browser.get(path)
        taken.append(1000 * (time.perf_counter() - started))
    cpu_ms = 1000 * (system.cpu_s()[0] - cpu_before_s) / times
    p95 = statistics.quantiles(taken, n=20)[-1] if times > 1 else taken[0]
    return path, f"{statistics.median(taken):.0f}", f"{p95:.0f}", f"{cpu_ms:.0f}", f"{len(answer.content) / 1000:.0f}"


def _sign_in(browser: httpx.Client, email: str, password: str) -> None:
    found = _TOKEN.search(browser.get("/sign-in").text)
    form = {"email": email, "password": password, "csrf_token": found[1] if found else ""}
    answer = browser.post("/sign-in", data=form)
    if answer.status_code != httpx.codes.SEE_OTHER:
        msg = f"{email} cannot sign in: {answer.status_code}"
        raise RuntimeError(msg)


def _fill(folder: Path, environment: dict[str, str]) -> None:
    (folder / "accounts.json").write_text(run(environment, "seed", "--json"))
    path = folder / "pages.ndjson"
    with path.open("w") as file:
        file.writelines(json.dumps(each) + "\n" for each in _five_years())
    summary = json.loads(run(environment, "load", str(path), "--json"))
    if summary["refused"]:
        msg = f"the record was refused: {summary}"
        raise RuntimeError(msg)


def _five_years() -> Iterator[dict[str, Any]]:
    """Yield what five years add to the record, the same at each call but for the days."""
    chance = random.Random(3)
    patient = {"reference": f"Patient/{_ID}"}
    now = datetime.now(UTC)
    for number in range(1_200):
        at = now - timedelta(days=5 * 365 * number / 1_200)
        more = {"subject": patient, "effectiveDateTime": at.isoformat(timespec="seconds")}
        yield {"id": f"bench-observation-{number}", "meta": _LABEL, **data.observation(0, chance), **more}
    for number in range(60):
        at = now - timedelta(days=30 * number)
        text = base64.b64encode(f"Letter {number}. {'All is well. ' * 100}".encode()).decode()
        yield {
            "resourceType": "DocumentReference",
            "id": f"bench-letter-{number}",
            "meta": _LABEL,
            "status": "current",
            "subject": patient,
            "date": at.isoformat(timespec="seconds"),
            "description": f"Letter {number}",
            "author": [_TRUST],
            "content": [{"attachment": {"contentType": "text/plain", "data": text}}],
        }
    for number in range(120):
        at = now - timedelta(days=15 * number - 30)
        yield {
            "resourceType": "Appointment",
            "id": f"bench-appointment-{number}",
            "meta": _LABEL,
            "status": "booked",
            "description": f"Visit {number}",
            "start": at.isoformat(timespec="seconds"),
            "end": (at + timedelta(minutes=20)).isoformat(timespec="seconds"),
            "participant": [{"actor": patient, "status": "accepted"}],
        }


if __name__ == "__main__":
    main()
