"""Names, dates of birth and health of the sixty invented people, and pools for larger populations.

Comes in: nothing. Goes out: literal tables, and how a name becomes an id. Must not know: how they are used.
Names stay within Latin-1, the repertoire of the PDF core fonts. Places and streets do not exist.
"""

from __future__ import annotations

import unicodedata
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Row:
    """One person: a fixed date of birth for adults, an age in months for children, and next of kin (name, relation)."""

    given: str
    family: str
    gender: str
    born: str
    profiles: tuple[str, ...] = ("well",)
    kin: tuple[str, str] | None = None
    language: str | None = None
    age_months: int = 0


def _child(given: str, family: str, gender: str, age_months: int, *profiles: str, kin: str) -> Row:
    return Row(given, family, gender, "", profiles or ("child",), (kin, "parent"), None, age_months)


PEOPLE: tuple[Row, ...] = (
    Row("Amelia", "Hart", "female", "1976-03-14",
        ("diabetes", "hypertension", "hypothyroid", "depression", "sexual-health", "care-package"), ("Thomas Hart",
                "spouse")),
    Row("Desmond", "Clarke", "male", "1961-11-02", ("heart-failure", "ckd"), ("Beverley Clarke", "spouse")),
    Row("Fatima", "Rahman", "female", "1988-07-21", ("anaemia",), ("Imran Rahman", "spouse"), "bn"),
    Row("George", "Whitcombe", "male", "1939-01-30", ("frailty", "dementia", "care-package"), ("Susan Whitcombe",
            "daughter")),
    _child("Noah", "Okafor", "male", 99, "child", "asthma", kin="Grace Okafor"),
    Row("Siân", "Llewellyn", "female", "1993-05-09", ("pregnancy",), ("Rhys Llewellyn", "spouse"), "cy"),
    Row("Arjun", "Patel", "male", "1969-09-17", ("diabetes", "cholesterol"), ("Meera Patel", "spouse"), "gu"),
    Row("Chloe", "Bennett", "female", "2001-12-03", ("sexual-health",), ("Karen Bennett", "parent")),
    Row("Kwame", "Boateng", "male", "1957-04-25", ("hypertension", "ckd"), ("Abena Boateng", "spouse")),
    Row("Niamh", "O'Sullivan", "female", "1984-08-12", ("bipolar",), ("Declan O'Sullivan", "brother")),
    Row("Mohammed", "Iqbal", "male", "1952-06-06", ("copd", "diabetes"), ("Saima Iqbal", "daughter"), "ur"),
    Row("Zoë", "Marchetti", "female", "1997-02-27", ("asthma",), ("Paola Marchetti", "parent")),
    Row("Dariusz", "Kowalski", "male", "1979-10-19", ("well",), ("Ewa Kowalska", "spouse"), "pl"),
    Row("Elspeth", "Macrae", "female", "1945-03-03", ("arthritis", "osteoarthritis"), ("Fergus Macrae", "son")),
    Row("Jamal", "Thompson", "male", "1990-01-15", ("hiv",), ("Denise Thompson", "parent")),
    Row("Mei", "Chen", "female", "1972-12-22", ("breast-cancer",), ("Hao Chen", "spouse"), "zh"),
    _child("Isla", "Robertson", "female", 7, kin="Kirsty Robertson"),
    Row("Oluwaseun", "Adeleke", "male", "1983-05-30", ("type-1-diabetes",), ("Funmi Adeleke", "spouse")),
    Row("Harpreet", "Gill", "female", "1966-02-11", ("cholesterol", "hypothyroid"), ("Baldev Gill", "spouse"), "pa"),
    Row("Peter", "Ellingham", "male", "1948-07-07", ("atrial-fibrillation", "osteoarthritis"), ("Joan Ellingham",
            "spouse")),
    Row("Layla", "Nasser", "female", "1995-11-11", ("depression",), ("Huda Nasser", "sister"), "ar"),
    Row("Tomás", "Ferreira", "male", "1986-03-28", ("epilepsy",), ("Inês Ferreira", "spouse"), "pt"),
    Row("Gwendolyn", "Price", "female", "1931-10-05", ("frailty", "care-package", "heart-failure"), ("Martin Price",
            "son")),
    Row("Yusuf", "Abdi", "male", "2003-08-18", ("well",), ("Hodan Abdi", "parent"), "so"),
    Row("Charlotte", "Pemberton", "female", "1981-06-14", ("well",), ("Hugh Pemberton", "spouse")),
    Row("Rajesh", "Nair", "male", "1959-12-29", ("diabetes", "hypertension", "ckd"), ("Latha Nair", "spouse"), "ml"),
    _child("Ava", "Campbell", "female", 40, kin="Jerome Campbell"),
    Row("Stephen", "Blackwood", "male", "1974-04-04", ("depression", "hypertension"), ("Anna Blackwood", "spouse")),
    Row("Nkechi", "Eze", "female", "1963-09-09", ("hypertension", "anaemia"), ("Chidi Eze", "spouse")),
    Row("Lewis", "Garrity", "male", "1999-01-01", ("sexual-health",), ("Moira Garrity", "parent")),
    Row("Ana", "Popescu", "female", "1987-07-31", ("well",), ("Andrei Popescu", "spouse"), "ro"),
    Row("Winston", "Baptiste", "male", "1943-08-06", ("diabetes", "frailty"), ("Claudette Baptiste", "spouse")),
    Row("Hannah", "Goldberg", "female", "1991-04-16", ("hypothyroid",), ("Daniel Goldberg", "spouse")),
    Row("Callum", "Fraser", "male", "1994-10-23", ("asthma",), ("Eilidh Fraser", "sister")),
    Row("Sunita", "Gurung", "female", "1978-01-08", ("anaemia", "hypothyroid"), ("Bikash Gurung", "spouse"), "ne"),
    Row("Edward", "Fairbairn", "male", "1935-05-19", ("dementia", "atrial-fibrillation", "care-package"),
        ("Rosemary Fairbairn", "spouse")),
    _child("Muhammad", "Hussain", "male", 58, kin="Nadia Hussain"),
    Row("Bethany", "Crowe", "female", "2005-03-20", ("depression",), ("Julie Crowe", "parent")),
    Row("Viktor", "Petrov", "male", "1970-11-27", ("cholesterol", "hypertension"), ("Irina Petrova", "spouse"), "bg"),
    Row("Ngozi", "Umeh", "female", "1985-02-02", ("pregnancy",), ("Emeka Umeh", "spouse")),
    Row("Alan", "Threlfall", "male", "1954-09-13", ("copd",), ("Brenda Threlfall", "spouse")),
    Row("Thi Lan", "Nguyen", "female", "1967-05-05", ("arthritis",), ("Minh Nguyen", "spouse"), "vi"),
    Row("Samir", "Haidari", "male", "1992-06-30", ("well",), ("Parwin Haidari", "sister"), "fa"),
    Row("Margaret", "Oakes", "female", "1941-12-12", ("heart-failure", "atrial-fibrillation"), ("Colin Oakes",
            "spouse")),
    Row("Jack", "Turnbull", "male", "2008-09-01", ("well",), ("Helena Turnbull", "parent")),
    Row("Rosa", "Delgado", "female", "1980-08-24", ("cholesterol",), ("Luis Delgado", "spouse"), "es"),
    Row("Theodore", "Lyons", "male", "1965-01-26", ("type-1-diabetes", "ckd"), ("Marie Lyons", "spouse")),
    _child("Aisha", "Warsame", "female", 151, "child", "anaemia", kin="Khadija Warsame"),
    Row("Denise", "Holloway", "female", "1956-10-10", ("osteoarthritis", "hypertension"), ("Ray Holloway", "spouse")),
    Row("Emre", "Yildiz", "male", "1989-03-07", ("well",), ("Selin Yildiz", "spouse"), "tr"),
    Row("Phoebe", "Ashdown", "female", "1996-07-19", ("epilepsy",), ("Judith Ashdown", "parent")),
    Row("Ravi", "Subramaniam", "male", "1973-02-14", ("diabetes",), ("Kavitha Subramaniam", "spouse"), "ta"),
    Row("Ivy", "Marlowe", "female", "1932-06-21", ("frailty", "osteoarthritis", "care-package"), ("Graham Marlowe",
            "son")),
    Row("Connor", "Daly", "male", "1998-05-02", ("bipolar",), ("Sinead Daly", "parent")),
    Row("Leila", "Moradi", "female", "1982-11-18", ("breast-cancer", "hypothyroid"), ("Kaveh Moradi", "spouse"), "fa"),
    Row("Hugo", "Lindqvist", "male", "1976-12-01", ("well",), ("Astrid Lindqvist", "spouse")),
    _child("Finley", "Barker", "male", 18, kin="Laura Barker"),
    Row("Precious", "Moyo", "female", "1990-09-27", ("hiv", "anaemia"), ("Tendai Moyo", "brother")),
    Row("Robert", "Sinclair", "male", "1950-04-09", ("diabetes", "heart-failure"), ("Patricia Sinclair", "spouse")),
    Row("Renée", "Dubois", "female", "1968-06-25", ("well",), ("Luc Dubois", "spouse"), "fr"),
)  # fmt: skip

