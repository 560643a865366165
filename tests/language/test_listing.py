"""Several things in one sentence: Welsh says "and" by what comes after it, and counts in more ways than two."""

from fhir_server.language import catalogue, either, listed


def test_welsh_says_and_by_the_word_that_follows_and_changes_words_but_no_names() -> None:
    table = {
        ("llythyrau", "apwyntiadau"): "llythyrau ac apwyntiadau",
        ("llythyrau", "cynlluniau gofal"): "llythyrau a chynlluniau gofal",
        ("llythyrau", "profion"): "llythyrau a phrofion",
        ("dangoswyd un eitem", "tynnwyd un"): "dangoswyd un eitem a thynnwyd un",
        ("cyflyrau", "alergeddau", "meddyginiaethau"): "cyflyrau, alergeddau a meddyginiaethau",
        ("5 apwyntiad", "8 llythyr"): "5 apwyntiad ac 8 llythyr",
        ("5 apwyntiad", "2 lythyr"): "5 apwyntiad a 2 lythyr",
        ("“Gofal cymdeithasol”", "“Iechyd meddwl”"): "“Gofal cymdeithasol” ac “Iechyd meddwl”",
        ("Dr Patel", "Priya Raman"): "Dr Patel a Priya Raman",
        ("un", "chwech"): "un a chwech",
        ("popeth",): "popeth",
        (): "",
    }
    assert {parts: listed(parts, "cy") for parts in table} == table
    # Not every name begins with a capital.
    names = {("Dr Patel", "ter Horst"): "Dr Patel a ter Horst", ("Dr Patel", "a.evans"): "Dr Patel ac a.evans"}
    assert {parts: listed(parts, "cy", are_names=True) for parts in names} == names


def test_english_lists_have_one_and() -> None:
    assert [listed(parts, "en") for parts in (["a"], ["a", "b"], ["a", "b", "c"])] == ["a", "a and b", "a, b and c"]


def test_or_softens_the_word_that_follows_in_welsh() -> None:
    soft = {
        "arwyddion": "arwyddion",
        "canlyniadau": "ganlyniadau",
        "gofal": "ofal",
        "llythyrau": "lythyrau",
        "rhestr": "restr",
        "diagnosis": "ddiagnosis",
        "ffordd o fyw": "ffordd o fyw",
        "chwiliad": "chwiliad",
        "“odd”": "“odd”",
    }
    assert {word: either(("un", word), "cy") for word in soft} == {word: f"un neu {soft[word]}" for word in soft}
    assert either(("a", "b", "c"), "en") == "a or b or c"
    assert [either((), code) + either(("un",), code) for code in ("en", "cy")] == ["un", "un"]


def test_welsh_changes_what_is_counted_after_two_three_and_six() -> None:
    def conditions(count: int) -> str:
        return str(catalogue("cy").ngettext("%(count)s condition", "%(count)s conditions", count)) % {"count": count}

    assert [conditions(count) for count in (0, 1, 2, 3, 4, 6, 7, 12)] == [
        *("0 cyflwr", "1 cyflwr", "2 gyflwr", "3 chyflwr", "4 cyflwr", "6 chyflwr", "7 cyflwr", "12 cyflwr")
    ]
