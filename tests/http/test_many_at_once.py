"""Thirty-two clients at once on either database: everybody is answered, nothing is lost, no lock is an error."""

from concurrent.futures import ThreadPoolExecutor

from tests.server import Server

_CLIENTS = 32


def test_clients_at_once_write_and_read_without_an_error(server: Server) -> None:
    operator = server.operator()

    def work(number: int) -> list[int]:
        patient = {"resourceType": "Patient", "id": f"p{number}", "active": True}
        changed = {**patient, "active": False}
        path = f"Patient/p{number}"
        return [
            server.call("PUT", path, operator, patient).status_code,
            server.call("PUT", path, operator, changed).status_code,
            server.call("GET", path, operator).status_code,
        ]

    with ThreadPoolExecutor(_CLIENTS) as clients:
        answers = list(clients.map(work, range(_CLIENTS)))
    assert answers == [[201, 200, 200]] * _CLIENTS
    assert server.get("Patient?active=false&_summary=count", operator)["total"] == _CLIENTS
