"""Understand the parameters that shape a result: order, page size, includes, summaries.

https://hl7.org/fhir/R4/search.html#return. Comes in: decoded values. Goes out: values of `model`, or a `FhirError`
400 that says what is supported.
"""

from __future__ import annotations

from collections.abc import Sequence

from fhir_server.search import index, reference, syntax
from fhir_server.search.build import Builder
from fhir_server.search.model import Include, SortKey
from fhir_server.search.shapes import SHAPES
from fhir_server.search.text import SCORE, score_key
from fhir_server.spec.definitions import Definitions

DEFAULT_COUNT = 50
MAXIMUM_COUNT = 1_000
_SORT_KEYS_LIMIT = 6
INCLUDES_LIMIT = 50
_DIGITS_LIMIT = 9

SUMMARIES = ("true", "text", "data", "count", "false")
TOTALS = ("none", "estimate", "accurate")
CONTAINED = ("true", "false", "both")
CONTAINED_TYPES = ("container", "contained")


def count(value: str) -> int:
    """Return the page size: the one asked for, at most `MAXIMUM_COUNT`."""
    if not value.isascii() or not value.isdigit():
        raise syntax.invalid("_count", f"is a whole number from 0; pages have at most {MAXIMUM_COUNT} matches.")
    digits = value.lstrip("0")
    return MAXIMUM_COUNT if len(digits) > _DIGITS_LIMIT else min(int(digits or "0"), MAXIMUM_COUNT)


def choice(name: str, value: str, allowed: Sequence[str]) -> str:
    """Return a value that must be one of a few."""
    if value not in allowed:
        raise syntax.invalid(name, f"is one of {', '.join(allowed)}.")
    return value


def sort_keys(builder: Builder, types: tuple[str, ...], value: str) -> tuple[SortKey, ...]:
    """Return the keys of `_sort=a,-b`."""
    texts = [text for text in value.split(",") if text]
    if len(texts) > _SORT_KEYS_LIMIT:
        raise syntax.invalid("_sort", f"has at most {_SORT_KEYS_LIMIT} keys.")
    return tuple(_sort_key(builder, types, text.removeprefix("-"), text.startswith("-")) for text in texts)


def _sort_key(builder: Builder, types: tuple[str, ...], code: str, descending: bool) -> SortKey:  # noqa: FBT001 - pair
    if code in index.ON_THE_ROW:
        return SortKey(code, (), descending)
    if code == SCORE:
        return score_key(descending=descending)
    supported = builder.supported(types)
    sortable = sorted(name for name, each in supported.items() if each.type in SHAPES and each.type != "special")
    if code not in sortable:
        raise syntax.unsupported(
            "_sort",
            f"cannot order by '{syntax.shown(code)}'. Supported, - before it for descending: {', '.join(sortable)}.",
        )
    definitions = builder.reading.definitions
    every = types or tuple(sorted(definitions.resource_types))
    hot = len(every) == 1 and code == index.hot_date(definitions, every[0])
    parameters = tuple(definitions.search_parameters(name)[code] for name in every)
    return SortKey(code, parameters, descending, hot)


def includes(definitions: Definitions, types: tuple[str, ...], name: str, values: Sequence[str]) -> tuple[Include, ...]:
    """Return the includes of one parameter name, such as `_include:iterate`.

    Raises:
        FhirError: 400 when the modifier, type or parameter is unknown.
    """
    base, _, modifier = name.partition(":")
    if modifier not in {"", "iterate", "recurse"}:
        raise syntax.unsupported(name, "has a modifier that is not supported. Supported: :iterate.")
    reverse = base == "_revinclude"
    return tuple(
        _include(definitions, types, (base, value), iterate=bool(modifier), reverse=reverse) for value in values
    )


def _include(
    definitions: Definitions, types: tuple[str, ...], written: tuple[str, str], *, iterate: bool, reverse: bool
) -> Include:
    name, value = written
    parts = value.split(":")
    source = parts[0]
    if value == "*":
        return Include(() if reverse or iterate else types, (), "", iterate, reverse, by_url=True)
    if source not in definitions.resource_types or len(parts) not in {2, 3}:
        raise syntax.unsupported(
            name, "is [type]:[reference parameter], [type]:[parameter]:[target type], [type]:* or *."
        )
    target = parts[2] if parts[2:] else ""
    if target and target not in definitions.resource_types:
        raise syntax.unsupported(name, f"names {syntax.shown(target)}, which is no resource type.")
    known = definitions.search_parameters(source)
    if parts[1] == "*":
        every = tuple(each.key for each in known.values() if each.type == "reference")
        return Include((source,), every, target, iterate, reverse, by_url=True)
    if parts[1] not in known or known[parts[1]].type != "reference":
        references = sorted(code for code, each in known.items() if each.type == "reference")
        raise syntax.unsupported(
            name, f"names '{syntax.shown(parts[1])}'; reference parameters of {source}: {', '.join(references)}."
        )
    if known[parts[1]].url in definitions.unready:
        raise syntax.unsupported(name, f"names '{parts[1]}', which is being indexed; include by it when that is done.")
    by_url = reference.by_url(definitions, known[parts[1]])
    return Include((source,), (known[parts[1]].key,), target, iterate, reverse, by_url)
