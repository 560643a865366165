"""What an interaction notes for its AuditEvents: ids of patients that the answer shows need not be looked up."""

from fhir_server.interactions.model import Trace
from fhir_server.store.keys import reference_key

ANN, BEN = reference_key("Patient", "ann"), reference_key("Patient", "ben")


def test_the_id_of_whose_record_it_is_is_read_from_what_is_shown() -> None:
    trace = Trace()
    trace.touch((ANN,), "Observation", "o1", 1, b'{"note":"Patient/ben","subject":{"reference":"Patient/ann"}}')
    assert trace.told() == {ANN: "ann"}


def test_absolute_and_versioned_references_say_it_too_and_each_of_several_patients() -> None:
    trace = Trace()
    shown = b'[{"reference":"https://record.example.org/fhir/Patient/ben"},{"reference":"Patient/ann/_history/2"}]'
    trace.touch((ANN, BEN), "Group", "g1", 1, shown)
    assert trace.told() == {ANN: "ann", BEN: "ben"}


def test_nobody_is_named_by_a_text_that_is_not_about_them() -> None:
    trace = Trace()
    trace.touch((ANN,), "Binary", "b1", 1, b"Patient/annette Patient/an Patient/ Patient/" + b"a" * 100)
    trace.touch((ANN,), "Binary", "b2", 1, None)
    assert trace.told() == {}


def test_a_long_text_is_not_looked_through_for_names() -> None:
    trace = Trace()
    trace.touch((ANN,), "Binary", "b1", 1, b" " * 70_000 + b"Patient/ann")
    trace.touch((ANN,), "List", "l1", 1, b"Patient/x " * 20 + b"Patient/ann")
    assert trace.told() == {}
