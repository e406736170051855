"""Where the corpora of the field keep their mixtures: beside the folders s1, s2, ... of a split."""

from pathlib import Path

MIXTURES = ("mix", "mix_both", "mix_clean", "mix_single")
"""Sub-folders with mixtures: of wsj0-2mix and of LibriMix; mix_single has the first talker."""


def kinds(path: Path) -> list[str]:
    """Those of the sub-folders with mixtures that a split has."""
    return [name for name in MIXTURES if (path / name).is_dir()]
