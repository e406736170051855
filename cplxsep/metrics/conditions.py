"""Conditions: the values of a column of the metadata, numbers in bins."""

import math
import re
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

UNGROUPED = "(none)"
DISTINCT = 8
"""Up to this many different numbers stand for themselves; more are put into as many bins."""


@dataclass(frozen=True)
class Column:
    """A column to group by, and the width of its bins (None: chosen by the values)."""

    name: str
    step: float | None = None

    @classmethod
    def parse(cls, text: str, known: Mapping[str, object] | Sequence[str]) -> "Column":
        """From COLUMN or COLUMN:WIDTH; a known column may itself hold a colon."""
        name, _, width = text.rpartition(":")
        if text in known or not name:
            return cls(text)
        try:
            step = float(width)
        except ValueError:
            return cls(text)
        return cls(name, step) if step > 0 and math.isfinite(step) else cls(text)


def labels(values: Sequence[str | None], step: float | None = None) -> list[str]:
    """The condition of each value: itself, a bin `LOW to HIGH`, or `(none)` where it is empty.

    Numbers are put into bins where `step` is given or more than DISTINCT of them differ. A bin
    holds its lower bound and not its upper, but the last one holds both. Bins too narrow to count
    hold one number each.
    """
    texts = [(value or "").strip() for value in values]
    numbers = [_number(text) for text in texts if text]
    if not numbers or None in numbers:
        return [text or UNGROUPED for text in texts]
    finite = [number for number in numbers if number is not None]
    if step is None and len(set(finite)) <= DISTINCT:
        return [text or UNGROUPED for text in texts]
    width = step or _nice(max(finite) / DISTINCT - min(finite) / DISTINCT)
    if math.isinf(max(map(abs, finite)) / width):
        return [text or UNGROUPED for text in texts]
    last = max(_steps(min(finite), width), math.ceil(max(finite) / width - 1e-9) - 1)
    return [_bin(_number(text), width, last) if text else UNGROUPED for text in texts]


def order(found: Sequence[str]) -> list[str]:
    """The different labels: numbers and bins by their value, then text, then `(none)`."""
    return sorted(set(found), key=_rank)


def _number(text: str) -> float | None:
    try:
        value = float(text)
    except ValueError:
        return None
    return value if math.isfinite(value) else None


def _bin(value: float | None, width: float, last: int) -> str:
    index = min(_steps(value or 0.0, width), last)
    return f"{index * width:.6g} to {(index + 1) * width:.6g}"


def _steps(value: float, width: float) -> int:
    """Whole steps below a value; 0.3 has three of 0.1, whatever their floats' quotient is."""
    return math.floor(value / width + 1e-9)


def _nice(width: float) -> float:
    """The least of 1, 2, 5, 10, ... times a power of ten that is not below `width`."""
    power = 10.0 ** math.floor(math.log10(max(width, sys.float_info.min)))
    return next(power * factor for factor in (1, 2, 5, 10) if power * factor >= width * (1 - 1e-9))


def _rank(label: str) -> tuple[int, float, list[tuple[int, int, str]]]:
    value = _number(label.partition(" to ")[0])
    if label == UNGROUPED:
        return 2, 0.0, []
    # Text in the order of the numbers in it: room2 before room10.
    parts = [
        (0, int(part), "") if part.isdecimal() else (1, 0, part)
        for part in re.split(r"(\d+)", label)
        if part
    ]
    return (0, value, []) if value is not None else (1, 0.0, parts)
