"""What is written over HTTP is found by its words, and no more after it is changed or deleted."""

from tests.server import Server


def test_words_follow_create_update_and_delete(server: Server) -> None:
    token = server.operator()
    made = server.post("Basic", token, {"resourceType": "Basic", "code": {"text": "o'er Müller fracture"}})
    name = f"Basic/{made['id']}"
    assert server.ids("Basic?_content=muller fract*", token) == {name}
    server.put({**made, "code": {"text": "healed"}}, token)
    assert server.ids("Basic?_content=muller", token) == set()
    assert server.ids("Basic?_content=healed", token) == {name}
    server.call("DELETE", name, token)
    assert server.ids("Basic?_content=healed", token) == set()
