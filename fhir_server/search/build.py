"""Understand one search parameter: its name with modifier and chain, and its values, as a criterion.

Comes in: decoded name and value. Goes out: a `Criterion`, or a `FhirError` 400 that says what is supported instead.
https://hl7.org/fhir/R4/search.html#modifiers, #chaining, #has.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

from fhir_server.search import contained, date, index, keys, lists, quantity, reference, syntax
from fhir_server.search import text as full_text
from fhir_server.search.criteria import AnyOf, Chain, Composite, Has, HotDate, Indexed, Inside, Missing, Part
from fhir_server.search.model import Criterion, Match, Reading
from fhir_server.search.on_row import LastUpdated, LogicalId
from fhir_server.search.shapes import SHAPES, component_parameter
from fhir_server.search.token import TokenTest
from fhir_server.spec.definitions import SearchParameter
from fhir_server.spec.outcome import FhirError
from fhir_server.store.keys import reference_key

DEPTH_LIMIT = 6
_CRITERIA_LIMIT = 40
_HOP_BURDEN = 3
"""What is behind a hop counts for as many: it is looked for in rows of several tables."""
_BURDEN_LIMIT = 2_000
_BURDENS: Mapping[str, int] = {"date": 8, "number": 8, "quantity": 8, "composite": 16}
"""What a value costs to compile and plan, for types where it is more than one key in a list."""
_FEW_TYPES = 4
_KNOWN_KEYS_LIMIT = 1_000
"""Of what is known by id, which is found by its key where that is one of so many; no index has ids alone."""
_HAS_PARTS = 4
_NAMED_QUERY = "_query"
_SPECIAL = {**full_text.PARAMETERS, **dict.fromkeys((lists.CODE, _NAMED_QUERY), lists.PARAMETER)}
"""Parameters of every type, none of which an expression defines; what they have in common is a list of values."""
_NAMED_TARGETS = 10
_EVERY = 9


@dataclass(slots=True)
class Builder:
    """Makes the criteria of one search; counts them, so that no short query grows into a large one.

    Attributes:
        reading: What the shapes need.
        made: Criteria made so far.
        burden: What the values met so far cost, those of all chains counted.
    """

    reading: Reading
    made: int = 0
    burden: int = 0

    def criterion(self, types: tuple[str, ...], name: str, value: str, depth: int = 0) -> Criterion | None:
        """Return the criterion of one parameter on resources of these types (none means every type).

        None where the value is empty: "Empty parameters are not an error - they are just ignored".

        Raises:
            FhirError: 400 naming the parameter and what is supported.
        """
        self.reach(name, depth)
        if name.startswith("_has:"):
            source, parameter, rest = self.has(types, name)
            inner = self.criterion((source,), rest, value, depth + 1)
            return self.referring(source, parameter, inner) if inner else None
        head, dot, rest = name.partition(".")
        code, _, modifier = head.partition(":")
        if code in _SPECIAL and not dot:
            return self._special(types, code, modifier, value, depth)
        parameters = self.parameters(types, code)
        if dot:
            further = rest.partition(".")[0].partition(":")[0]
            return self.chain(
                parameters, modifier, (further,), lambda targets: self.criterion(targets, rest, value, depth + 1)
            )
        texts = self._values(_together(parameters), value, modifier)
        if not texts:
            return None
        if modifier == "missing":
            return self.missing(parameters, texts)
        if code in index.ON_THE_ROW:
            return self.on_the_row(types, parameters[0], modifier, texts)
        if parameters[0].type == "composite":
            return self.composite(parameters, modifier, texts)
        return self.indexed(types, parameters, self.read(_together(parameters), modifier, texts))

    def _special(self, types: tuple[str, ...], code: str, modifier: str, value: str, depth: int) -> Criterion | None:
        """Return the criterion of a parameter that no expression defines."""
        if code == _NAMED_QUERY:
            raise syntax.unsupported(code, "names a query of the server's own; this server has none: use parameters.")
        values = self._values(_SPECIAL[code], value)
        if not values:
            return None
        if code != lists.CODE:
            return full_text.criterion(code, modifier, values)
        return lists.criterion(
            types, modifier, values, self.reading, lambda kinds, name, text: self.criterion(kinds, name, text, depth)
        )

    def reach(self, name: str, depth: int) -> None:
        """Count one criterion more, this many hops away.

        Raises:
            FhirError: 400 when that is too far or too many.
        """
        self.made += _HOP_BURDEN if depth else 1
        if depth > DEPTH_LIMIT or self.made > _CRITERIA_LIMIT:
            raise syntax.invalid(
                name,
                f"reaches too far: at most {DEPTH_LIMIT} hops, and {_CRITERIA_LIMIT} criteria in all, "
                f"of which one behind a hop counts for {_HOP_BURDEN}.",
            )

    def supported(self, types: tuple[str, ...]) -> Mapping[str, SearchParameter]:
        """Return the parameters that all of these types share, by code."""
        definitions = self.reading.definitions
        first, *others = types or tuple(sorted(definitions.resource_types))
        shared = dict(definitions.search_parameters(first))
        for other in others:
            known = definitions.search_parameters(other)
            shared = {code: each for code, each in shared.items() if code in known and known[code].type == each.type}
        return {code: each for code, each in shared.items() if each.url not in definitions.unready}

    def parameters(self, types: tuple[str, ...], code: str) -> tuple[SearchParameter, ...]:
        """Return a parameter for each of these types (none means every type).

        Raises:
            FhirError: 400 when not all have it, or it is not of one kind for all.
        """
        definitions = self.reading.definitions
        every = types or tuple(sorted(definitions.resource_types))
        found = [definitions.search_parameters(name).get(code) for name in every]
        known = tuple(parameter for parameter in found if parameter is not None)
        if len(known) == len(every) and len({parameter.type for parameter in known}) == 1:
            if definitions.unready and any(parameter.url in definitions.unready for parameter in known):
                raise syntax.unsupported(code, "is being indexed; search with it when that is done.")
            return known
        what = types[0] if len(types) == 1 else "all of the searched types"
        raise syntax.unsupported(code, f"is not supported for {what}. Supported: {', '.join(self.supported(types))}.")

    def _values(self, parameter: SearchParameter, value: str, modifier: str = "") -> list[str]:
        texts = [text for text in syntax.split(value, ",") if text]
        limit = SHAPES[parameter.type].VALUES_LIMIT if parameter.type in SHAPES else 100
        if len(texts) > limit:
            raise syntax.invalid(parameter.code, f"lists {len(texts)} values; at most {limit} are allowed.")
        if parameter.type == "reference" and modifier != "missing":
            self.burden += reference.burden(parameter, modifier, texts, self.reading.definitions)
        else:
            self.burden += len(texts) * _BURDENS.get(parameter.type, 1)
        if self.burden > _BURDEN_LIMIT:
            counted = ", ".join(f"a {kind} counts for {each}" for kind, each in _BURDENS.items())
            raise syntax.invalid(
                parameter.code,
                f"brings the search to more than {_BURDEN_LIMIT} values, of which {counted}, "
                "and an id without its type for more where it may be of many types.",
            )
        if any(len(text) > syntax.VALUE_CHARACTERS for text in texts):
            raise syntax.invalid(parameter.code, f"has a value longer than {syntax.VALUE_CHARACTERS} characters.")
        if "\0" in value:
            raise syntax.invalid(parameter.code, "has a NUL character, which no FHIR text can have.")
        return texts

    def missing(self, parameters: tuple[SearchParameter, ...], texts: Sequence[str]) -> Criterion:
        """Return that a parameter has no value at all (or has one)."""
        code = parameters[0].code
        if texts not in (["true"], ["false"]):
            raise syntax.invalid(f"{code}:missing", "is true or false.")
        if code in index.ON_THE_ROW:
            return LogicalId((), (), negated=texts == ["false"], rank=_EVERY)
        table, suffix = SHAPES.get(parameters[0].type), ""
        if table is None:
            part = component_parameter(self.reading.definitions, parameters[0], parameters[0].components[0])
            table, suffix = SHAPES[part.type], keys.part(0)
        params = tuple(keys.of(parameter, suffix) for parameter in parameters)
        return Missing((table.TABLE,), params, missing=texts == ["true"])

    def on_the_row(
        self, types: tuple[str, ...], parameter: SearchParameter, modifier: str, texts: Sequence[str]
    ) -> Criterion:
        """Return the criterion of a parameter that columns of the row answer."""
        if parameter.code == "_lastUpdated":
            if modifier:
                raise self._modifier(parameter, modifier, {""})
            found = date.read(parameter, "", texts, self.reading)
            assert isinstance(found.test, date.DateTest)  # noqa: S101 - what this shape reads
            return LastUpdated(found.test)
        if modifier not in {"", "not"}:
            raise self._modifier(parameter, modifier, {"", "not"})
        ids = tuple(syntax.unescape(text) for text in texts)
        every = types or tuple(sorted(self.reading.definitions.resource_types))
        known = len(every) <= _FEW_TYPES or len(every) * len(ids) <= _KNOWN_KEYS_LIMIT
        row_keys = tuple(reference_key(name, each) for name in every for each in ids) if known else ()
        negated = modifier == "not"
        return LogicalId(ids, row_keys, negated=negated, rank=_EVERY if negated or not known else 0)

    def indexed(self, types: tuple[str, ...], parameters: tuple[SearchParameter, ...], found: Match) -> Criterion:
        """Return the criterion of what was understood of one parameter's values."""
        first = parameters[0]
        criterion = Indexed(
            found.table,
            tuple(keys.of(parameter, each) for parameter in parameters for each in (found.suffix, *found.also)),
            found.test,
            found.negated,
            found.rank,
        )
        return self._narrowed(types[0], first, found, criterion) if len(types) == 1 else criterion

    def _narrowed(self, type_: str, parameter: SearchParameter, found: Match, plain: Indexed) -> Criterion:
        """Return the criterion with what the hot columns of this type know about it."""
        definitions = self.reading.definitions
        if isinstance(found.test, date.DateTest) and parameter.code == index.hot_date(definitions, type_):
            return HotDate(found.test, plain)
        if isinstance(found.test, quantity.QuantityTest) and index.is_hot_quantity(parameter):
            return replace(plain, on_tokens=True)
        if not found.hot or found.negated or found.table != SHAPES[parameter.type].TABLE:
            return plain
        if parameter.code == index.hot_code(definitions, type_):
            # A narrow column condition leads better than any index but an identifier's or a reference's.
            suffice = isinstance(found.test, TokenTest) and not found.test.of_system
            return replace(plain, codes=found.hot, codes_suffice=suffice, rank=min(plain.rank, 3))
        return plain

    def read(self, parameter: SearchParameter, modifier: str, texts: Sequence[str]) -> Match:
        """Return what the index rows of a parameter must satisfy.

        Raises:
            FhirError: 400 when the modifier or a value is not understood.
        """
        shape = SHAPES[parameter.type]
        if parameter.type == "reference" and modifier == "identifier":
            return SHAPES["token"].read(parameter, "", texts, self.reading)
        names_type = parameter.type == "reference" and modifier in self.reading.definitions.resource_types
        if modifier not in shape.MODIFIERS and not names_type:
            raise self._modifier(parameter, modifier, shape.MODIFIERS)
        return shape.read(parameter, modifier, texts, self.reading)

    @staticmethod
    def _modifier(parameter: SearchParameter, modifier: str, allowed: frozenset[str] | set[str]) -> FhirError:
        names = sorted(f":{name}" for name in {*allowed, "missing"} if name)
        types = " and resource types" if parameter.type == "reference" else ""
        return syntax.unsupported(
            f"{parameter.code}:{modifier}",
            f"has a modifier that is not supported. Supported: {', '.join(names)}{types}.",
        )

    def composite(self, parameters: tuple[SearchParameter, ...], modifier: str, texts: Sequence[str]) -> Criterion:
        """Return that the parts of a composite hold within one occurrence of its element."""
        first = parameters[0]
        if modifier:
            raise self._modifier(first, modifier, {""})
        parts = [component_parameter(self.reading.definitions, first, each) for each in first.components]
        alternatives = []
        for text in texts:
            values = syntax.split(text, "$")
            if len(values) != len(parts) or not all(values):
                names = "$".join(f"[{part.code}]" for part in parts)
                raise syntax.invalid(first.code, f"is {names}; write a $ within a value as \\$.")
            alternative = []
            for position, (part, value) in enumerate(zip(parts, values, strict=True)):
                found = self.read(part, "", [value])
                params = tuple(keys.of(parameter, keys.part(position)) for parameter in parameters)
                alternative.append(Part(found.table, params, found.test))
            alternatives.append(tuple(alternative))
        return Composite(tuple(alternatives))

    def chain(
        self,
        parameters: tuple[SearchParameter, ...],
        modifier: str,
        codes: Sequence[str],
        beyond: Callable[[tuple[str, ...]], Criterion | None],
    ) -> Criterion | None:
        """Return the criterion of a hop along a reference.

        Args:
            parameters: The reference parameter of each searched type.
            modifier: Type of the target, "" for any.
            codes: Parameters that targets need to have.
            beyond: Returns what targets of some types must meet, None for nothing.

        Raises:
            FhirError: 400 when it is no reference, or no target has what follows.
        """
        first, known = parameters[0], self.reading.definitions.resource_types
        if first.type != "reference":
            raise syntax.unsupported(first.code, "is no reference, so no parameter can follow it after a dot.")
        if modifier and modifier not in known:
            raise self._modifier(first, modifier, {"[type]"})
        targets = {target for parameter in parameters for target in (parameter.targets or known)}
        if modifier and modifier not in targets:
            raise syntax.invalid(f"{first.code}:{modifier}", f"points to {', '.join(sorted(targets))}.")
        params = tuple(parameter.key for parameter in parameters)
        groups = [(modifier,)] if modifier else self._groups(sorted(targets), codes)
        by_url = any(reference.by_url(self.reading.definitions, parameter) for parameter in parameters)
        chains: list[Criterion] = []
        for group in groups:
            inner = beyond(group)
            if inner is None:
                return None
            chains.append(Chain(params, group, inner, inside=self._inside(params, group, inner)))
            if by_url:
                chains.append(Chain(params, group, inner, by_url=True))
        return chains[0] if len(chains) == 1 else AnyOf(tuple(chains))

    def _inside(self, params: tuple[int, ...], types: tuple[str, ...], inner: Criterion) -> Inside | None:
        """Return what a chain finds in resources themselves; "a chained condition will be evaluated inside" them.

        None where none contains these types, so that most records pay a look for it alone.
        """
        terms = self.reading.terms
        return contained.inside(params, types, inner) if terms and terms.are_contained(types) else None

    def referring(self, source: str, parameter: SearchParameter, inner: Criterion) -> Criterion:
        """Return that a resource of a type refers here with a parameter, by URL where it may, and meets a criterion."""
        plain = Has(source, (parameter.key,), inner)
        by_url = reference.by_url(self.reading.definitions, parameter)
        return AnyOf((plain, replace(plain, by_url=True))) if by_url else plain

    def _groups(self, targets: Sequence[str], codes: Sequence[str]) -> list[tuple[str, ...]]:
        """Return the target types that have the parameters that follow, grouped by the types of these."""
        groups: dict[tuple[str, ...], list[str]] = defaultdict(list)
        for target in targets:
            known = self.reading.definitions.search_parameters(target)
            if all(code in known or code == "_has" or code in _SPECIAL for code in codes):
                groups[tuple(known[code].type if code in known else code for code in codes)].append(target)
        if not groups:
            what = "' and '".join(codes)
            raise syntax.unsupported(what, f"is not supported for any of {', '.join(targets[:_NAMED_TARGETS])}.")
        return [tuple(group) for group in groups.values()]

    def has(self, types: tuple[str, ...], name: str) -> tuple[str, SearchParameter, str]:
        """Return the type that refers here in `_has`, the parameter it does so with, and what follows.

        Raises:
            FhirError: 400 naming what is not understood, or never finds anything.
        """
        parts = name.split(":", _HAS_PARTS - 1)
        if len(parts) != _HAS_PARTS or not all(parts):
            raise syntax.invalid(name, "is _has:[type]:[reference parameter]:[parameter].")
        _, source, code, rest = parts
        if source not in self.reading.definitions.resource_types:
            raise syntax.unsupported(name, f"names {syntax.shown(source)}, which is no resource type.")
        parameter = self.parameters((source,), code)[0]
        if parameter.type != "reference":
            raise syntax.unsupported(name, f"needs a reference parameter of {source}, which {code} is not.")
        if types and parameter.targets and not set(types) & set(parameter.targets):
            raise syntax.invalid(
                name, f"never finds anything: {source}.{code} points to {', '.join(parameter.targets)}."
            )
        return source, parameter, rest


def _together(parameters: Sequence[SearchParameter]) -> SearchParameter:
    """Return the parameter by which values are read for several types: it points to whatever that of one points to."""
    first, *others = parameters
    if not others or first.type != "reference":
        return first
    alike = all(parameter.targets for parameter in parameters)
    targets = {target for parameter in parameters for target in parameter.targets} if alike else ()
    return replace(first, targets=tuple(sorted(targets)))
