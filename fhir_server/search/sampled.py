"""The range of a SampledData: from the least to the greatest of its points (https://hl7.org/fhir/R4/datatypes.html).

A point is `data * factor + origin`; `E` is none, `L` and `U` are beyond the limits of detection, whatever these are.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from decimal import Context, Decimal
from typing import Any

# More digits than any device measures with.
_CONTEXT = Context(prec=64)
_POINT = re.compile(r"-?[0-9]{1,32}(?:\.[0-9]{1,32})?")

Bounds = tuple[Decimal | None, Decimal | None]


def bounds(value: Mapping[str, Any]) -> Bounds | None:
    """Return least and greatest value in the unit of the origin, None for no limit; None when there is no point."""
    words = set((value.get("data") or "").split())
    points = sorted(Decimal(word) for word in words if _POINT.fullmatch(word))
    if not points and not words & {"L", "U"}:
        return None
    origin = Decimal((value.get("origin") or {}).get("value") or 0)
    factor = Decimal(value.get("factor") or 1)
    ends = sorted(_CONTEXT.fma(each, factor, origin) for each in (*points[:1], *points[-1:]))
    low = None if "L" in words else ends[0] if ends else _decimal(value.get("upperLimit"))
    high = None if "U" in words else ends[-1] if ends else _decimal(value.get("lowerLimit"))
    return None if (low, high) == (None, None) else (low, high)


def _decimal(value: Any) -> Decimal | None:
    return None if value is None else Decimal(value)
