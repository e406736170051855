"""`cplxsep prepare noisy`."""

from pathlib import Path
from typing import Annotated, Literal

import typer

from cplxsep.cli import options
from cplxsep.cli.cluster import workers_for
from cplxsep.cli.prepare import shared
from cplxsep.parallel import WHOLE


def noisy(
    speech: shared.Speech,
    noise: Annotated[
        Path,
        typer.Option(help="Manifest CSV (no column speaker needed), or a folder of recordings."),
    ],
    out: shared.Out,
    rate: shared.Rate = 16000,
    snr: Annotated[str, typer.Option(metavar="LO:HI", help="Speech over noise, in dB.")] = "0:15",
    level: shared.Level = "active",
    rooms: Annotated[
        str | None,
        typer.Option(
            metavar="DIR|simulated",
            help="Put the speech in rooms: a folder of responses, or simulated ones.",
        ),
    ] = None,
    reference: Annotated[
        Literal["dry", "early"],
        typer.Option(help="s1 in rooms: the direct sound alone, or with the first 50 ms after it."),
    ] = "early",
    hours: shared.Hours = None,
    count: shared.Count = None,
    split: shared.Split = "train,valid,test",
    seed: shared.Seed = 0,
    workers: shared.Workers = None,
    manifest_only: shared.ManifestOnly = False,
    shard: options.Shard = WHOLE,
    cluster: options.Cluster = None,
) -> None:
    """Mix speech and noise into OUT/{tr,cv,tt}/{mix,s1,noise}/NAME.wav and metadata.csv.

    A speaker or recording of noise of one split is in no other. Digital silence in noise is
    skipped; noise shorter than the speech is repeated with cross-faded joints. Copies of other
    files, and silent, clipped or very short ones, are told and left out. Prints the metadata.csv
    of each split; summary.json and snr.png lie beside it.
    """
    from cplxsep.data.recipes.noisy import NoisySettings, prepare_noisy

    settings = NoisySettings(
        sample_rate=rate,
        snr=shared.ratios(snr),
        level=level,
        reference=reference,
        count=count,
        hours=hours,
        seed=seed,
    )
    shared.amount(count, hours)
    with workers_for(cluster, workers, out / "mixtures") as hands:
        shared.tell(
            prepare_noisy(
                speech,
                noise,
                out,
                settings,
                rooms=rooms,
                splits=shared.names(split),
                workers=hands,
                shard=shard,
                manifest_only=manifest_only,
                report=shared.report,
                watch=shared.watch,
            )
        )
