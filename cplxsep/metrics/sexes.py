"""Whether the talkers of a mixture are of one sex: pairs of the same are harder to separate."""

import re
from collections.abc import Iterable, Mapping

COLUMN = "sexes"
_KNOWN = {"m": "M", "male": "M", "f": "F", "female": "F"}

Row = Mapping[str, str]


def known_sexes(rows: Iterable[Row]) -> dict[str, str]:
    """Sex, M or F, by speaker, from rows with columns speaker and sex."""
    return {row["speaker"]: sex for row in rows if (sex := _sex(row["sex"]))}


def with_sexes(rows: Mapping[str, Row], speakers: Mapping[str, str]) -> dict[str, Row]:
    """The metadata with a column `sexes` more, same or different, where that is known.

    From columns source_1_sex, source_2_sex, ..., or source_1_speaker, source_2_speaker, ... and the
    sex of each; s1_sex, s1_speaker, ... will do.
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


_TALKER = re.compile(r"((?:s|source_)[1-9][0-9]*)_(?:sex|speaker)")


def _sex(text: str | None) -> str:
    return _KNOWN.get((text or "").strip().lower(), "")
