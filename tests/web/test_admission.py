"""What a saturated process does: some requests run, some wait, the rest is refused at once."""

import threading
from collections.abc import Iterable
from typing import Any

from werkzeug.test import Client, TestResponse

from fhir_server.web.admission import Admission, Room


class Slow:
    """An application whose requests run until they are let go."""

    def __init__(self) -> None:
        self.running = threading.Semaphore(0)
        self.go = threading.Event()

    def __call__(self, _environ: Any, start_response: Any) -> Iterable[bytes]:
        self.running.release()
        assert self.go.wait(20)
        start_response("200 OK", [])
        return [b"done"]


def test_what_is_too_much_is_refused_and_the_rest_answered_in_the_end() -> None:
    app, refused = Slow(), list[None]()
    guarded = Admission(app, Room(at_once=2, waiting=3, patience_s=20), lambda: refused.append(None))
    answers: list[TestResponse] = []

    def ask() -> None:
        answers.append(Client(guarded).get("/fhir/Patient"))

    threads = [threading.Thread(target=ask) for _ in range(5)]
    for thread in threads[:2]:
        thread.start()
        assert app.running.acquire(timeout=20)
    for thread in threads[2:]:
        thread.start()
    # A sixth is refused once the three wait; before that it would wait itself.
    while guarded.waiting_count < 3:
        threading.Event().wait(0.005)
    answer = Client(guarded).get("/fhir/Patient")
    assert (answer.status_code, answer.headers["Retry-After"], len(refused)) == (503, "2", 1)
    assert '"code":"throttled"' in answer.text
    assert "OperationOutcome" not in Client(guarded).get("/").text
    page = Client(guarded).get("/record", headers={"Accept": "text/html,application/xhtml+xml,*/*;q=0.8"})
    assert (page.status_code, page.mimetype, page.headers["Retry-After"]) == (503, "text/html", "2")
    assert "<h1>The service is busy</h1>" in page.text
    html, welsh = {"Accept": "text/html"}, "<h1>Mae'r gwasanaeth yn brysur</h1>"
    for more, is_welsh in (
        ({"Accept-Language": "cy-GB,cy;q=0.9,en;q=0.5"}, True),
        ({"Accept-Language": "cy", "Cookie": "language=en"}, False),
        ({"Accept-Language": "en", "Cookie": "x=1; language=cy"}, True),
        ({"Accept-Language": "de", "Cookie": 'language="<script>"'}, False),
    ):
        page = Client(guarded, use_cookies=False).get("/record", headers=html | more)
        assert (welsh in page.text, f'lang="{"cy" if is_welsh else "en"}"' in page.text) == (is_welsh, True), more
    app.go.set()
    for thread in threads:
        thread.join()
    assert [each.status_code for each in answers] == [200] * 5
    # Nothing was lost: as many run at once as before.
    assert Client(guarded).get("/fhir/Patient").status_code == 200


def test_turns_come_in_order_though_others_ask_all_the_time() -> None:
    began: list[str] = []
    app, is_over = Slow(), threading.Event()

    def noting(environ: Any, start_response: Any) -> Iterable[bytes]:
        began.append(environ["PATH_INFO"])
        return app(environ, start_response)

    guarded = Admission(noting, Room(at_once=1, waiting=64, patience_s=20), lambda: None)

    def push() -> None:
        while not is_over.is_set():
            Client(guarded).get("/fhir/pushing")

    waiting = [threading.Thread(target=Client(guarded).get, args=(f"/fhir/{number}",)) for number in range(6)]
    waiting[0].start()
    assert app.running.acquire(timeout=20)
    for number, thread in enumerate(waiting[1:]):
        thread.start()
        while guarded.waiting_count <= number:
            threading.Event().wait(0.005)
    pushing = [threading.Thread(target=push) for _ in range(4)]
    for thread in pushing:
        thread.start()
    app.go.set()
    for thread in waiting:
        thread.join()
    is_over.set()
    for thread in pushing:
        thread.join()
    assert began[: len(waiting)] == [f"/fhir/{number}" for number in range(6)]


def test_who_waits_longer_than_the_patience_is_refused_and_a_probe_never() -> None:
    app = Slow()
    guarded = Admission(app, Room(at_once=1, waiting=3, patience_s=0.01), lambda: None)
    threads = [threading.Thread(target=Client(guarded).get, args=(path,)) for path in ("/fhir/Patient", "/health/live")]
    for thread in threads:
        thread.start()
        assert app.running.acquire(timeout=20), "the probe runs beside the only request that may"
    assert Client(guarded).get("/fhir/Patient").status_code == 503
    app.go.set()
    for thread in threads:
        thread.join()


def test_an_application_that_raises_gives_its_place_back() -> None:
    def broken(_environ: Any, _start_response: Any) -> Iterable[bytes]:
        raise ZeroDivisionError

    guarded = Admission(broken, Room(at_once=1, waiting=0, patience_s=0), lambda: None)
    for _ in range(2):
        try:
            Client(guarded).get("/fhir/Patient")
        except ZeroDivisionError:
            continue
        raise AssertionError("refused or answered")
