"""Whether the talkers of a mixture are of one sex: pairs of the same are harder to separate."""

import csv
import re
from collections.abc import Mapping
from pathlib import Path

from cplxsep.errors import InputError

COLUMN = "sexes"
_KNOWN = {"m": "M", "male": "M", "f": "F", "female": "F"}

Row = Mapping[str, str]


def read_speakers(path: Path) -> dict[str, str]:
    """Sex, M or F, by speaker, from a CSV with columns speaker and sex. InputError."""
    try:
        with path.open(newline="", encoding="utf-8-sig", errors="surrogateescape") as file:
            rows = list(csv.DictReader(file))
    except (OSError, csv.Error) as error:
        raise InputError(f"cannot read {path}: {getattr(error, 'strerror', error)}") from error
    if not rows or not {"speaker", "sex"} <= rows[0].keys():
        raise InputError(f"{path} tells of no speakers: it needs columns speaker and sex")
    return {row["speaker"]: sex for row in rows if (sex := _sex(row["sex"]))}


def with_sexes(rows: Mapping[str, Row], speakers: Mapping[str, str]) -> dict[str, Row]:
    """The metadata with a column `sexes` more, same or different, where that is known.

    From columns s1_sex, s2_sex, ..., or from s1_speaker, s2_speaker, ... and the sex of each.
    """
    found: dict[str, Row] = {}
    for name, row in rows.items():
        talkers = sorted({match[1] for key in row if (match := _TALKER.fullmatch(key or ""))})
        sexes = {
            _sex(row.get(f"{talker}_sex")) or speakers.get(row.get(f"{talker}_speaker") or "", "")
            for talker in talkers
        }
        told = len(talkers) > 1 and "" not in sexes and COLUMN not in row
        label = "same" if len(sexes) == 1 else "different"
        found[name] = {**row, COLUMN: label} if told else row
    return found


_TALKER = re.compile(r"(s[1-9][0-9]*)_(?:sex|speaker)")


def _sex(text: str | None) -> str:
    return _KNOWN.get((text or "").strip().lower(), "")
