"""Compile the official FHIR R4 4.0.1 definitions into one file that ships with the package.

Comes in: two pinned packages of the definitions (licence CC0), fetched by the package client of Node.js and cached.
Goes out: `r4.msgpack` beside this file: types with their elements, search parameters, compartments, operations, and the
codes of the value sets that FHIR binds as required. `definitions.py` reads it; `compile_all` returns its layout.

INVARIANT: what it imports, imports nothing but the standard library and msgspec, for the build hook runs it before the
package is installed: `python -m fhir_server.spec.build_definitions [--out FILE]`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from pathlib import Path

import msgspec

from fhir_server.spec.build_packages import BuildError, Json, Package, fetch, read_resources, run, write

RESOURCE_TYPE_COUNT = 146
COMPARTMENTS = ("Patient", "Encounter", "Practitioner", "RelatedPerson", "Device")
# Above this many codes a list is no help to whoever mistyped one, and costs memory in every worker.
VALUE_SET_CODE_LIMIT = 1_000
# What says where a concept stands among the others, and whether it may be used.
CONCEPT_PROPERTIES = frozenset({"parent", "child", "subsumedBy", "notSelectable", "inactive"})
PROFILE_MEMBERS = (
    "resourceType", "url", "version", "name", "status", "kind", "abstract", "type", "baseDefinition", "derivation",
)  # fmt: skip
EXPLANATIONS = frozenset(
    {"short", "definition", "comment", "requirements", "alias", "example", "mapping", "isSummary", "meaningWhenMissing"}
)
STRUCTURE = "http://hl7.org/fhir/StructureDefinition/"


EXAMPLES = Package(
    "hl7.fhir.r4.examples",
    "4.0.1",
    "sha512-DXBdIZOeQaSKIgCU7w6HOC7sw/6BzylmipLkBW4f//pT+Bc94x+8LImwTdvaNThPJoOzpBzvxAzNqjeu3X/zLw==",
)
EXPANSIONS = Package(
    "hl7.fhir.r4.expansions",
    "4.0.1",
    "sha512-E0LjAGKIEla9XdM98cOzE8fv+syczVSzzqjE/29rhK1jK52kSByzSM+dQuQM0j4BiBIpMwZydQnKHV11rV5IlQ==",
)


def compile_all(examples: Path, expansions: Path) -> Json:
    """Return the content of the artefact.

    Raises:
        BuildError: A count is not that of FHIR R4 4.0.1, or two search parameters share a key.
    """
    kinds: dict[str, list[Json]] = {}
    wanted = ("StructureDefinition", "SearchParameter", "CompartmentDefinition", "OperationDefinition")
    for resource in read_resources(examples, wanted):
        kinds.setdefault(resource["resourceType"], []).append(resource)
    types = {type_["name"]: type_ for type_ in map(compile_type, filter(_is_base, kinds["StructureDefinition"]))}
    concrete = sorted(name for name, type_ in types.items() if type_["kind"] == "resource" and not type_["abstract"])
    parameters = [compile_parameter(each) for each in kinds["SearchParameter"] if _is_parameter(each)]
    required = {element["binding"] for type_ in types.values() for element in type_["elements"]} - {""}
    content = {
        "resource_types": concrete,
        "types": types,
        "search_parameters": sorted(parameters, key=lambda each: str(each["url"])),
        "compartments": {
            each["code"]: compile_compartment(each)
            for each in kinds["CompartmentDefinition"]
            if each["code"] in COMPARTMENTS and _is_compartment(each)
        },
        "operations": sorted(map(compile_operation, kinds["OperationDefinition"]), key=lambda each: str(each["url"])),
        "value_sets": compile_value_sets(read_resources(expansions, ("ValueSet",)), required),
        "terminology": compile_terminology(read_resources(examples, ("CodeSystem", "ValueSet"))),
        "profiles": sorted(
            map(compile_profile, filter(_is_profile, kinds["StructureDefinition"])), key=lambda each: str(each["url"])
        ),
    }
    _check(content)
    return content


def compile_type(definition: Json) -> Json:
    """Return one type: name, kind, abstract, the type it derives from, elements in the order of the snapshot."""
    elements = [] if definition["kind"] == "primitive-type" else definition["snapshot"]["element"][1:]
    return {
        "name": definition["name"],
        "kind": definition["kind"],
        "abstract": definition["abstract"],
        "derived_from": definition.get("baseDefinition", "").removeprefix(STRUCTURE),
        "elements": [_element(element, definition["kind"]) for element in elements if element["max"] != "0"],
    }


def compile_profile(definition: Json) -> Json:
    """Return a profile of a resource type without what explains it to people."""
    kept = {name: definition[name] for name in PROFILE_MEMBERS}
    elements = definition["differential"]["element"]
    told = [{name: value for name, value in each.items() if name not in EXPLANATIONS} for each in elements]
    return {**kept, "differential": {"element": told}}


def _is_profile(definition: Json) -> bool:
    return definition["kind"] == "resource" and definition.get("derivation") == "constraint"


def _element(element: Json, kind: str) -> Json:
    binding = element.get("binding", {})
    return {
        "path": element["path"],
        "min": element["min"],
        "max": None if element["max"] == "*" else int(element["max"]),
        "types": [_element_type(each, element["path"], kind) for each in element.get("type", [])],
        "content_reference": element.get("contentReference", "").removeprefix("#"),
        "binding": _unversioned(binding["valueSet"]) if binding.get("strength") == "required" else "",
        "modifier": element.get("isModifier", False),
        "summary": element.get("isSummary", False),
    }


def _element_type(type_: Json, path: str, kind: str) -> Json:
    code = type_["code"]
    if code.startswith("http://hl7.org/fhirpath/System."):
        names = [each.get("valueUrl") for each in type_.get("extension", []) if each["url"].endswith("-fhir-type")]
        # The snapshot calls a resource's id a string, although its own text and the JSON schema make it an id.
        code = "id" if kind == "resource" and path.endswith(".id") and path.count(".") == 1 else names[0]
    targets = [profile.removeprefix(STRUCTURE) for profile in type_.get("targetProfile", [])]
    return {"code": code, "targets": [] if "Resource" in targets else targets}


_SWAPPED = "http://hl7.org/fhir/SearchParameter/DocumentReference-relationship"
"""A composite whose two components have each other's expression in R4 4.0.1 (a target is no code); R4B has it right."""


