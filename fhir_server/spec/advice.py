"""Say what FHIR R4 recommends: its invariants of severity warning, best practice among them. No write is refused by it.

Comes in: a resource under validation. Goes out: warnings in its `Run`.
"""

from __future__ import annotations

import re
from typing import Any

from fhir_server.spec import invariants
from fhir_server.spec.checks import Json, Place, Run
from fhir_server.spec.definitions import Definitions

_NAME = re.compile(r"[A-Z][A-Za-z0-9_]{0,254}")
_NAMES = {
    "ActivityDefinition": "adf-0", "CapabilityStatement": "cpb-0", "ChargeItemDefinition": "cid-0",
    "CodeSystem": "csd-0", "CompartmentDefinition": "cpd-0", "ConceptMap": "cmd-0",
    "EffectEvidenceSynthesis": "ees-0", "EventDefinition": "evd-0", "Evidence": "evi-0", "EvidenceVariable": "evv-0",
    "ExampleScenario": "esc-0", "GraphDefinition": "gdf-0", "ImplementationGuide": "ig-0", "Library": "lib-0",
    "Measure": "mea-0", "MessageDefinition": "msd-0", "NamingSystem": "nsd-0", "OperationDefinition": "opd-0",
    "PlanDefinition": "pdf-0", "Questionnaire": "que-0", "ResearchDefinition": "rsd-0",
    "ResearchElementDefinition": "red-0", "RiskEvidenceSynthesis": "rvs-0", "SearchParameter": "spd-0",
    "StructureDefinition": "sdf-0", "StructureMap": "smp-0", "TerminologyCapabilities": "tcp-0", "TestScript": "tst-0",
    "ValueSet": "vsd-0",
}  # fmt: skip
_VERIFICATION = "http://terminology.hl7.org/CodeSystem/condition-ver-status"
_RULES = {
    "Condition": (
        "con-3",
        f"""clinicalStatus.exists() or category.select($this='problem-list-item').empty() or
        verificationStatus.coding.where(system='{_VERIFICATION}' and code='entered-in-error').exists()""",
    ),
    "NutritionOrder": ("nor-1", "oralDiet.exists() or supplement.exists() or enteralFormula.exists()"),
}


def advise(resource: Json, place: Place, run: Run) -> None:
    """Note what is recommended and not so in a resource whose type is known."""
    resource_type = str(resource["resourceType"])
    text = resource.get("text")
    if run.definitions.is_a(resource_type, "DomainResource") and not (type(text) is dict and "div" in text):
        run.advise(place, "invariant", "should have a narrative, for who cannot read the rest (dom-6)")
    name = resource.get("name")
    if resource_type in _NAMES and type(name) is str and not _NAME.fullmatch(name):
        text = f"should begin with a capital and have letters, digits and _ only ({_NAMES[resource_type]})"
        run.advise((place, "name"), "invariant", text)
    if (rule := _rule(run.definitions, resource_type)) and rule.breaks(resource, resource):
        run.advise(place, "invariant", f"should satisfy {rule.text} ({rule.key})")


def _rule(definitions: Definitions, resource_type: str) -> Any:
    if resource_type not in _RULES:
        return None
    key = ("advice", resource_type)
    if key not in definitions.compiled:
        stated, text = _RULES[resource_type]
        definitions.compiled[key] = invariants.compile_rule(definitions, stated, text, resource_type)
    return definitions.compiled[key]
