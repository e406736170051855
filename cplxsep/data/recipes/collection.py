"""The recordings that a recipe draws from, each in one split, and where they lie."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from cplxsep.data.manifest import SPLITS, Utterance, assign_splits, by_speaker, check_disjoint
from cplxsep.data.recordings import without_copies
from cplxsep.errors import InputError, UsageError

FOLDERS = dict(zip(SPLITS, ("tr", "cv", "tt"), strict=True))
Load = Callable[[Path, Callable[[InputError], None]], list[Utterance]]


@dataclass(frozen=True)
class Collection:
    """Recordings by split; `root` is what their paths in metadata.csv are relative to."""

    source: Path
    root: Path
    recordings: list[Utterance]
    left_out: list[str]

    def split(self, name: str) -> list[Utterance]:
        """Those of one split. UsageError: there is no such split."""
        own = [item for item in self.recordings if item.split == name]
        if not own and name not in SPLITS:
            known = ", ".join(sorted({item.split for item in self.recordings}))
            raise UsageError(f"{self.source} has no split {name!r}, only {known}")
        return own


def open_collection(
    source: Path, load: Load, out: Path, report: Callable[[str], None]
) -> Collection:
    """Load a manifest or folder; speakers are in one split each, copies and bad files left out.

    InputError: nothing usable, or a speaker in two splits. UsageError: `out` lies in the folder.
    """
    root = (source if source.is_dir() else source.parent).resolve()
    if source.is_dir() and out.resolve().is_relative_to(root):
        raise UsageError(f"the output {out} lies in the input folder {source}: choose another")
    left_out: list[str] = []

    def leave_out(reason: str) -> None:
        left_out.append(reason)
        report(reason)

    # Splits come first: training on the same folder divides it without looking for copies.
    recordings = assign_splits(load(source, lambda error: leave_out(str(error))))
    check_disjoint(recordings)
    return Collection(source, root, without_copies(recordings, leave_out), left_out)


def check_splits(splits: Sequence[str]) -> None:
    """UsageError: one has a name that no folder can have, or two would be written to one."""
    taken: dict[str, str] = {}
    for split in splits:
        if split in ("", ".", "..") or {*split} & {"/", "\\", "\0"}:
            raise UsageError(
                f"split {split!r} is no name for a folder: rename it in the manifest, or leave it "
                "out with --split"
            )
        folder = FOLDERS.get(split, split)
        # Some file systems take names that differ in case for the same.
        if (other := taken.setdefault(folder.casefold(), split)) != split:
            raise UsageError(
                f"splits {other!r} and {split!r} would both be written to {folder}: choose one of "
                "them with --split, and another -o for the other"
            )


def check_speakers(where: str, recordings: Sequence[Utterance], least: int, advice: str) -> None:
    """InputError: fewer speakers than `least`."""
    if (count := len(by_speaker(recordings))) < least:
        raise InputError(
            f"{where} has {count} speaker{'' if count == 1 else 's'}, "
            f"mixtures of {least} talker{'' if least == 1 else 's'} need {least}{advice}"
        )
