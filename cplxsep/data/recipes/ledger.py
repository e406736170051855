"""What a prepared folder says of itself: whose it is, how far it is, what is in it."""

import csv
import io
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from cplxsep.audio.atomic import TEMPORARY, write_text
from cplxsep.data.layout import METADATA, PREPARATION
from cplxsep.data.table import Row, read_table
from cplxsep.errors import InputError
from cplxsep.parallel import Shard

_JOURNALS = ".progress*.jsonl"
_MARKS = ".shard-*.done"
_WAV_HEADER = 44  # bytes


class Ledger:
    """The records of one split's folder.

    preparation.json says what it was made from, and once it is done, how many mixtures there are
    and what was left out; metadata.csv lists the mixtures; the journals, one a shard, list those
    finished so far.
    """

    def __init__(
        self,
        folder: Path,
        identity: dict[str, Any],
        files: list[str],
        shard: Shard,
        texts: Sequence[str] = (),
    ) -> None:
        """`files` are the sub-folders where a mixture's WAV files lie, `texts` what is beside them,
        such as rttm/{name}.rttm.
        """
        self.folder = folder
        self.metadata = folder / METADATA
        self._identity = identity
        self._identity_file = folder / PREPARATION
        self._shard = shard
        self._journal_file = folder / _journal(shard)
        self._subfolders = files
        self._texts = texts
        self._finished: dict[str, Row] = {}

    def claim(self) -> tuple[list[Row], list[str]] | None:
        """Make the folder ours; the rows and what was left out where all is done already.

        InputError: it holds something else, or cannot be written.
        """
        try:
            known = self._read_identity()
            self.folder.mkdir(parents=True, exist_ok=True)
            if known is None:
                # First of all: a folder without it is taken for another's.
                self._write_identity({})
            for folder in (self.folder, *(self.folder / name for name in self._subfolders)):
                folder.mkdir(exist_ok=True)
        except OSError as error:
            raise InputError(f"cannot write in {self.folder}: {error.strerror}") from error
        if known is not None and "left_out" in known:
            there = self.metadata.is_file()
            rows = [row for _, row in read_table(self.metadata)[1]] if there else []
            # Folders of earlier versions do not say how many there are.
            whole = len(rows) == known.get("mixtures", len(rows))
            if rows and whole and all(map(self._is_whole, rows)):
                return rows, known["left_out"]
        own = _read_lines(self._journal_file)
        # Written again: the last line may have been cut off.
        write_text(self._journal_file, "".join(map(_line, own)))
        self._read_journals()
        return None

    def _read_journals(self) -> None:
        rows = [row for path in self._left(_JOURNALS) for row in _read_lines(path)]
        self._finished = {row["name"]: row for row in rows if self._is_whole(row)}

    def _left(self, pattern: str) -> list[Path]:
        return sorted(self.folder.glob(pattern))

    def finished(self, name: str) -> Row | None:
        """The row of a mixture that an earlier, interrupted run wrote."""
        return self._finished.get(name)

    def record(self, row: Row) -> None:
        """Note that a mixture's files are written."""
        if row["name"] in self._finished:
            return
        try:
            with self._journal_file.open("a", encoding="utf-8") as file:
                file.write(_line(row))
        except OSError as error:
            raise InputError(f"cannot write {self._journal_file}: {error.strerror}") from error

    def end_shard(self) -> bool:
        """Note that the shard's mixtures are made; whether those of all others are, too."""
        write_text(self.folder / _mark(self._shard), "")
        all_marks = (Shard(number + 1, self._shard.of) for number in range(self._shard.of))
        if not all((self.folder / _mark(shard)).is_file() for shard in all_marks):
            return False
        self._read_journals()
        return True

    def finish(self, rows: list[Row], left_out: list[str]) -> None:
        """Write metadata.csv and that all is done."""
        text = io.StringIO(newline="")
        writer = csv.DictWriter(text, list(rows[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
        write_text(self.metadata, text.getvalue())
        self._write_identity({"mixtures": len(rows), "left_out": left_out})
        for path in (*self._left(_JOURNALS), *self._left(_MARKS)):
            path.unlink(missing_ok=True)

    def _is_whole(self, row: Row) -> bool:
        """Whether the files of a mixture are there, none of them cut off."""
        name, least = row["name"], _least_size(row)
        audio = [(self.folder / part / f"{name}.wav", least) for part in self._subfolders]
        texts = [(self.folder / text.format(name=name), 0) for text in self._texts]
        try:
            return all(file.stat().st_size >= size for file, size in audio + texts)
        except OSError:
            return False

    def _read_identity(self) -> dict[str, Any] | None:
        if not self._identity_file.is_file():
            there = self.folder.iterdir() if self.folder.is_dir() else ()
            others = any(not item.match(TEMPORARY) for item in there)
            # Another shard may have begun meanwhile; it is what it writes first.
            if others and not self._identity_file.is_file():
                raise InputError(f"{self.folder} already holds other files: choose another folder")
            if not others:
                return None
        try:
            known = json.loads(self._identity_file.read_text(encoding="utf-8"))
            other = [key for key, value in self._identity.items() if known.get(key) != value]
            left_out = known.get("left_out", [])
            if not (isinstance(left_out, list) and all(isinstance(why, str) for why in left_out)):
                raise ValueError("left_out is no list of reasons")
        except (ValueError, AttributeError, RecursionError) as error:
            raise InputError(f"{self._identity_file} is corrupt: choose another folder") from error
        if other:
            raise InputError(
                f"{self.folder} holds a different preparation (other {', '.join(other)}): "
                "choose another folder"
            )
        return known

    def _write_identity(self, more: dict[str, Any]) -> None:
        write_text(self._identity_file, json.dumps(self._identity | more, indent=1) + "\n")


def _least_size(row: Row) -> int:
    """Bytes of a WAV file of 16 bits of a mixture, if its row tells the length."""
    try:
        return _WAV_HEADER + 2 * round(float(row["seconds"]) * int(row["sample_rate"]))
    except (KeyError, ValueError):
        return 0


def _journal(shard: Shard) -> str:
    return _JOURNALS.replace("*", f"-{shard.number}-of-{shard.of}" if shard else "")


def _mark(shard: Shard) -> str:
    return _MARKS.replace("*", f"{shard.number}-of-{shard.of}")


def _line(row: Row) -> str:
    return json.dumps(row) + "\n"


def _read_lines(path: Path) -> list[Row]:
    rows = []
    if path.is_file():
        for line in path.read_text(encoding="utf-8").splitlines():
            try:
                rows.append(json.loads(line))
            except ValueError:
                break
    return rows
