"""Full text: `_text` (the narrative) and `_content` (all text), https://hl7.org/fhir/R4/search.html#text.

A query is words, all of which must occur; `OR` and `AND` (as the specification writes them, in any case) and
parentheses combine, `"…"` wants words next to each other, a final `*` wants the beginning of a word. Everything else
separates words: there is no text that an engine could take for syntax, for each is given quoted words only.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import BigInteger, ColumnElement, FromClause, literal, select
from sqlalchemy import cast as sql_cast

from fhir_server.search import keys
from fhir_server.search.criteria import Indexed, Missing
from fhir_server.search.model import Criterion, SortKey
from fhir_server.search.prepare import value as value_field
from fhir_server.search.syntax import invalid, unescape, unsupported
from fhir_server.search.words import CONTENT, NARRATIVE, TABLE, words
from fhir_server.spec.definitions import SearchParameter
from fhir_server.store import index_rows, text_index

SCORE = "_score"
SCORE_ONE = text_index.SCORE_ONE
DEPTH_LIMIT = 20
WORDS_LIMIT = 100
_TERMS_LIMIT = 16
_RANK = 4

_SPEC = "http://hl7.org/fhir/SearchParameter/"
PARAMETERS: Mapping[str, SearchParameter] = {
    code: SearchParameter(key, code, "string", "Resource", "", (), (), _SPEC + url)
    for key, code, url in ((NARRATIVE, "_text", "DomainResource-text"), (CONTENT, "_content", "Resource-content"))
}
"""By code, for every type of resource."""


def criterion(code: str, modifier: str, texts: Sequence[str]) -> Criterion:
    """Understand one parameter; several values are alternatives.

    Raises:
        FhirError: 400 for a modifier, a value without a word, or one too large or too deep to be meant.
    """
    params = (PARAMETERS[code].key,)
    if modifier == "missing":
        if texts not in (["true"], ["false"]):
            raise invalid(f"{code}:missing", "is true or false.")
        return Missing((TABLE,), params, missing=texts == ["true"])
    if modifier:
        raise unsupported(f"{code}:{modifier}", "has a modifier that is not supported. Supported: :missing.")
    found = [_Parser(code, unescape(text)).parse() for text in texts]
    tree = _Node("OR", tuple(found)) if len(found) > 1 else found[0]
    every = list(_phrases(tree))
    if sum(len(phrase.words) for phrase in every) > WORDS_LIMIT:
        raise invalid(code, f"has more than {WORDS_LIMIT} words.")
    terms = dict.fromkeys(term for phrase in every for term in phrase.terms())
    test = TextTest(tree.fts5(), tree.tsquery(), " ".join(list(terms)[:_TERMS_LIMIT]))
    return Indexed(TABLE, params, test, rank=_RANK)


@dataclass(frozen=True, slots=True)
class TextTest:
    """The words of a row meet a query.

    Attributes:
        fts5, tsquery: The query in the words of either engine.
        terms: What a score counts, see `store.text_index.Score`.
    """

    fts5: str = value_field()
    tsquery: str = value_field()
    terms: str = value_field()

    def on(self, index: FromClause) -> ColumnElement[bool]:
        """Return the condition on a row of `index_text`."""
        return text_index.matching(index, fts5=_sql(self.fts5), tsquery=_sql(self.tsquery))


def score_key(*, descending: bool) -> SortKey:
    """Return the key of `_sort=_score`: best first.

    Raises:
        FhirError: 400 for the worst first.
    """
    if descending:
        raise invalid("_sort", f"orders by {SCORE} with the best first as it is: leave out the minus.")
    return SortKey(SCORE, (), descending=True)


def check_sort(sort: Sequence[SortKey], criteria: Sequence[Criterion]) -> None:
    """Accept the keys of an order, `_score` among them only with something that scores.

    Raises:
        FhirError: 400.
    """
    if any(key.code == SCORE for key in sort) and not is_scored(criteria):
        raise invalid("_sort", f"orders by {SCORE} only a search with {' or '.join(PARAMETERS)}.")


def is_scored(criteria: Sequence[Criterion]) -> bool:
    """Return whether a search has a full text criterion of its own (not one at the end of a chain)."""
    return any(True for _ in _scored(criteria))


def score(row: FromClause, criteria: Sequence[Criterion]) -> ColumnElement[int]:
    """Return how well a readable row meets the full text criteria, 0 up to `SCORE_ONE`: the mean of their scores.

    Of a row that is found, it takes that row's own words into account and nothing else.
    """
    total: ColumnElement[int] | None = None
    count = 0
    for each, test in _scored(criteria):
        index = index_rows.alias(TABLE)
        scored = text_index.Score(index.c.words, _sql(test.terms))
        one = select(scored).where(index.c.key == row.c.key, keys.of_parameters(index, each.params)).correlate(row)
        total, count = one.scalar_subquery() if total is None else total + one.scalar_subquery(), count + 1
    assert total is not None  # noqa: S101 - asked only where `is_scored`
    return sql_cast(total / count if count > 1 else total, BigInteger)


def _scored(criteria: Sequence[Criterion]) -> Iterator[tuple[Indexed, TextTest]]:
    for each in criteria:
        if isinstance(each, Indexed) and isinstance(each.test, TextTest):
            yield each, each.test


def _sql(value: Any) -> ColumnElement[str]:
    return value if isinstance(value, ColumnElement) else literal(value)


@dataclass(frozen=True, slots=True)
class _Phrase:
    """Words next to each other; of the last one the beginning will do where `prefix`."""

    words: tuple[str, ...]
    prefix: bool = False

    def fts5(self) -> str:
        return f'"{" ".join(self.words)}"{"*" if self.prefix else ""}'

    def tsquery(self) -> str:
        quoted = " <-> ".join(f"'{word}'" for word in self.words) + (":*" if self.prefix else "")
        return f"({quoted})" if len(self.words) > 1 else quoted

    def terms(self) -> Iterator[str]:
        *others, last = self.words
        yield from others
        yield f"{last}*" if self.prefix else last


@dataclass(frozen=True, slots=True)
class _Node:
    """Several parts, all (`AND`) or one (`OR`) of which hold."""

    operator: str
    parts: tuple[_Node | _Phrase, ...]

    def fts5(self) -> str:
        return f"({f' {self.operator} '.join(part.fts5() for part in self.parts)})"

    def tsquery(self) -> str:
        sign = " & " if self.operator == "AND" else " | "
        return f"({sign.join(part.tsquery() for part in self.parts)})"


def _phrases(tree: _Node | _Phrase) -> Iterator[_Phrase]:
    if isinstance(tree, _Phrase):
        yield tree
    else:
        for part in tree.parts:
            yield from _phrases(part)


# A quotation mark without its partner is no token.
_TOKEN = re.compile(r'"([^"]*)"|([()])|([^\s()"]+)')


class _Parser:
    """Reads a query; whatever is written means something, unless there is no word in it."""

    def __init__(self, code: str, text: str) -> None:
        self._code = code
        self._tokens = [found.groups() for found in _TOKEN.finditer(text)]
        self._at = 0

    def parse(self) -> _Node | _Phrase:
        """Return the tree.

        Raises:
            FhirError: 400 when it has no word or is too deep.
        """
        found: list[_Node | _Phrase] = []
        while self._at < len(self._tokens):
            if (part := self._alternatives(0)) is not None:
                found.append(part)
            self._at += 1  # a parenthesis that closes nothing
        if not found:
            raise invalid(self._code, "needs at least one word: letters or digits.")
        return found[0] if len(found) == 1 else _Node("AND", tuple(found))

    def _alternatives(self, depth: int) -> _Node | _Phrase | None:
        """Return what stands up to the end or a closing parenthesis: `a b OR c` is a and b, or c."""
        if depth > DEPTH_LIMIT:
            raise invalid(self._code, f"nests parentheses deeper than {DEPTH_LIMIT}.")
        groups: list[list[_Node | _Phrase]] = [[]]
        while self._at < len(self._tokens):
            quoted, parenthesis, word = self._tokens[self._at]
            if parenthesis == ")":
                break
            self._at += 1
            if parenthesis:
                part = self._alternatives(depth + 1)
                self._at += 1
            elif quoted is not None:
                part = _phrase(quoted, prefix=False)
            elif word.upper() in {"AND", "OR"}:
                groups += [[]] if word.upper() == "OR" else []
                continue
            else:
                part = _phrase(word, prefix=word.endswith("*"))
            groups[-1] += [part] if part is not None else []
        return _one_of("OR", [_one_of("AND", group) for group in groups])


def _phrase(text: str, *, prefix: bool) -> _Phrase | None:
    found = words(text)
    return _Phrase(tuple(found), prefix) if found else None


def _one_of(operator: str, parts: Sequence[_Node | _Phrase | None]) -> _Node | _Phrase | None:
    kept = tuple(part for part in parts if part is not None)
    return _Node(operator, kept) if len(kept) > 1 else kept[0] if kept else None
