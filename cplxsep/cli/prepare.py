"""`cplxsep prepare`: make folders of mixtures."""

from pathlib import Path
from typing import Annotated, Literal

import typer

from cplxsep.cli import common
from cplxsep.errors import InputError, UsageError

app = typer.Typer(help="Prepare folders of mixtures.", no_args_is_help=True)


@app.callback()
def _prepare() -> None:
    """Prepare folders of mixtures."""


@app.command("mix")
def mix(
    speech: Annotated[
        Path,
        typer.Option(help="Manifest CSV, or a folder with one sub-folder a speaker."),
    ],
    out: Annotated[Path, typer.Option("-o", "--out", help="Output folder.")],
    rate: Annotated[int, typer.Option(min=1000, max=384000, help="Sample rate in Hz.")] = 8000,
    sources: Annotated[int, typer.Option(min=2, max=10, help="Talkers in a mixture.")] = 2,
    snr: Annotated[
        str,
        typer.Option(metavar="LO:HI", help="How much louder talker 1 is than each other, in dB."),
    ] = "0:5",
    mode: Annotated[
        Literal["min", "max"],
        typer.Option(help="Cut to the shortest talker, or zero-pad to the longest."),
    ] = "min",
    level: Annotated[
        Literal["rms", "active"],
        typer.Option(help="Level of all samples, or of the frames with speech."),
    ] = "rms",
    hours: Annotated[
        float | None, typer.Option(min=0.0, help="About this many hours for each split.")
    ] = None,
    count: Annotated[
        int | None, typer.Option(min=1, help="This many mixtures for each split.")
    ] = None,
    split: Annotated[
        str, typer.Option(metavar="NAME,...", help="Splits of the manifest to prepare.")
    ] = "train,valid,test",
    seed: Annotated[int, typer.Option(min=0, help="The same seed gives the same bytes.")] = 0,
    workers: Annotated[
        int | None, typer.Option(min=1, help="Threads.", show_default="one a processor")
    ] = None,
) -> None:
    """Mix talkers of a speech corpus into OUT/{tr,cv,tt}/{mix,s1,s2,...}/NAME.wav and metadata.csv.

    Speakers of one split are in no other. A folder without a manifest gets its speakers split
    80/10/10. Prints the metadata.csv of each split.
    """
    from cplxsep.data.recipes.mix import MixSettings, prepare_mix

    settings = MixSettings(
        sample_rate=rate,
        sources=sources,
        snr=_range(snr),
        mode=mode,
        level=level,
        count=count,
        hours=hours,
        seed=seed,
    )
    if (count is None) == (hours is None):
        raise UsageError("give either --count or --hours, for each split")
    failed = False
    for done in prepare_mix(
        speech,
        out,
        settings,
        splits=list(dict.fromkeys(name.strip() for name in split.split(",") if name.strip())),
        workers=workers,
        report=lambda reason: common.fail(InputError(f"{reason}; left out")),
        watch=lambda results, total: common.track(results, "mixing", total=total),
    ):
        common.stdout(str(done.metadata))
        common.note(
            f"{done.metadata.parent}: {done.mixtures} mixtures, {done.seconds / 3600:.2f} h"
            + (f", {len(done.left_out)} utterances left out" if done.left_out else "")
        )
        failed |= bool(done.left_out)
    if failed:
        # Some input failed: the exit code says so although the mixtures are complete.
        raise typer.Exit(1)


def _range(text: str) -> tuple[float, float]:
    try:
        low, high = (float(part) for part in text.split(":"))
    except ValueError:
        raise UsageError(f"--snr {text!r} is not LO:HI in dB, such as 0:5") from None
    if not -60.0 <= low <= high <= 60.0:
        raise UsageError(f"--snr {text!r} must be LO:HI with -60 <= LO <= HI <= 60 dB")
    return low, high
