"""What the recipes' commands share: options, how ranges are written, how results are told."""

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from cplxsep.cli import common
from cplxsep.errors import InputError, UsageError

if TYPE_CHECKING:
    from cplxsep.data.mixing import Mode
    from cplxsep.data.recipes.preparation import Prepared, Rendered

Speech = Annotated[
    Path, typer.Option(help="Manifest CSV, or a folder with one sub-folder a speaker.")
]
Out = Annotated[Path, typer.Option("-o", "--out", callback=common.on_disk, help="Output folder.")]
Rate = Annotated[int, typer.Option(min=1000, max=384000, help="Sample rate in Hz.")]
Level = Annotated[
    Literal["rms", "active", "p56"],
    typer.Option(help="Level of all samples, of the frames with speech, or by ITU-T P.56."),
]
Hours = Annotated[
    float | None, typer.Option(min=0.0, max=1e5, help="About this many hours for each split.")
]
Count = Annotated[int | None, typer.Option(min=1, help="This many mixtures for each split.")]
Split = Annotated[str, typer.Option(metavar="NAME,...", help="Splits of the manifest to prepare.")]
Seed = Annotated[int, typer.Option(min=0, help="The same seed gives the same bytes.")]
Workers = Annotated[
    int | None, typer.Option(min=1, help="Threads.", show_default="one a processor")
]
Rates = Annotated[str, typer.Option("--rate", metavar="HZ,...", help="8000, 16000 or both.")]
Modes = Annotated[
    str,
    typer.Option(
        "--mode", metavar="NAME,...", help="min: cut to the shortest, max: zero-pad, or both."
    ),
]
ManifestOnly = Annotated[
    bool, typer.Option("--manifest-only", help="Write metadata.csv and its summary, no audio.")
]


def amount(count: int | None, hours: float | None) -> None:
    """UsageError unless one of the two is given."""
    if (count is None) == (hours is None):
        raise UsageError("give either --count or --hours, for each split")


def names(text: str) -> list[str]:
    """The names in NAME,NAME,..., each once."""
    return list(dict.fromkeys(name.strip() for name in text.split(",") if name.strip()))


def choices(option: str, text: str, allowed: Sequence[str]) -> list[str]:
    """The names in NAME,NAME,... UsageError: none, or one that is not allowed."""
    chosen = names(text)
    if not chosen or not set(chosen) <= set(allowed):
        raise UsageError(f"{option} {text!r}: choose from {', '.join(allowed)}")
    return chosen


def rates(text: str) -> list[int]:
    """Rates in Hz of the published corpora."""
    return [int(name) for name in choices("--rate", text, ("8000", "16000"))]


def modes(text: str) -> "list[Mode]":
    """How mixtures get their length."""
    return ["min" if name == "min" else "max" for name in choices("--mode", text, ("min", "max"))]


def ratios(text: str, option: str = "--snr") -> tuple[float, float]:
    """LO:HI in dB."""
    return within(option, text, -60.0, 60.0, "dB, such as 0:5")


def within(option: str, text: str, least: float, most: float, unit: str) -> tuple[float, float]:
    """LO:HI from `least` to `most`. UsageError: something else; `unit` says what they are."""
    try:
        low, high = (float(part) for part in text.split(":"))
    except ValueError:
        raise UsageError(f"{option} {text!r} is not LO:HI in {unit}") from None
    if not least <= low <= high <= most:
        what = unit.partition(",")[0]
        raise UsageError(
            f"{option} {text!r} must be LO:HI with {least:g} <= LO <= HI <= {most:g} {what}"
        )
    return low, high


def report(reason: str) -> None:
    """Tell of a recording that cannot be used."""
    common.fail(InputError(f"{reason}; left out"))


def watch(results: "Iterator[Rendered]", total: int) -> "Iterator[Rendered]":
    """Show the progress."""
    return common.track(results, "mixing", total=total)


def tell(prepared: "Iterable[Prepared]") -> None:
    """Print the table of each folder when it is done; exit code 1 where something was left out.

    Of a folder of which other shards are missing, only a note is given.
    """
    failed = False
    for done in prepared:
        if done.complete:
            common.stdout(str(done.metadata))
        common.note(
            f"{done.metadata.parent}: {done.mixtures} mixtures, {done.seconds / 3600:.2f} h"
            + (f", {len(done.left_out)} recordings left out" if done.left_out else "")
            + ("" if done.complete else "; the shard that ends last writes metadata.csv")
        )
        failed |= bool(done.left_out)
    if failed:
        # Some input failed: the exit code says so although the mixtures are complete.
        raise typer.Exit(1)
