"""What living with a health condition brings with it: problems, medicines, blood tests and their trend, clinics.

Comes in: nothing. Goes out: `PROFILES` by key. Must not know: single people or dates.
Trends are (five years ago, today) for the analytes of `analytes.py`; everything not named stays near a personal normal.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from seed_data.codes import MENTAL_HEALTH, SEXUAL_HEALTH, SOCIAL_CARE


@dataclass(frozen=True, slots=True)
class Medicine:
    """One medicine: ATC substance code, product as prescribed, and how it is taken."""

    atc: str
    product: str
    dosage: str


@dataclass(frozen=True, slots=True)
class HealthProfile:
    """One bundle of coherent clinical facts.

    Attributes:
        problem: SNOMED CT code and display of the Condition, or None.
        medicines: current medicines.
        core: panels taken at every visit, most telling first.
        extra: panels taken at every second visit.
        trends: analyte → (value five years ago, value today).
        clinics: departments that write letters and give appointments.
        label: privacy label the senders put on this part of the record.
        alert: text of a Flag, if any.
    """

    problem: tuple[str, str] | None = None
    medicines: tuple[Medicine, ...] = ()
    core: tuple[str, ...] = ()
    extra: tuple[str, ...] = ()
    trends: dict[str, tuple[float, float]] = field(default_factory=dict)
    clinics: tuple[str, ...] = ()
    label: str | None = None
    alert: str | None = None


def _med(atc: str, product: str, dosage: str = "One tablet once a day") -> Medicine:
    return Medicine(atc, product, dosage)


PROFILES: dict[str, HealthProfile] = {
    "well": HealthProfile(core=("fbc", "ue"), extra=("lipids", "hba1c"), clinics=("physiotherapy",)),
    "child": HealthProfile(core=("fbc",), extra=("ferritin",), clinics=("paediatrics",)),
    "diabetes": HealthProfile(
        ("44054006", "Type 2 diabetes mellitus"),
        (
            _med("A10BA02", "Metformin 500 mg tablets", "Two tablets twice a day with meals"),
            _med("A10BK01", "Dapagliflozin 10 mg tablets"),
        ),
        ("hba1c", "ue"),
        ("lipids", "acr"),
        {"hba1c": (74, 52), "cholesterol": (5.9, 4.1), "triglycerides": (2.4, 1.5), "acr": (4.2, 2.4)},
        ("diabetes",),
    ),
    "type-1-diabetes": HealthProfile(
        ("46635009", "Type 1 diabetes mellitus"),
        (
            _med("A10AE04", "Insulin glargine 100 units/ml pens", "18 units at night"),
            _med("A10AB05", "Insulin aspart 100 units/ml pens", "With meals, by carbohydrate count"),
        ),
        ("hba1c",),
        ("ue", "tft"),
        {"hba1c": (79, 60)},
        ("diabetes",),
    ),
    "hypertension": HealthProfile(
        ("38341003", "Hypertension"),
        (
            _med("C09AA05", "Ramipril 5 mg capsules", "One capsule once a day"),
            _med("C08CA01", "Amlodipine 5 mg tablets"),
        ),
        ("ue",),
        ("lipids",),
        {"systolic": (158, 134), "diastolic": (95, 82)},
        (),
    ),
    "ckd": HealthProfile(
        ("433144002", "Chronic kidney disease stage 3"),
        (_med("C10AA05", "Atorvastatin 20 mg tablets", "One tablet at night"),),
        ("ue", "acr"),
        ("fbc",),
        {"creatinine": (102, 148), "urea": (7.6, 11.8), "haemoglobin": (128, 112), "acr": (8.0, 31.0)},
        ("renal",),
    ),
    "anaemia": HealthProfile(
        ("87522002", "Iron deficiency anaemia"),
        (_med("B03AA07", "Ferrous sulfate 200 mg tablets"),),
        ("fbc", "ferritin"),
        ("vitamin-d",),
        {"haemoglobin": (91, 131), "mcv": (71, 87), "ferritin": (6, 64)},
        ("haematology",),
    ),
    "hypothyroid": HealthProfile(
        ("40930008", "Hypothyroidism"),
        (_med("H03AA01", "Levothyroxine 75 microgram tablets", "One tablet before breakfast"),),
        ("tft",),
        ("lipids",),
        {"tsh": (11.8, 2.1), "free-t4": (8.4, 15.2)},
        (),
    ),
    "cholesterol": HealthProfile(
        ("55822004", "Hyperlipidaemia"),
        (_med("C10AA05", "Atorvastatin 20 mg tablets", "One tablet at night"),),
        ("lipids",),
        ("lft",),
        {"cholesterol": (7.4, 4.4), "hdl": (1.2, 1.4), "triglycerides": (2.6, 1.4)},
        (),
    ),
    "heart-failure": HealthProfile(
        ("84114007", "Heart failure"),
        (
            _med("C07AB07", "Bisoprolol 2.5 mg tablets"),
            _med("C03CA01", "Furosemide 40 mg tablets", "One tablet in the morning"),
        ),
        ("bnp", "ue"),
        ("fbc",),
        {"bnp": (2900, 860), "creatinine": (98, 118)},
        ("cardiology", "emergency"),
        alert="Weigh daily: call the heart failure nurse on a gain of 2 kg in three days",
    ),
    "atrial-fibrillation": HealthProfile(
        ("49436004", "Atrial fibrillation"),
        (_med("B01AF02", "Apixaban 5 mg tablets", "One tablet twice a day"),),
        ("ue",),
        ("fbc", "lft"),
        {},
        ("cardiology",),
        alert="Takes an anticoagulant",
    ),
    "asthma": HealthProfile(
        ("195967001", "Asthma"),
        (
            _med("R03AC02", "Salbutamol 100 microgram inhaler", "Two puffs when needed"),
            _med("R03BA01", "Beclometasone 100 microgram inhaler", "Two puffs twice a day"),
        ),
        ("fbc",),
        ("crp",),
        {},
        ("respiratory",),
    ),
    "copd": HealthProfile(
        ("13645005", "Chronic obstructive pulmonary disease"),
        (_med("R03BB04", "Tiotropium 18 microgram inhalation capsules", "One capsule inhaled once a day"),),
        ("crp",),
        ("fbc", "ue"),
        {"crp": (6, 14)},
        ("respiratory", "emergency"),
    ),
    "arthritis": HealthProfile(
        ("69896004", "Rheumatoid arthritis"),
        (
            _med("L04AX03", "Methotrexate 2.5 mg tablets", "Six tablets once a week, on the same day"),
            _med("B03BB01", "Folic acid 5 mg tablets", "One tablet once a week, not on the methotrexate day"),
        ),
        ("crp", "lft"),
        ("fbc",),
        {"crp": (46, 5), "alt": (21, 38)},
        ("rheumatology",),
        alert="Methotrexate: regular blood monitoring",
    ),
    "osteoarthritis": HealthProfile(
        ("396275006", "Osteoarthritis"),
        (_med("N02BE01", "Paracetamol 500 mg tablets", "Two tablets up to four times a day"),),
        ("ue",),
        ("vitamin-d",),
        {"vitamin-d": (28, 71)},
        ("physiotherapy",),
    ),
    "epilepsy": HealthProfile(
        ("84757009", "Epilepsy"),
        (_med("N03AX09", "Lamotrigine 100 mg tablets", "One tablet twice a day"),),
        ("lft",),
        ("fbc",),
        {},
        ("neurology",),
        alert="Epilepsy: seizure plan held at home",
    ),
    "pregnancy": HealthProfile(
        ("77386006", "Pregnancy"),
        (_med("B03BB01", "Folic acid 400 microgram tablets"),),
        ("fbc", "ferritin"),
        ("tft",),
        {"haemoglobin": (128, 108), "ferritin": (52, 17)},
        ("maternity",),
    ),
    "breast-cancer": HealthProfile(
        ("254837009", "Malignant neoplasm of breast"),
        (_med("L02BA01", "Tamoxifen 20 mg tablets"),),
        ("fbc", "lft"),
        ("vitamin-d",),
        {"haemoglobin": (108, 129), "alt": (58, 24)},
        ("breast",),
    ),
    "depression": HealthProfile(
        ("35489007", "Depressive disorder"),
        (_med("N06AB06", "Sertraline 100 mg tablets"),),
        clinics=("adult-mental-health",),
        label=MENTAL_HEALTH,
    ),
    "bipolar": HealthProfile(
        ("13746004", "Bipolar disorder"),
        (_med("N05AN01", "Lithium carbonate 400 mg modified-release tablets", "Two tablets at night"),),
        ("lithium",),
        ("lithium",),
        {"lithium": (0.46, 0.71)},
        ("adult-mental-health",),
        MENTAL_HEALTH,
        "Takes lithium: check kidney and thyroid function",
    ),
    "dementia": HealthProfile(
        ("52448006", "Dementia"),
        (_med("N06DA02", "Donepezil 10 mg tablets", "One tablet at night"),),
        clinics=("older-mental-health", "community-nursing"),
        label=MENTAL_HEALTH,
        alert="Living with dementia: involve the named carer",
    ),
    "sexual-health": HealthProfile(
        core=("chlamydia",),
        extra=("chlamydia",),
        clinics=("sexual-health",),
        label=SEXUAL_HEALTH,
    ),
    "hiv": HealthProfile(
        ("86406008", "Human immunodeficiency virus infection"),
        (_med("J05AR13", "Lamivudine, abacavir and dolutegravir tablets"),),
        ("viral-load", "cd4"),
        ("viral-load", "cd4"),
        {"viral-load": (48200, 20), "cd4": (240, 690)},
        ("sexual-health",),
        SEXUAL_HEALTH,
    ),
    "care-package": HealthProfile(
        clinics=("social-work",), label=SOCIAL_CARE, alert="Care package at home: key safe in use"
    ),
    "frailty": HealthProfile(
        ("248279007", "Frailty"),
        (_med("A11CC05", "Colecalciferol 800 unit capsules", "One capsule once a day"),),
        ("fbc", "ue"),
        ("vitamin-d",),
        {"vitamin-d": (22, 68), "haemoglobin": (126, 116)},
        ("community-nursing", "emergency"),
        alert="At risk of falls",
    ),
}
