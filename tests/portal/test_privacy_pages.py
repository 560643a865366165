"""A log proved, checked and questioned; a record closed by the privacy office; what an administrator adds and sees."""

from __future__ import annotations

import contextlib
import io
import re
from datetime import UTC, datetime
from pathlib import Path

from fhir_server.store import checkpoints, job_runs
from fhir_server.worker import Job, noted
from tests.portal.conftest import ADMIN, AMELIA, GP, PRIVACY, Person
from tests.server import Server

READ = "/patients/amelia-hart/letters/amelia-hart-letter-16"
NOW = datetime(2026, 11, 22, 9, 0, tzinfo=UTC)


def test_a_log_is_proved_checked_questioned_and_answered(server: Server, tmp_path: Path) -> None:
    amelia, officer = Person(server, AMELIA), Person(server, PRIVACY)
    signer = checkpoints.load_signer(tmp_path, "log.example.org")
    checkpoints.sign_all(server.store, signer, server.clock())
    file = amelia.open("/access-log/proof.json").data
    cases = (
        (file, "Nothing was changed"),
        (file.replace(b"Amelia Hart", b"Amelia Hurt"), "This file does not hold"),
        (b"{}", "This file does not hold"),
        (b"[" * 100_000, "This file does not hold"),
    )
    for content, told in cases:
        sent = {"file": (io.BytesIO(content), "log.json")}
        answer = amelia.send("/access-log/check", sent, page="/access-log/check")
        answer.request.environ["wsgi.input"].close()  # The client leaves the file of a large body open.
        assert told in answer.text, told
    assert amelia.send("/access-log/check", {}, page="/access-log/check").status_code == 400

    page = amelia.get("/access-log")
    link = re.search(r'href="(/access-log/ask/[^"]+)">I do not recognise', page)
    assert link
    asked = amelia.send(link[1], {"text": "I know nobody there"}, page=link[1])
    assert asked.location == "/access-log?done=asked"
    assert amelia.send(link[1], {}, page=link[1]).location == "/access-log?done=known"
    assert "Waiting for an answer" in amelia.get("/access-log")
    task = re.search(r'href="(/privacy/disputes/[^"]+)"', officer.get("/privacy/disputes"))
    assert task
    assert "I know nobody there" in officer.get(task[1])
    assert officer.send(task[1], {"outcome": "appropriate"}, page=task[1]).status_code == 400
    given = {"outcome": "appropriate", "text": "It was your own practice"}
    assert officer.send(task[1], given, page=task[1]).status_code == 303
    told = amelia.get("/access-log")
    assert "It was your own practice" in told
    assert "The access was right" in told
    assert "I know nobody there" not in officer.get("/privacy"), "a question is no emergency"


def test_the_privacy_office_closes_and_opens_a_record(server: Server) -> None:
    amelia, officer, doctor = Person(server, AMELIA), Person(server, PRIVACY), Person(server, GP)
    page = "/privacy/sharing?patient=amelia-hart"
    form = {"patient": "amelia-hart", "step": "disable", "reason": "She rang: somebody knows her password"}
    assert doctor.open(READ).status_code == 200
    assert officer.send("/privacy/sharing", form | {"reason": "no"}, page=page).status_code == 400
    assert officer.send("/privacy/sharing", form, page=page).status_code == 303
    assert "by the privacy office" in officer.get(page)
    assert doctor.open(READ).status_code == 404
    assert "somebody knows her password" in amelia.get("/access-log")
    assert officer.send("/privacy/sharing", form | {"step": "enable"}, page=page).status_code == 303
    assert doctor.open(READ).status_code == 200
    assert officer.send("/privacy/sharing", form | {"patient": "nobody"}, page=page).status_code == 400


def test_an_administrator_adds_an_organisation_once_and_sees_no_secret(server: Server) -> None:
    admin = Person(server, ADMIN)
    path = "/administration/organisations/add"
    form = {"name": "Fernhill Surgery", "code": "zz-987", "type": "prov"}
    assert admin.send(path, form | {"code": "x"}, page=path).status_code == 400
    assert admin.send(path, form, page=path).location == "/administration/organisations?done=yes"
    assert "ZZ987" in admin.get("/administration/organisations?q=Fernhill")
    assert "already" in admin.send(path, form, page=path).text
    shown = admin.get("/administration/settings")
    assert "********" in shown
    assert "not-for-production" not in shown


def test_a_job_is_kept_with_its_failures(server: Server) -> None:
    fails = [True, True, False]

    def run() -> int:
        if fails.pop(0):
            raise OSError
        return 1

    job = noted(Job("probe", run), server.store, lambda: NOW)
    found = []
    for _ in range(3):
        with contextlib.suppress(OSError):
            job.run()
        with server.store.read() as session:
            kept = job_runs.last(session, "probe")
        assert kept is not None
        found.append((kept.failure_count, kept.succeeded_at, kept.detail))
    assert found == [(1, None, "OSError"), (2, None, "OSError"), (0, NOW, "")]
