"""A database that cannot be reached is told so in time."""

import socket

import pytest

from fhir_server.spec.outcome import FhirError, Kind
from fhir_server.store.database import Store


def test_a_database_that_takes_the_call_and_never_answers_is_unavailable() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        store = Store(f"postgresql+psycopg://nobody:x@127.0.0.1:{silent.getsockname()[1]}/nothing")
        with pytest.raises(FhirError) as refused, store.read():
            pytest.fail("there is no database")
        store.close()
    assert refused.value.kind is Kind.UNAVAILABLE
