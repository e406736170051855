"""All files in a folder and those below it."""

import os
from dataclasses import dataclass
from pathlib import Path

from cplxsep.errors import InputError


@dataclass(frozen=True)
class Unread:
    """A folder inside one that the user named, and why it cannot be read."""

    path: Path
    error: InputError


def files_below(top: Path, out: Path | None = None) -> tuple[list[Path], list[Unread]]:
    """The files in a folder and those below it, links followed, and the folders that are closed.

    Each folder is entered once, by its own name where it has one here; hidden ones are not, nor is
    `out` inside `top`.
    """
    paths: list[Path] = []
    unread: list[Unread] = []
    home = Path(os.path.realpath(top))
    done = None if out is None else Path(os.path.realpath(out))
    entered = {home}

    def closed(error: OSError) -> None:
        why = InputError(f"cannot read the folder {error.filename}: {error.strerror or error}")
        unread.append(Unread(Path(error.filename), why))

    def enters(folder: Path) -> bool:
        real = Path(os.path.realpath(folder))
        # A link may lead to what is found without it, or around to where it lies itself.
        needless = folder.is_symlink() and (
            real.is_relative_to(home)
            or Path(os.path.realpath(folder.parent)).is_relative_to(real)
            or home.is_relative_to(real)
        )
        written = done and real.is_relative_to(done) and not home.is_relative_to(done)
        if folder.name.startswith(".") or real in entered or needless or written:
            return False
        entered.add(real)
        return True

    for place, folders, names in os.walk(top, onerror=closed, followlinks=True):
        paths += (Path(place, name) for name in names)
        folders[:] = [name for name in sorted(folders) if enters(Path(place, name))]
    return paths, unread
