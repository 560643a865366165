"""The issuer in the authorization response (RFC 9207), against mix-up of servers."""

from fhir_server.smart.discovery import authorization_server, configuration
from tests.smart.world import BASE, World, answered


def test_every_answer_names_its_issuer_against_mix_up(world: World) -> None:
    app_id, browser = world.client()[0], world.browser(world.person())
    allowed = answered(world.decide(browser, world.ask(browser, world.request(app_id))))
    denied = answered(world.decide(browser, world.ask(browser, world.request(app_id)), decision="deny"))
    wrong = answered(world.ask(browser, world.request(app_id, aud="https://evil.test")))

    assert {allowed["iss"], denied["iss"], wrong["iss"]} == {BASE}
    assert denied["error"] == "access_denied"
    assert configuration(BASE)["issuer"] == authorization_server(BASE)["issuer"] == BASE
