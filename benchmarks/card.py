"""A model's published figures: its metrics.json, and the table of its card."""

import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from cplxsep.audio.atomic import write_text
from cplxsep.model_folder.contents import CARD, METRICS, WEIGHTS, checksum, metrics


def parts(model: Path, table: str = "figures") -> tuple[str, str]:
    """The card up to a table's mark, and from its end on. SystemExit: it has no place for one."""
    begin, end = f"<!-- {table}: begin -->", f"<!-- {table}: end -->"
    card = (model / CARD).read_text(encoding="utf-8")
    before, begun, rest = card.partition(begin)
    _, ended, after = rest.partition(end)
    if not (begun and ended):
        raise SystemExit(f"{model / CARD}: put {begin} and {end} where the figures go")
    return before + begin, end + after


def publish(
    model: Path,
    figures: dict[str, Any],
    columns: Sequence[str],
    rows: Iterable[Sequence[str]],
    table: str = "figures",
    after: str = "",
) -> None:
    """Store figures beside the checksum of the weights they belong to, and a table in the card.

    `after` is text that follows the table.
    """
    begin, end = parts(model, table)
    text = markdown(columns, rows) + (f"\n{after}" if after else "")
    known = metrics(model) | {"sha256": checksum(model / WEIGHTS)} | figures
    write_text(model / METRICS, json.dumps(known, indent=2) + "\n")
    write_text(model / CARD, f"{begin}\n{text}\n{end}")


def markdown(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table."""
    lines = [columns, ["---"] * len(columns), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def cell(figure: dict[str, Any], digits: int = 2) -> str:
    """A mean and its interval."""
    if figure["mean"] is None:
        return "-"
    bounds = " to ".join(f"{bound:.{digits}f}" for bound in figure["ci"] or ())
    return f"{figure['mean']:.{digits}f}" + (f" ({bounds})" if bounds else "")
