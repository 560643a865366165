"""What a stolen session must not be enough for: sharing with family asks again who it is."""

from tests.portal.conftest import AMELIA, PASSWORDS, Person
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
