"""`cplxsep prepare mix`."""

from typing import Annotated, Literal

import typer

from cplxsep.cli import options
from cplxsep.cli.cluster import workers_for
from cplxsep.cli.prepare import shared
from cplxsep.parallel import WHOLE

_FACTORS = "factors, such as 0.9:1.1"


def mix(
    speech: shared.Speech,
    out: shared.Out,
    rate: shared.Rate = 8000,
    sources: Annotated[int, typer.Option(min=2, max=5, help="Talkers in a mixture.")] = 2,
    snr: Annotated[
        str,
        typer.Option(metavar="LO:HI", help="How much louder talker 1 is than each other, in dB."),
    ] = "0:5",
    mode: Annotated[
        Literal["min", "max"],
        typer.Option(help="Cut all to the shortest talker, or keep all whole."),
    ] = "min",
    overlap: Annotated[
        float,
        typer.Option(
            min=0.0,
            max=1.0,
            help="Share of the shorter of two neighbours in which both talk: 0 one after the "
            "other, 1 all from the beginning.",
        ),
    ] = 1.0,
    level: shared.Level = "rms",
    speed: Annotated[
        str | None,
        typer.Option(metavar="LO:HI", help="Change each talker's speed by a factor, pitch too."),
    ] = None,
    hours: shared.Hours = None,
    count: shared.Count = None,
    split: shared.Split = "train,valid,test",
    seed: shared.Seed = 0,
    workers: shared.Workers = None,
    manifest_only: shared.ManifestOnly = False,
    shard: options.Shard = WHOLE,
    cluster: options.Cluster = None,
) -> None:
    """Mix talkers of a speech corpus into OUT/{tr,cv,tt}/{mix,s1,s2,...}/NAME.wav and metadata.csv.

    Speakers of one split are in no other. A folder without a manifest gets its speakers split
    80/10/10. Copies of other files, and silent, clipped or very short ones, are told and left out.
    Prints the metadata.csv of each split; summary.json and snr.png lie beside it.
    """
    from cplxsep.data.recipes.mix import MixSettings, prepare_mix

    settings = MixSettings(
        sample_rate=rate,
        sources=sources,
        snr=shared.ratios(snr),
        mode=mode,
        level=level,
        count=count,
        hours=hours,
        seed=seed,
        overlap=overlap,
        speed=shared.within("--speed", speed, 0.5, 2.0, _FACTORS) if speed else None,
    )
    shared.amount(count, hours)
    with workers_for(cluster, workers, out / "mixtures") as hands:
        shared.tell(
            prepare_mix(
                speech,
                out,
                settings,
                splits=shared.names(split),
                workers=hands,
                shard=shard,
                manifest_only=manifest_only,
                report=shared.report,
                watch=shared.watch,
            )
        )