def compile_parameter(parameter: Json) -> Json:
    """Return one search parameter as the definition states it, for all its base types."""
    components = [[each["definition"], each["expression"]] for each in parameter.get("component", [])]
    if parameter["url"] == _SWAPPED:
        (first, target), (second, code) = components
        components = [[first, code], [second, target]]
    return {
        "url": parameter["url"],
        "code": parameter["code"],
        "base": parameter["base"],
        "type": parameter["type"],
        "expression": parameter["expression"],
        "target": parameter.get("target", []),
        "components": components,
    }


def compile_compartment(compartment: Json) -> dict[str, list[str]]:
    """Return per resource type the codes of the parameters that make it a member.

    The compartment's own resource belongs to it (https://hl7.org/fhir/R4/compartmentdefinition.html): said as `_id`.
    """
    members = {}
    for resource in compartment["resource"]:
        codes = [code for code in resource.get("param", []) if code != "{def}"]
        if resource["code"] == compartment["code"]:
            codes.insert(0, "_id")
        if codes:
            members[resource["code"]] = codes
    return members


def compile_operation(operation: Json) -> Json:
    """Return what a CapabilityStatement says about an operation."""
    return {
        "url": operation["url"],
        "code": operation["code"],
        "types": operation.get("resource", []),
        "system": operation["system"],
        "type": operation["type"],
        "instance": operation["instance"],
        "affects_state": operation.get("affectsState", False),
    }


def compile_value_sets(value_sets: Iterable[Json], wanted: set[str]) -> dict[str, Json]:
    """Return for the wanted value sets the systems and, where the expansion is whole and short, their codes.

    Shape: url → {"systems": {system: [code]}, "closed": bool}. An open one (media types, units) lists no codes.
    """
    compiled = {}
    for value_set in value_sets:
        if (url := value_set["url"]) not in wanted:
            continue
        systems: dict[str, list[str]] = {}
        for each in _concepts(value_set.get("expansion", {}).get("contains", [])):
            systems.setdefault(each["system"], []).append(each["code"])
        count = sum(map(len, systems.values()))
        if closed := 0 < count < VALUE_SET_CODE_LIMIT:
            compiled[url] = {"systems": systems, "closed": closed}
        else:
            include = value_set.get("compose", {}).get("include", [])
            compiled[url] = {"systems": {each["system"]: [] for each in include if "system" in each}, "closed": closed}
    return compiled


def compile_terminology(resources: Iterable[Json]) -> dict[str, dict[str, Json]]:
    """Return by type and URL the code systems and value sets of FHIR, as resources without what search does not need.

    Examples of code systems, and those of which FHIR knows no code, are left out.
    """
    compiled: dict[str, dict[str, Json]] = {"CodeSystem": {}, "ValueSet": {}}
    for resource in resources:
        kind, url = resource["resourceType"], resource["url"]
        kept: Json = {name: resource[name] for name in ("url", "version", "content") if name in resource}
        if kind == "ValueSet":
            parts = ("include", "exclude")
            compose = {part: list(map(_include, resource["compose"].get(part, ()))) for part in parts}
            compiled[kind][url] = {**kept, "compose": {part: found for part, found in compose.items() if found}}
        elif resource["content"] in {"complete", "fragment"}:
            compiled[kind][url] = {**kept, "concept": list(map(_concept, resource.get("concept", ())))}
    return compiled


