"""Which of some files are audio, by their names."""

from collections.abc import Container, Iterable
from pathlib import Path


def audio_files(paths: Iterable[Path], top: Path, suffixes: Container[str]) -> list[Path]:
    """Those of the paths below `top` that end in one of the suffixes, sorted; none that is hidden.

    A leading dot marks other programs' side files and our unfinished ones.
    """
    return [
        path
        for path in sorted(paths)
        if path.suffix.lower() in suffixes
        and not any(part.startswith(".") for part in path.relative_to(top).parts)
    ]
