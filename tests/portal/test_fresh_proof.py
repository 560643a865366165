"""What a stolen session must not be enough for: what lets others see records asks again who it is."""

from tests.portal.conftest import ADMIN, AMELIA, COORDINATOR, PASSWORDS, Person
from tests.server import Server

FAMILY = "/sharing/with/RelatedPerson/thomas-hart"


def test_sharing_with_family_needs_a_proof_of_the_last_ten_minutes(server: Server) -> None:
    amelia = Person(server, AMELIA)
    server.clock.advance(minutes=11)
    again = "/sign-in/again?next=%2Fsharing%2Fwith%2FRelatedPerson%2Fthomas-hart"
    assert amelia.open(FAMILY).location == again
    assert amelia.send(FAMILY, {"labels": "general", "ends": "never", "confirm": "yes"}).location == again
    assert amelia.open("/sharing/with/Practitioner/priya-raman").status_code == 200
    form = {"password": PASSWORDS[AMELIA], "next": FAMILY}
    assert amelia.send("/sign-in/again", form, page="/sign-in/again").location == FAMILY
    assert amelia.open(FAMILY).status_code != 303


def test_what_lets_others_see_records_needs_a_proof_of_the_last_ten_minutes(server: Server) -> None:
    organisation = {"name": "New Practice", "code": "RXX77", "type": "prov"}
    for email, path, form in (
        (AMELIA, "/record/appointments/calendar", {"step": "make", "detail": "all"}),
        (COORDINATOR, "/organisation/teams", {"name": "Heart failure clinic"}),
        (COORDINATOR, "/organisation/teams/any", {"step": "add"}),
        (ADMIN, "/administration/organisations/add", organisation),
    ):
        person = Person(server, email)
        server.clock.advance(minutes=11)
        answer = person.send(path, form)
        assert answer.status_code == 303, path
        assert answer.location.startswith("/sign-in/again?"), path
    amelia = Person(server, AMELIA)
    assert "/appointments.ics" in amelia.send("/record/appointments/calendar", {"step": "make", "detail": "time"}).text
    server.clock.advance(minutes=11)
    stopped = amelia.send("/record/appointments/calendar", {"step": "stop"})
    assert stopped.location.endswith("?done=stopped"), "what ends an access is never held up"
