"""The functions and operators of FHIRPath that invariants use, over lists of JSON values (https://hl7.org/fhirpath/N1/).

INVARIANT: none takes more than linear time, and none raises whatever the JSON is: it may not be valid yet.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from decimal import Decimal
from typing import Any, NamedTuple

from fhir_server.spec.primitives import PRIMITIVES
from fhir_server.spec.values import date_interval

Items = list[Any]
_NUMBERS = (int, Decimal)
_ITEMS_LIMIT = 10_000
_REPEATS_LIMIT = 3
_WIDEST_ZONE_US = 14 * 3_600_000_000
_PATTERN = re.compile(r"\\.|\[\^?\]?(?:\\.|[^\]\\])*\]|\{[0-9,]+\}|\(\?[:=!]|.", re.DOTALL)
MATCHED_LENGTH = 512
"""A longer text is not held to a regular expression from outside."""


class UncompilableError(ValueError):
    """The expression is beyond the subset."""


class TooManyItemsError(Exception):
    """An expression from outside makes more items than it may."""


class Function(NamedTuple):
    """A function of the items before the dot and of the value of its argument."""

    run: Callable[[Items, Items], Items]
    arguments: int


def bounded(function: Callable[[Items, Any], Items]) -> Callable[[Items, Any], Items]:
    """Return a function that gives up where it would make very many items.

    Raises:
        TooManyItemsError: When it does.
    """

    def run(items: Items, argument: Any) -> Items:
        found = function(items, argument)
        if len(found) > _ITEMS_LIMIT:
            raise TooManyItemsError
        return found

    return run


def is_cheap(pattern: str) -> bool:
    """Return whether a regular expression from outside takes about linear time: nothing repeated is repeated again."""
    try:
        re.compile(pattern)
    except (re.error, OverflowError, RecursionError):
        return False
    repeats = 0
    # Per open group whether it holds a repetition or an alternative.
    groups: list[bool] = []
    closed = False
    for part in _PATTERN.findall(pattern):
        if part[0] == "(":
            groups.append(False)
        elif part in {"*", "+", "?"} or (part[0] == "{" and len(part) > 1):
            if closed and part != "?":
                return False
            repeats += part != "?" and not part[1:-1].isdigit()
            groups = [True] * len(groups)
        elif part == "|":
            groups = [True] * len(groups)
        elif part[0] == "\\" and part[1:].isdigit():
            return False
        closed = groups.pop() if part == ")" and groups else False
    return repeats <= _REPEATS_LIMIT


def truth(items: Items) -> bool | None:
    """Return a collection as a truth value; None for empty, or for several."""
    if len(items) != 1:
        return None
    return items[0] if type(items[0]) is bool else True


def _and(left: Items, right: Items) -> Items:
    both = (truth(left), truth(right))
    return [False] if False in both else [True] if both == (True, True) else []


def _or(left: Items, right: Items) -> Items:
    both = (truth(left), truth(right))
    return [True] if True in both else [False] if both == (False, False) else []


def _not(items: Items, _argument: Items) -> Items:
    found = truth(items)
    return [] if found is None else [not found]


def _xor(left: Items, right: Items) -> Items:
    first, second = truth(left), truth(right)
    return [] if first is None or second is None else [first is not second]


def _implies(left: Items, right: Items) -> Items:
    return _or(_not(left, []), right)


def _same(left: Any, right: Any) -> bool:
    # `True == 1` to Python, not to FHIRPath.
    return (type(left) is bool) is (type(right) is bool) and bool(left == right)


def _equal(left: Items, right: Items) -> Items:
    if not left or not right:
        return []
    return [len(left) == len(right) and all(map(_same, left, right))]


def _unequal(left: Items, right: Items) -> Items:
    return _not(_equal(left, right), [])


def _in(left: Items, right: Items) -> Items:
    return [any(_same(left[0], each) for each in right)] if len(left) == 1 else []


def _number(items: Items) -> tuple[Any, Any] | None:
    """Return the number and unit of a number or Quantity; None where it is neither."""
    if len(items) != 1:
        return None
    value: Any = items[0]
    unit: Any = None
    if type(value) is dict:
        value, unit = value.get("value"), (value.get("system"), value.get("code"), value.get("unit"))
    return (value, unit) if isinstance(value, _NUMBERS) and type(value) is not bool else None


def _comparison(compare: Callable[[Any, Any], bool]) -> Callable[[Items, Items], Items]:
    """Return a comparison of numbers, of quantities in one unit, or of dates; nothing is said of anything else."""

    def operator(left: Items, right: Items) -> Items:
        first, second = _number(left), _number(right)
        if first and second:
            return [compare(first[0], second[0])] if first[1] == second[1] else []
        order = _order(left, right)
        return [] if order is None else [compare(order, 0)]

    return operator


def _interval(items: Items) -> tuple[int, int, bool] | None:
    """Return the time that a date covers, and whether it has a time of day; None for what is no date."""
    if len(items) != 1 or type(items[0]) is not str or not PRIMITIVES["dateTime"].accepts(items[0]):
        return None
    return *date_interval(items[0]), "T" in items[0]


def _order(left: Items, right: Items) -> int | None:
    """Return how two dates compare, as -1, 0 or 1; None where their precision leaves that open."""
    first, second = _interval(left), _interval(right)
    if first is None or second is None:
        return None
    # A day begins at midnight of a zone that nobody has named.
    doubt = _WIDEST_ZONE_US if first[2] is not second[2] else 0
    if first[:2] == second[:2] or (first[0] == second[0] and first[2] and second[2]):
        return 0
    if first[2] and second[2]:
        return -1 if first[0] < second[0] else 1
    if first[1] + doubt <= second[0]:
        return -1
    return 1 if second[1] + doubt <= first[0] else None


def _plus(left: Items, right: Items) -> Items:
    first, second = _number(left), _number(right)
    return [first[0] + second[0]] if first and second else []


def _concatenate(left: Items, right: Items) -> Items:
    return ["".join(each for each in (*left, *right) if type(each) is str)]


def _matches(items: Items, argument: Items) -> Items:
    text = _text(items)
    return [] if text is None or not argument else [re.search(argument[0], text) is not None]


def _starts_with(items: Items, argument: Items) -> Items:
    text, start = _text(items), _text(argument)
    return [] if text is None or start is None else [text.startswith(start)]


def _contains(items: Items, argument: Items) -> Items:
    text, part = _text(items), _text(argument)
    return [] if text is None or part is None else [part in text]


def _text(items: Items) -> str | None:
    return items[0] if len(items) == 1 and type(items[0]) is str else None


def _to_integer(items: Items, _argument: Items) -> Items:
    text = _text(items)
    return [int(text)] if text and re.fullmatch(r"[+-]?[0-9]{1,9}", text) else []


def _to_string(items: Items, _argument: Items) -> Items:
    return [str(items[0])] if len(items) == 1 and isinstance(items[0], (str, *_NUMBERS)) else []


def _ends_with(items: Items, argument: Items) -> Items:
    text, end = _text(items), _text(argument)
    return [] if text is None or end is None else [text.endswith(end)]


def _length(items: Items, _argument: Items) -> Items:
    text = _text(items)
    return [] if text is None else [len(text)]


def _extension(items: Items, argument: Items) -> Items:
    """Return the extensions with a URL."""
    found: Items = []
    for item in items:
        inner = item.get("extension") if type(item) is dict else None
        if type(inner) is list:
            found += [each for each in inner if type(each) is dict and argument and each.get("url") == argument[0]]
    return found


def _is_distinct(items: Items, _argument: Items) -> Items:
    return [len({(type(each), str(each)) for each in items}) == len(items)]


def _descendants(items: Items, _argument: Items) -> Items:
    found: Items = []
    waiting = list(items)
    while waiting:
        item = waiting.pop()
        below = list(item.values()) if type(item) is dict else item if type(item) is list else []
        waiting += below
        found += [each for each in below if type(each) is not list]
    return found


FUNCTIONS: Mapping[str, Function] = {
    "exists": Function(lambda items, _: [bool(items)], 0),
    "empty": Function(lambda items, _: [not items], 0),
    "count": Function(lambda items, _: [len(items)], 0),
    "first": Function(lambda items, _: items[:1], 0),
    "last": Function(lambda items, _: items[-1:], 0),
    "length": Function(_length, 0),
    "lower": Function(lambda items, _: [text.lower()] if (text := _text(items)) is not None else [], 0),
    "upper": Function(lambda items, _: [text.upper()] if (text := _text(items)) is not None else [], 0),
    "endsWith": Function(_ends_with, 1),
    "extension": Function(_extension, 1),
    "tail": Function(lambda items, _: items[1:], 0),
    "not": Function(_not, 0),
    "hasValue": Function(lambda items, _: [len(items) == 1 and type(items[0]) is not dict], 0),
    "isDistinct": Function(_is_distinct, 0),
    "toInteger": Function(_to_integer, 0),
    "toString": Function(_to_string, 0),
    "descendants": Function(_descendants, 0),
    "matches": Function(_matches, 1),
    "startsWith": Function(_starts_with, 1),
    "contains": Function(_contains, 1),
}
LAMBDAS: Mapping[str, Callable[[Items, Callable[[Any], Items]], Items]] = {
    "where": lambda items, condition: [each for each in items if truth(condition(each))],
    "all": lambda items, condition: [all(truth(condition(each)) for each in items)],
    "select": lambda items, projection: [found for each in items for found in projection(each)],
    "exists": lambda items, condition: [any(truth(condition(each)) for each in items)],
}
OPERATORS: Mapping[str, Callable[[Items, Items], Items]] = {
    "and": _and,
    "or": _or,
    "xor": _xor,
    "implies": _implies,
    "=": _equal,
    "!=": _unequal,
    "in": _in,
    "<": _comparison(lambda left, right: bool(left < right)),
    ">": _comparison(lambda left, right: bool(left > right)),
    "<=": _comparison(lambda left, right: bool(left <= right)),
    ">=": _comparison(lambda left, right: bool(left >= right)),
    "|": lambda left, right: [*left, *right],
    "+": _plus,
    "&": _concatenate,
}
