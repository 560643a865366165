"""The laboratory tests: LOINC codes, UCUM units, reference ranges, and which panel holds which.

Comes in: nothing. Goes out: `ANALYTES` and `PANELS`. Must not know: people.
Ranges are adult UK-style ranges in SI units, by sex where it matters; None means no limit on that side.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

from seed_data.codes import GENERAL, MENTAL_HEALTH, SEXUAL_HEALTH

Range: TypeAlias = tuple[float | None, float | None]


@dataclass(frozen=True, slots=True)
class Analyte:
    """One measured quantity; `spread` is the relative noise between two visits, `digits` the decimals reported."""

    loinc: str
    name: str
    unit: str
    ucum: str
    digits: int
    normal: float
    spread: float
    male: Range
    female: Range

    def limits(self, gender: str) -> Range:
        """Return the reference range for a gender."""
        return self.male if gender == "male" else self.female


@dataclass(frozen=True, slots=True)
class Panel:
    """Analytes reported together; a coded panel has one presence result and no analytes."""

    loinc: str
    name: str
    analytes: tuple[str, ...]
    label: str = GENERAL


def _row(
    name: str, unit: tuple[str, str], loinc: str, usual: tuple[int, float, float], *limits: float | None
) -> Analyte:
    """Return one analyte; `usual` is (digits, normal, spread), limits are one range or the male and the female one."""
    male, female = limits[:2], limits[-2:]
    digits, normal, spread = usual
    return Analyte(loinc, name, *unit, digits, normal, spread, (male[0], male[1]), (female[0], female[1]))


ANALYTES: dict[str, Analyte] = {
    "haemoglobin": _row("Haemoglobin", ("g/L", "g/L"), "718-7", (0, 138, 0.03), 130, 180, 115, 165),
    "white-cells": _row("White blood cell count", ("10^9/L", "10*9/L"), "6690-2", (1, 6.7, 0.14), 3.6, 11.0),
    "platelets": _row("Platelet count", ("10^9/L", "10*9/L"), "777-3", (0, 255, 0.09), 140, 400),
    "red-cells": _row("Red blood cell count", ("10^12/L", "10*12/L"), "789-8", (2, 4.7, 0.02), 4.5, 6.5, 3.8, 5.8),
    "haematocrit": _row("Haematocrit", ("L/L", "L/L"), "4544-3", (3, 0.42, 0.02), 0.40, 0.54, 0.37, 0.47),
    "mcv": _row("Mean cell volume", ("fL", "fL"), "787-2", (1, 90, 0.012), 80, 100),
    "mch": _row("Mean cell haemoglobin", ("pg", "pg"), "785-6", (1, 29.8, 0.012), 27, 32),
    "neutrophils": _row("Neutrophil count", ("10^9/L", "10*9/L"), "751-8", (1, 3.9, 0.16), 1.8, 7.5),
    "sodium": _row("Sodium", ("mmol/L", "mmol/L"), "2951-2", (0, 140, 0.009), 133, 146),
    "potassium": _row("Potassium", ("mmol/L", "mmol/L"), "2823-3", (1, 4.3, 0.05), 3.5, 5.3),
    "urea": _row("Urea", ("mmol/L", "mmol/L"), "22664-7", (1, 5.1, 0.12), 2.5, 7.8),
    "creatinine": _row("Creatinine", ("umol/L", "umol/L"), "14682-9", (0, 72, 0.05), 59, 104, 45, 84),
    "egfr": _row("Estimated glomerular filtration rate", ("mL/min/1.73m2", "mL/min/{1.73_m2}"),
                 "62238-1", (0, 90, 0), 60, None),
    "cholesterol": _row("Total cholesterol", ("mmol/L", "mmol/L"), "14647-2", (1, 4.7, 0.05), None, 5.0),
    "hdl": _row("HDL cholesterol", ("mmol/L", "mmol/L"), "14646-4", (1, 1.5, 0.06), 1.0, None, 1.2, None),
    "triglycerides": _row("Triglycerides", ("mmol/L", "mmol/L"), "14927-8", (1, 1.2, 0.14), None, 1.7),
    "ldl": _row("LDL cholesterol, calculated", ("mmol/L", "mmol/L"), "39469-2", (1, 2.7, 0), None, 3.0),
    "non-hdl": _row("Non-HDL cholesterol", ("mmol/L", "mmol/L"), "70204-3", (1, 3.2, 0), None, 4.0),
    "hba1c": _row("HbA1c", ("mmol/mol", "mmol/mol"), "59261-8", (0, 36, 0.03), 20, 41),
    "alt": _row("Alanine aminotransferase", ("U/L", "U/L"), "1742-6", (0, 23, 0.14), None, 41, None, 33),
    "alp": _row("Alkaline phosphatase", ("U/L", "U/L"), "6768-6", (0, 76, 0.08), 30, 130),
    "bilirubin": _row("Total bilirubin", ("umol/L", "umol/L"), "14631-6", (0, 9, 0.16), None, 21),
    "albumin": _row("Albumin", ("g/L", "g/L"), "1751-7", (0, 42, 0.03), 35, 50),
    "ggt": _row("Gamma-glutamyl transferase", ("U/L", "U/L"), "2324-2", (0, 26, 0.13), None, 60, None, 40),
    "tsh": _row("Thyroid stimulating hormone", ("mIU/L", "m[IU]/L"), "3016-3", (2, 1.9, 0.12), 0.27, 4.2),
    "free-t4": _row("Free thyroxine", ("pmol/L", "pmol/L"), "14920-3", (1, 15.4, 0.05), 12, 22),
    "crp": _row("C-reactive protein", ("mg/L", "mg/L"), "1988-5", (0, 2.4, 0.25), None, 5),
    "ferritin": _row("Ferritin", ("ug/L", "ug/L"), "2276-4", (0, 82, 0.1), 30, 400, 13, 150),
    "vitamin-d": _row("25-hydroxyvitamin D3", ("nmol/L", "nmol/L"), "14635-7", (0, 61, 0.08), 50, None),
    "acr": _row("Urine albumin to creatinine ratio", ("mg/mmol", "mg/mmol"), "32294-1", (1, 1.2, 0.15), None, 3.0),
    "bnp": _row("NT-proBNP", ("ng/L", "ng/L"), "33762-6", (0, 110, 0.12), None, 400),
    "lithium": _row("Lithium", ("mmol/L", "mmol/L"), "14334-7", (2, 0.6, 0.06), 0.4, 1.0),
    "viral-load": _row("HIV-1 RNA viral load", ("copies/mL", "{copies}/mL"), "20447-9", (0, 20, 0.01), None, 50),
    "cd4": _row("CD4 cell count", ("10^6/L", "10*6/L"), "24467-3", (0, 640, 0.07), 500, 1500),
}  # fmt: skip

PANELS: dict[str, Panel] = {
    "fbc": Panel("58410-2", "Full blood count", (
        "haemoglobin", "white-cells", "platelets", "red-cells", "haematocrit", "mcv", "mch", "neutrophils")),
    "ue": Panel("24362-6", "Urea and electrolytes", ("sodium", "potassium", "urea", "creatinine", "egfr")),
    "lipids": Panel("24331-1", "Lipid profile", ("cholesterol", "hdl", "triglycerides", "ldl", "non-hdl")),
    "lft": Panel("24325-3", "Liver function tests", ("alt", "alp", "bilirubin", "albumin", "ggt")),
    "tft": Panel("24348-5", "Thyroid function tests", ("tsh", "free-t4")),
    "hba1c": Panel("59261-8", "HbA1c", ("hba1c",)),
    "crp": Panel("1988-5", "C-reactive protein", ("crp",)),
    "ferritin": Panel("2276-4", "Ferritin", ("ferritin",)),
    "vitamin-d": Panel("14635-7", "Vitamin D", ("vitamin-d",)),
    "acr": Panel("32294-1", "Urine albumin to creatinine ratio", ("acr",)),
    "bnp": Panel("33762-6", "NT-proBNP", ("bnp",)),
    "lithium": Panel("14334-7", "Lithium level", ("lithium",), MENTAL_HEALTH),
    "viral-load": Panel("20447-9", "HIV-1 viral load", ("viral-load",), SEXUAL_HEALTH),
    "cd4": Panel("24467-3", "CD4 cell count", ("cd4",), SEXUAL_HEALTH),
    "chlamydia": Panel("21613-5", "Chlamydia test", (), SEXUAL_HEALTH),
}  # fmt: skip


def size(panel: str) -> int:
    """Return how many results a panel gives."""
    return len(PANELS[panel].analytes) or 1
