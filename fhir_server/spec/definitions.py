"""The facts of FHIR R4 at run time: types, search parameters, compartments, operations, value sets.

Comes in: the artefact of `build_definitions.py`, and the SearchParameter resources of our own `profiles/`.
Goes out: one immutable `Definitions`, cheap to load, for each type is decoded when it is first asked for.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable, KeysView, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple

import msgspec

from fhir_server.spec import paths
from fhir_server.spec.build_definitions import compile_parameter, parameter_key
from fhir_server.spec.elements import Child, Element, TypeDefinition
from fhir_server.spec.profile_registry import Profiles
from fhir_server.spec.routes import Route, find_routes, root

ARTEFACT = Path(__file__).with_name("r4.msgpack")


_OF_PARAMETERS = frozenset({"nodes", "composites", "owning", "index"})
"""For which purposes `Definitions.compiled` rests on search parameters."""


class DefinitionsError(Exception):
    """The definitions are missing, or a search parameter of our own contradicts them."""


class Component(NamedTuple):
    """One part of a composite parameter.

    Attributes:
        code: Code of the parameter that says how to compare the part.
        expression: Where the part is, seen from the element the composite's own expression finds.
        definition: URL of that parameter.
        type: Type of that parameter.
    """

    code: str
    expression: str
    definition: str
    type: str


@dataclass(frozen=True, slots=True)
class SearchParameter:
    """A search parameter of one resource type.

    Attributes:
        key: Stable signed 32-bit number of (resource type, code), as stored in index rows.
        code: Its name in a search URL.
        type: `number`, `date`, `string`, `token`, `reference`, `composite`, `quantity` or `uri`.
        resource_type: The concrete type, even for a parameter every resource has.
        expression: FHIRPath over all its base types.
        targets: For a reference, the types this one may point to; empty when any.
        components: For a composite, its parts in order.
        url: Canonical URL.
        system: For a parameter on bound `code` elements, the system their value set implies; else None.
    """

    key: int
    code: str
    type: str
    resource_type: str
    expression: str
    targets: tuple[str, ...]
    components: tuple[Component, ...]
    url: str
    system: str | None = None


class Operation(msgspec.Struct, frozen=True):
    """An operation of FHIR itself, as much as a CapabilityStatement says of it."""

    url: str
    code: str
    types: tuple[str, ...]
    system: bool
    type: bool
    instance: bool
    affects_state: bool


class _Parameter(msgspec.Struct, frozen=True):
    url: str
    code: str
    base: tuple[str, ...]
    type: str
    expression: str
    target: tuple[str, ...]
    components: tuple[tuple[str, str], ...]


class _Type(msgspec.Struct, frozen=True):
    name: str
    kind: str
    abstract: bool
    derived_from: str
    elements: tuple[Element, ...]


class _ValueSet(msgspec.Struct, frozen=True):
    systems: dict[str, tuple[str, ...]]
    closed: bool


class _Content(msgspec.Struct, frozen=True):
    resource_types: tuple[str, ...]
    types: dict[str, msgspec.Raw]
    search_parameters: tuple[_Parameter, ...]
    compartments: dict[str, dict[str, tuple[str, ...]]]
    operations: tuple[Operation, ...]
    value_sets: dict[str, msgspec.Raw]
    terminology: msgspec.Raw
    profiles: tuple[dict[str, Any], ...]


@dataclass(frozen=True)
class Definitions:
    """What FHIR R4 says, with our additions. Make it with `load`; share one per process."""

    _content: _Content
    _parameters: tuple[_Parameter, ...]
    _types: dict[str, TypeDefinition] = field(default_factory=dict)
    _by_type: dict[str, Mapping[str, SearchParameter]] = field(default_factory=dict)
    _value_sets: dict[str, _ValueSet] = field(default_factory=dict)
    _known_routes: dict[tuple[str, str, bool], tuple[Route, ...]] = field(default_factory=dict)
    # INVARIANT: only `spec` and the write face of search (`index`) keep here what they compiled, one entry per resource
    # type or element path and purpose.
    compiled: dict[tuple[str, Hashable], Any] = field(default_factory=dict)
    unready: frozenset[str] = frozenset()
    """URLs of parameters that are indexed, but of which not all of the index is there yet."""
    profiles: Profiles = field(default_factory=Profiles)
    """The profiles that resources are held to where they claim them, or the configuration requires them."""
    base: Definitions | None = field(default=None, repr=False)
    """The definitions without what an operator added; None where these are they."""

    @cached_property
    def resource_types(self) -> frozenset[str]:
        """Return the 146 concrete resource types."""
        return frozenset(self._content.resource_types)

    @property
    def operations(self) -> tuple[Operation, ...]:
        """Return the operations FHIR defines, by URL."""
        return self._content.operations

    def is_type(self, name: str) -> bool:
        """Return whether FHIR defines a type of this name, abstract and primitive ones included."""
        return name in self._content.types

    def type(self, name: str) -> TypeDefinition:
        """Return the definition of a type.

        Raises:
            KeyError: No such type; ask `is_type` first where the name comes from outside.
        """
        if found := self._types.get(name):
            return found
        raw = msgspec.msgpack.decode(self._content.types[name], type=_Type)
        elements = MappingProxyType({element.path: element for element in raw.elements})
        made = TypeDefinition(raw.name, raw.kind, raw.abstract, raw.derived_from, elements)
        return self._types.setdefault(name, made)

    def is_a(self, name: str, ancestor: str) -> bool:
        """Return whether a type is, or derives from, another."""
        while name != ancestor and self.is_type(name):
            name = self.type(name).derived_from
        return name == ancestor

    def fields(self, path: str) -> Mapping[str, tuple[Child, ...]]:
        """Return the children of a type or inline structure by name, one per type of a choice; empty for a primitive.

        Args:
            path: Such as `Observation`, `Observation.component` or `CodeableConcept`.
        """
        return self.type(path.partition(".")[0]).fields.get(path, {})

    def value_set(self, url: str) -> frozenset[str] | None:
        """Return the codes of a value set that FHIR binds somewhere as required; None when it is open or unknown."""
        found = self._value_set(url)
        return frozenset().union(*found.systems.values()) if found and found.closed else None

    def code_systems(self, url: str) -> Mapping[str, tuple[str, ...]]:
        """Return the systems of a value set with their codes, which are empty when it is open; none when unknown."""
        found = self._value_set(url)
        return found.systems if found else {}

    def terminology(self, kind: str, url: str) -> Mapping[str, Any] | None:
        """Return a CodeSystem or ValueSet of FHIR by its URL, as a resource with no more than search needs.

        Args:
            kind: `CodeSystem` (those whose codes FHIR knows) or `ValueSet`.
            url: Canonical URL without version.
        """
        raw = self._terminology[kind].get(url)
        return None if raw is None else msgspec.msgpack.decode(raw, type=dict[str, Any])

    def terminology_urls(self, kind: str) -> tuple[str, ...]:
        """Return the URLs that `terminology` knows, by kind."""
        return tuple(self._terminology[kind])

    @cached_property
    def _terminology(self) -> dict[str, dict[str, msgspec.Raw]]:
        # Few workers ever look here, so the names are decoded when one does.
        return msgspec.msgpack.decode(self._content.terminology, type=dict[str, dict[str, msgspec.Raw]])

    def compartment_parameters(self, compartment: str, resource_type: str) -> tuple[str, ...]:
        """Return the codes of the parameters that put a resource into a compartment; empty when it is never in one.

        The compartment's own type starts with `_id`, for a patient belongs to their own compartment
        (https://hl7.org/fhir/R4/compartmentdefinition.html).
        """
        return self._content.compartments[compartment].get(resource_type, ())

    @property
    def compartments(self) -> tuple[str, ...]:
        """Return the names of the compartments."""
        return tuple(self._content.compartments)

    def search_parameters(self, resource_type: str) -> Mapping[str, SearchParameter]:
        """Return the search parameters of a type by code, those of every resource (`_id`, …) included.

        Raises:
            KeyError: Not a concrete resource type.
        """
        if (found := self._by_type.get(resource_type)) is not None:
            return found
        if resource_type not in self.resource_types:
            raise KeyError(resource_type)
        ancestors = {resource_type, "Resource"}
        if self.is_a(resource_type, "DomainResource"):
            ancestors.add("DomainResource")
        mine = [each for each in self._parameters if not ancestors.isdisjoint(each.base) and _is_supported(each)]
        made = {each.code: self._specialise(each, resource_type) for each in sorted(mine, key=lambda each: each.code)}
        return self._by_type.setdefault(resource_type, MappingProxyType(made))

    @property
    def unsupported(self) -> tuple[str, ...]:
        """Return the URLs of the search parameters left out because their expression is beyond `paths.py`."""
        return tuple(each.url for each in self._parameters if not _is_supported(each))

    def routes(self, resource_type: str, expression: str) -> tuple[Route, ...]:
        """Return the ways of an expression through a resource type, conditions left out."""
        return self._routes(resource_type, expression, whole_extensions=False)

    def element_routes(self, resource_type: str, expression: str) -> tuple[Route, ...]:
        """Return the ways of a composite's expression to the elements whose parts are compared."""
        return self._routes(resource_type, expression, whole_extensions=True)

    def _routes(self, resource_type: str, expression: str, *, whole_extensions: bool) -> tuple[Route, ...]:
        # Expressions are those of parameters, of which there are so many.
        key = (resource_type, expression, whole_extensions)
        if (known := self._known_routes.get(key)) is not None:
            return known
        paths_ = [each for each in paths.parse(expression) if isinstance(each, paths.Path)]
        start = root(resource_type)
        found = (find_routes(self, each, start, whole_extensions=whole_extensions) for each in paths_)
        return self._known_routes.setdefault(key, tuple(dict.fromkeys(route for routes in found for route in routes)))

    def parameter_type(self, url: str) -> str:
        """Return the type of the search parameter of this URL, "" where there is none."""
        return self._by_url[url].type if url in self._by_url else ""

    @property
    def parameter_urls(self) -> KeysView[str]:
        """Return the URLs of all search parameters."""
        return self._by_url.keys()

    @cached_property
    def _by_url(self) -> Mapping[str, _Parameter]:
        return {each.url: each for each in self._parameters}

    def _value_set(self, url: str) -> _ValueSet | None:
        if found := self._value_sets.get(url):
            return found
        if (raw := self._content.value_sets.get(url)) is None:
            return None
        return self._value_sets.setdefault(url, msgspec.msgpack.decode(raw, type=_ValueSet))

    def _specialise(self, parameter: _Parameter, resource_type: str) -> SearchParameter:
        routes = self.routes(resource_type, parameter.expression)
        components = []
        for definition, expression in parameter.components:
            part = self._by_url[definition]
            components.append(Component(part.code, expression, definition, part.type))
        return SearchParameter(
            key=parameter_key(resource_type, parameter.code),
            code=parameter.code,
            type=parameter.type,
            resource_type=resource_type,
            expression=parameter.expression,
            targets=_targets(parameter, routes),
            components=tuple(components),
            url=parameter.url,
            system=self._implied_system(routes),
        )

    def _implied_system(self, routes: tuple[Route, ...]) -> str | None:
        bindings = {route.binding for route in routes if route.type == "code"}
        systems = {system for binding in bindings for system in self.code_systems(binding)}
        return systems.pop() if len(systems) == 1 and "" not in bindings else None


def load(path: Path | None = None, extra: Iterable[Mapping[str, Any]] = ()) -> Definitions:
    """Return the definitions.

    Args:
        path: The artefact; by default the one that ships with the package.
        extra: SearchParameter resources of our own, added to those of FHIR.

    Raises:
        DefinitionsError: The artefact is missing or of another version, or an extra parameter is incomplete, takes the
            code or key of another one, or has an expression beyond the supported subset.
    """
    artefact = path or ARTEFACT
    try:
        content = msgspec.msgpack.decode(artefact.read_bytes(), type=_Content)
    except FileNotFoundError as error:
        raise DefinitionsError(
            f"{artefact.name} is missing: run `python -m fhir_server.spec.build_definitions`."
        ) from error
    except msgspec.DecodeError as error:
        raise DefinitionsError(f"{artefact.name} is damaged or of another version: build it again.") from error
    made = Definitions(content, content.search_parameters, profiles=Profiles(content.profiles))
    return with_additions(made, extra)


def with_additions(definitions: Definitions, extra: Iterable[Mapping[str, Any]]) -> Definitions:
    """Return the definitions with further search parameters.

    Raises:
        DefinitionsError: As `load` does for one of them.
    """
    additions = tuple(map(_parse_extra, extra))
    if not additions:
        return definitions
    # What is compiled of types serves on; what is compiled of their search parameters does not.
    kept = {key: made for key, made in definitions.compiled.items() if key[0] not in _OF_PARAMETERS}
    made = replace(definitions, _parameters=definitions._parameters + additions, _by_type={}, compiled=kept)  # noqa: SLF001
    _check_additions(made, made._parameters)  # noqa: SLF001 - its own kind
    return made


def _parse_extra(resource: Mapping[str, Any]) -> _Parameter:
    try:
        parameter = msgspec.convert(compile_parameter(dict(resource)), _Parameter)
        paths.parse(parameter.expression)
    except (KeyError, msgspec.ValidationError, paths.UnsupportedExpressionError) as error:
        raise DefinitionsError(f"SearchParameter {resource.get('url')}: {error!r}") from error
    components = ((definition_of({"definition": url}), expression) for url, expression in parameter.components)
    return msgspec.structs.replace(parameter, components=tuple(components))


def definition_of(component: Mapping[str, Any]) -> str:
    """Return the URL of the search parameter that says how a part of a composite is compared, without its version."""
    return str(component["definition"]).partition("|")[0]


def _check_additions(definitions: Definitions, parameters: tuple[_Parameter, ...]) -> None:
    taken: dict[int, tuple[str, str]] = {}
    for parameter in parameters:
        for url, _ in parameter.components:
            if definitions.parameter_type(url) in {"", "composite", "special"}:
                raise DefinitionsError(f"SearchParameter {parameter.url}: {url} is nothing that a part is compared by.")
        for base in parameter.base:
            if not definitions.is_type(base):
                raise DefinitionsError(f"SearchParameter {parameter.url}: unknown base {base}.")
            everywhere = definitions.type(base).abstract
            for name in definitions.resource_types if everywhere else [base]:
                key = parameter_key(name, parameter.code)
                if key in taken:
                    raise DefinitionsError(f"SearchParameter {parameter.url}: {name}.{parameter.code} is taken.")
                taken[key] = (name, parameter.code)


def _targets(parameter: _Parameter, routes: tuple[Route, ...]) -> tuple[str, ...]:
    """Return what the parameter allows and the elements allow; either side may leave it open."""
    if parameter.type != "reference":
        return ()
    if any(not route.targets for route in routes):
        return parameter.target
    reachable = dict.fromkeys(target for route in routes for target in route.targets)
    return tuple(each for each in reachable if each in parameter.target or not parameter.target)


def _is_supported(parameter: _Parameter) -> bool:
    try:
        paths.parse(parameter.expression)
        for _, expression in parameter.components:
            paths.parse(expression)
    except paths.UnsupportedExpressionError:
        return False
    return True
