"""What is granted of what is asked: SMART scopes 1 and 2, narrowed and never widened, and told in plain words."""

from functools import partial

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fhir_server.access.scopes import parse
from fhir_server.search.scopes import enforceable as can_enforce
from fhir_server.smart import wording
from fhir_server.smart.narrowing import SYSTEM_LEVELS, USER_LEVELS, narrow
from fhir_server.spec.definitions import load

TYPES = frozenset({"Observation", "Condition", "Patient", "MedicationRequest"})
enforceable = partial(can_enforce, load(), "http://localhost/fhir")


def granted(requested: str, registered: str) -> str:
    return narrow(requested, registered, levels=USER_LEVELS, enforceable=enforceable)


@pytest.mark.parametrize(
    "requested, registered, expected",
    [
        ("patient/Observation.rs", "patient/*.rs", "patient/Observation.rs"),
        ("patient/Observation.read", "patient/*.rs", "patient/Observation.read"),
        ("patient/*.read", "patient/Observation.rs", "patient/Observation.rs"),
        ("patient/*.*", "patient/*.rs", "patient/*.rs"),
        ("patient/*.*", "patient/*.cruds", "patient/*.*"),
        (
            "patient/Observation.cruds",
            "patient/Observation.rs patient/Observation.c",
            "patient/Observation.rs patient/Observation.c",
        ),
        ("patient/Observation.cruds", "patient/Observation.read", "patient/Observation.rs"),
        ("patient/Observation.c", "patient/*.rs", ""),
        ("user/Observation.rs", "patient/*.rs", ""),
        ("system/Observation.rs", "system/*.cruds", ""),
        ("patient/Nonsense.rs patient/Condition.rs", "patient/*.rs", "patient/Condition.rs"),
        ("patient/Observation.sr", "patient/*.rs", ""),
        ("patient/Observation.", "patient/*.rs", ""),
        ("patient/Observation.rs?category=a|b", "patient/*.rs", "patient/Observation.rs?category=a|b"),
        ("patient/Observation.rs", "patient/Observation.rs?category=a|b", "patient/Observation.rs?category=a|b"),
        (
            "patient/Observation.rs?code=c",
            "patient/Observation.rs?category=http://x.org/y|z",
            "patient/Observation.rs?code=c&category=http://x.org/y|z",
        ),
        *(
            (
                f"patient/Observation.rs?{query} patient/Condition.r",
                "patient/*.rs",
                f"{kept} patient/Condition.r".strip(),
            )
            for query in (
                "code=a,b&date=ge2024",
                "code:not=a",
                "value-quantity=gt5",
                "subject=Patient/1",
                "status:missing=false",
                "code-value-quantity=a$5",
                "_lastUpdated=ge2024",
                "_id=a,b",
                "code:text=a",
            )
            for kept in (f"patient/Observation.rs?{query}",)
        ),
        ("patient/Observation.rs", "patient/Observation.rs?nonsense=a", ""),
        ("patient/*.rs?_tag=a", "patient/Observation.rs", "patient/Observation.rs?_tag=a"),
        ("patient/*.rs?category=a", "patient/*.rs", ""),
        ("openid fhirUser nonsense", "openid", "openid"),
        ("launch/patient offline_access", "launch/patient offline_access", "launch/patient offline_access"),
        ("launch online_access", "launch online_access", "launch online_access"),
        ("patient/Observation.rs patient/Observation.rs", "patient/*.rs", "patient/Observation.rs"),
        ("", "patient/*.rs", ""),
    ],
)
def test_only_what_is_registered_and_known_is_granted(requested: str, registered: str, expected: str) -> None:
    assert granted(requested, registered) == expected


def test_a_restriction_is_granted_where_the_gate_can_hold_the_app_to_it() -> None:
    for query in (
        "code=a,b&date=ge2024", "code:not=a", "value-quantity=gt5", "subject=Patient/1", "status:missing=false",
        "_id=a,b",
        "code-value-quantity=a$5", "_lastUpdated=ge2024", "code:text=a", "_content=a+OR+b",
    ):  # fmt: skip
        scope = f"patient/Observation.rs?{query}"
        assert granted(f"{scope} patient/Condition.r", "patient/*.rs") == f"{scope} patient/Condition.r"
        assert granted("patient/Observation.rs", scope) == scope.replace("+", "%20")
    for query in (
        "nonsense=a", "category=", "category:odd=a", "date=yesterday", "date=ap2024", "subject:Patient.name=a",
        "_list=a",
        "_has:Observation:has-member:code=a", "_filter=code+eq+a", "_count=1", "code=a&_sort=date",
        "code:in=http://example.org/unknown", f"code={'a,' * 100}a",
    ):  # fmt: skip
        scope = f"patient/Observation.rs?{query}"
        assert granted(f"{scope} patient/Condition.r", "patient/*.rs") == "patient/Condition.r", query
        assert granted("patient/Observation.rs", scope) == "", query


