"""A list of `/api/v1` a page at a time: one more than the page is looked up, which tells whether there is another."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol, TypeVar


class _Listed(Protocol):
    @property
    def id(self) -> str: ...


_Entry = TypeVar("_Entry", bound=_Listed)


def parted(found: Sequence[_Entry], count: int) -> tuple[Sequence[_Entry], dict[str, Any]]:
    """Return the entries of a page and, where there is another, its `next`: the value of `after` that leads there.

    Args:
        found: What was looked up, with a limit of one more than `count`.
        count: Entries of a page, at least one.
    """
    listed = found[:count]
    return listed, {"next": listed[-1].id} if len(found) > count else {}
