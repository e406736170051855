"""`cplxsep prepare wsj0`."""

from pathlib import Path
from typing import Annotated

import typer

from cplxsep.cli import options
from cplxsep.cli.cluster import workers_for
from cplxsep.cli.prepare import shared
from cplxsep.parallel import WHOLE


def wsj0(
    lists: Annotated[
        Path, typer.Option(help="Folder of the published lists, mix_2_spk_tr.txt and so on.")
    ],
    wsj0: Annotated[
        Path, typer.Option(help="Folder that holds wsj0/si_tr_s/..., as WAV or NIST sphere.")
    ],
    out: shared.Out,
    sources: Annotated[int, typer.Option(min=2, max=5, help="Talkers in a mixture.")] = 2,
    rates: shared.Rates = "8000,16000",
    modes: shared.Modes = "min,max",
    split: Annotated[str, typer.Option(metavar="NAME,...", help="Lists to use.")] = "tr,cv,tt",
    workers: shared.Workers = None,
    manifest_only: shared.ManifestOnly = False,
    shard: options.Shard = WHOLE,
    cluster: options.Cluster = None,
) -> None:
    """Make wsj0-2mix or wsj0-3mix: OUT/{N}speakers/wav{8,16}k/{min,max}/{tr,cv,tt}/{mix,s1,...}.

    Levels, gains, rounding and names are those of the original MATLAB script. Recordings that
    cannot be read are told, and their mixtures left out. Prints the metadata.csv of each folder.
    """
    from cplxsep.data.recipes.wsj0 import SPLITS, prepare_wsj0

    with workers_for(cluster, workers, out / "mixtures") as hands:
        shared.tell(
            prepare_wsj0(
                lists,
                wsj0,
                out,
                sources=sources,
                rates=shared.rates(rates),
                modes=shared.modes(modes),
                splits=shared.choices("--split", split, SPLITS),
                workers=hands,
                shard=shard,
                manifest_only=manifest_only,
                report=shared.report,
                watch=shared.watch,
            )
        )