def _include(include: Json) -> Json:
    concepts = {"concept": [{"code": each["code"]} for each in include["concept"]]} if "concept" in include else {}
    return {
        **{name: include[name] for name in ("system", "version", "filter", "valueSet") if name in include},
        **concepts,
    }


def _concept(concept: Json) -> Json:
    properties = [each for each in concept.get("property", ()) if each["code"] in CONCEPT_PROPERTIES]
    narrower = list(map(_concept, concept.get("concept", ())))
    parts = {"code": concept["code"], "property": properties, "concept": narrower}
    return {name: part for name, part in parts.items() if part}


def _concepts(contains: Iterable[Json]) -> Iterator[Json]:
    for concept in contains:
        if "code" in concept and not concept.get("abstract"):
            yield concept
        yield from _concepts(concept.get("contains", []))


def parameter_key(resource_type: str, code: str) -> int:
    """Return the stable signed 32-bit key of a search parameter of a type, as stored in index rows."""
    digest = hashlib.blake2b(f"{resource_type}.{code}".encode(), digest_size=4).digest()
    return int.from_bytes(digest, signed=True)


def _is_base(definition: Json) -> bool:
    return definition["kind"] != "logical" and definition.get("derivation") != "constraint"


def _is_compartment(compartment: Json) -> bool:
    # The package also holds the illustration of the CompartmentDefinition page, which has the code Device.
    code = compartment["code"]
    return bool(compartment["url"] == f"http://hl7.org/fhir/CompartmentDefinition/{code[:1].lower()}{code[1:]}")


def _is_parameter(parameter: Json) -> bool:
    # The package also holds drafts without base or expression, and the illustrations of the SearchParameter page.
    if not parameter.get("base") or not parameter.get("expression"):
        return False
    # A special parameter is code of its own, for its expression does not say what it does: these are supported.
    supported = parameter["type"] != "special" or parameter["id"] == "Location-near"
    return supported and not parameter["id"].startswith("example")


def _check(content: Json) -> None:
    concrete: list[str] = content["resource_types"]
    if len(concrete) != RESOURCE_TYPE_COUNT:
        raise BuildError(f"Expected {RESOURCE_TYPE_COUNT} resource types, found {len(concrete)}.")
    if missing := set(COMPARTMENTS) - content["compartments"].keys():
        raise BuildError(f"Compartments missing: {sorted(missing)}.")
    codes: dict[str, set[str]] = {name: set() for name in concrete}
    keys: dict[int, tuple[str, str]] = {}
    for parameter in content["search_parameters"]:
        for base in parameter["base"]:
            for name in concrete if base in {"Resource", "DomainResource"} else [base]:
                pair = (name, parameter["code"])
                if keys.setdefault(parameter_key(*pair), pair) != pair:
                    raise BuildError(f"The keys of {pair} and {keys[parameter_key(*pair)]} collide.")
                codes[name].add(parameter["code"])
    for compartment, members in content["compartments"].items():
        for name, member_codes in members.items():
            if unknown := set(member_codes) - codes[name]:
                raise BuildError(f"Compartment {compartment} names unknown parameters of {name}: {sorted(unknown)}.")


def _unversioned(canonical: str) -> str:
    return canonical.partition("|")[0]


def fingerprint() -> str:
    """Return what the artefact depends on: the pinned packages and this script."""
    parts = [EXAMPLES.integrity.encode(), EXPANSIONS.integrity.encode(), Path(__file__).read_bytes()]
    return hashlib.sha256(b"\0".join(parts)).hexdigest()


def is_current(out: Path) -> bool:
    """Return whether the artefact exists and was made by this script from these packages."""

    class Head(msgspec.Struct):
        fingerprint: str

    try:
        return msgspec.msgpack.decode(out.read_bytes(), type=Head).fingerprint == fingerprint()
    except (FileNotFoundError, msgspec.DecodeError):
        return False


def build(out: Path) -> bool:
    """Write the artefact unless it is current; return whether it was written. Atomic: readers see the old or the new.

    Raises:
        BuildError: See `fetch` and `compile_all`.
    """
    # The tests read the examples from the cache, so it is filled even where the artefact came with the checkout.
    examples, expansions = fetch(EXAMPLES), fetch(EXPANSIONS)
    if is_current(out):
        return False
    write(out, msgspec.msgpack.encode({"fingerprint": fingerprint(), **compile_all(examples, expansions)}))
    return True


if __name__ == "__main__":
    run("Compile the FHIR R4 definitions.", Path(__file__).with_name("r4.msgpack"), build)