TOWNS = (
    ("Brentmoor", "NW99"),
    ("Harrowmere", "HA99"),
    ("Perivane", "UB99"),
    ("Ealdene", "W99"),
    ("Northolme", "UB98"),
    ("Kenbourne", "NW98"),
)
STREETS = (
    "Lockgate Way", "Kenbourne Road", "Millpond Lane", "Orchard Rise", "Tramway Terrace", "Heron Close", "Quarry Hill",
    "Alderman Street", "Victory Gardens", "Saffron Walk", "Canal View", "Bakehouse Yard", "Larkfield Avenue",
            "Priory Mews",
)  # fmt: skip
GIVEN_FEMALE = (
    "Olivia", "Aaliyah", "Grace", "Priyanka", "Freya", "Maryam", "Ines", "Chiamaka", "Harriet", "Simran", "Wen", "Orla",
    "Joanna", "Samira", "Abigail", "Deepa", "Natalia", "Ruth", "Keziah", "Elif", "Megan", "Ayesha", "Lucia", "Hana",
)  # fmt: skip
GIVEN_MALE = (
    "Oliver", "Ibrahim", "Daniel", "Vikram", "Finn", "Omar", "Mateo", "Chukwudi", "William", "Jaspreet", "Jun",
            "Cormac",
    "Piotr", "Karim", "Joseph", "Suresh", "Mihai", "David", "Tyrell", "Mehmet", "Gareth", "Bilal", "Marco", "Kenji",
)  # fmt: skip
SURNAMES = (
    "Abbott", "Begum", "Carter", "Desai", "Evans", "Farooq", "Grant", "Hossain", "Ivanova", "James", "Kaur", "Lewis",
    "Mahmood", "Novak", "Osei", "Pereira", "Quinn", "Rossi", "Singh", "Tran", "Usman", "Vaughan", "Wright", "Yeboah",
    "Zhang", "Achebe", "Bishop", "Cohen", "Dogan", "Edwards", "Flynn", "Ghosh", "Hughes", "Islam", "Joshi", "Khan",
)  # fmt: skip


def slug(text: str) -> str:
    """Return a name as part of an id: lower-case ASCII letters, digits and hyphens."""
    plain = unicodedata.normalize("NFKD", text).encode("ascii", "ignore").decode()
    return "".join(letter if letter.isalnum() else "-" for letter in plain.lower())
