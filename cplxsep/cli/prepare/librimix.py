"""`cplxsep prepare librimix`."""

from pathlib import Path
from typing import Annotated

import typer

from cplxsep.cli import options
from cplxsep.cli.cluster import workers_for
from cplxsep.cli.prepare import shared
from cplxsep.parallel import WHOLE


def librimix(
    metadata: Annotated[
        Path, typer.Option(help="CSV of LibriMix, such as libri2mix_dev-clean.csv, or a folder.")
    ],
    librispeech: Annotated[
        Path, typer.Option(help="Folder that holds train-clean-100/, dev-clean/ and so on.")
    ],
    out: shared.Out,
    noise: Annotated[
        Path | None, typer.Option(help="WHAM noise, the folder that holds tr/, cv/ and tt/.")
    ] = None,
    types: Annotated[
        str | None,
        typer.Option(
            metavar="NAME,...",
            help="Mixtures to make: mix_clean, mix_both, mix_single.",
            show_default="all with noise, else mix_clean",
        ),
    ] = None,
    rates: shared.Rates = "8000,16000",
    modes: shared.Modes = "min,max",
    workers: shared.Workers = None,
    manifest_only: shared.ManifestOnly = False,
    shard: options.Shard = WHOLE,
    cluster: options.Cluster = None,
) -> None:
    """Make LibriMix: OUT/Libri{N}Mix/wav{8,16}k/{min,max}/{train-100,dev,test}/{mix_clean,s1,...}.

    Gains, resampling, rounding and names are those of the original script. Recordings that cannot
    be read are told, and their mixtures left out. Prints the metadata.csv of each folder.
    """
    from cplxsep.data.recipes.librimix import TYPES, prepare_librimix

    with workers_for(cluster, workers, out / "mixtures") as hands:
        shared.tell(
            prepare_librimix(
                metadata,
                librispeech,
                out,
                noise=noise,
                types=shared.choices("--types", types, TYPES) if types else (),
                rates=shared.rates(rates),
                modes=shared.modes(modes),
                workers=hands,
                shard=shard,
                manifest_only=manifest_only,
                report=shared.report,
                watch=shared.watch,
            )
        )