_RIGHTS = st.sampled_from(["r", "s", "rs", "c", "cu", "cruds", "read", "write", "*", "d"])
_SCOPE = st.builds(
    "{}/{}.{}{}".format,
    st.sampled_from(["patient", "user", "system"]),
    st.sampled_from(["*", *sorted(TYPES), "Nonsense"]),
    _RIGHTS,
    st.sampled_from(["", "?_tag=a|b", "?_security=c,d&_tag=a|b"]),
)
_SCOPES = st.lists(_SCOPE, max_size=4).map(" ".join)


@given(_SCOPES, _SCOPES, st.sampled_from([USER_LEVELS, SYSTEM_LEVELS]))
def test_narrowing_never_widens(requested: str, registered: str, levels: frozenset[str]) -> None:
    result = parse(narrow(requested, registered, levels=levels, enforceable=enforceable))

    for limit in (parse(requested), parse(registered)):
        for scope in result.clinical:
            assert scope.level in levels
            for right in scope.rights:
                wider = [
                    item
                    for item in limit.clinical
                    if item.level == scope.level
                    and item.type in {"*", scope.type}
                    and right in item.rights
                    and set(item.query) <= set(scope.query)
                ]
                assert wider, (scope, right)


@given(_SCOPES)
def test_what_is_registered_is_granted_as_asked(scopes: str) -> None:
    asked = narrow(scopes, scopes, levels=USER_LEVELS, enforceable=enforceable)

    assert narrow(asked, asked, levels=USER_LEVELS, enforceable=enforceable) == asked
    assert set(asked.split()) == {
        item for item in scopes.split() if item.startswith(("patient/", "user/")) and "Nonsense" not in item
    }


@pytest.mark.parametrize(
    "scope, text, hint",
    [
        ("patient/Observation.rs", "See test results and measurements", ""),
        ("patient/Observation.cruds", "See, add to, change and delete test results and measurements", ""),
        ("patient/MedicationDispense.r", "See medicines handed out", ""),
        ("patient/VisionPrescription.rs", "See “vision prescription” entries", ""),
        ("user/Condition.rs", "See health conditions and diagnoses", "In every record that you can open"),
        (
            "patient/Observation.rs?category=x|laboratory",
            "See test results and measurements",
            "Only laboratory results",
        ),
        ("patient/Observation.rs?category=odd", "See test results and measurements", "Only “odd”"),
        ("patient/Observation.rs?code=x|1,y|2", "See test results and measurements", "Only where code is 1 or 2"),
        *(
            (f"patient/Observation.rs?{query}", "See test results and measurements", f"Only where {hint}")
            for query, hint in (
                ("date=ge2024-01-01", "date is from 2024-01-01"),
                ("code:not=x|1,2", "code is not 1 or 2"),
                ("category:not=laboratory", "category is not laboratory"),
                ("code=http://loinc.org|", "code is http://loinc.org"),
                ("status:missing=true", "status is not recorded"),
                ("status:missing=false", "status is recorded"),
                ("value-quantity=lt5|http://unitsofmeasure.org|mg", "value-quantity is below 5 mg"),
                ("code:text=blood", "code (text) is blood"),
            )
        ),
    ],
)
def test_a_scope_in_plain_words(scope: str, text: str, hint: str) -> None:
    (item,) = wording.items(scope)

    assert (item.value, item.text, item.hint) == (scope, text, hint)


def test_a_scope_may_cost_as_much_as_a_hundred_codes() -> None:
    """Counted as a search counts: a date or quantity is eight codes."""
    for name, value, most in (("code", "c{}", 100), ("date", "ge20{:02}", 12), ("value-quantity", "gt{}", 12)):
        for count in (most, most + 1):
            values = ",".join(value.format(each) for each in range(count))
            assert enforceable("Observation", ((name, values),)) is (count == most), (name, count)
    assert not enforceable(
        "Observation", (("code", ",".join("c" * 60)), ("date", "ge2020,ge2021,ge2022,ge2023,ge2024,ge2025"))
    )


def test_a_scope_that_writes_says_so() -> None:
    reads, writes = wording.items("patient/Observation.rs patient/Condition.cu")

    assert (reads.writes, writes.writes) == (False, True)


def test_whose_record_stays_and_identity_goes_together() -> None:
    scope = "launch/patient openid fhirUser patient/Observation.rs"

    assert wording.chosen(scope, frozenset()) == "launch/patient"
    assert wording.chosen(scope, frozenset({wording.IDENTITY})) == "launch/patient openid fhirUser"
    assert wording.chosen(scope, frozenset({"patient/Observation.rs"})) == "launch/patient patient/Observation.rs"
