"""`cplxsep prepare rooms`."""

from typing import Annotated

import typer

from cplxsep.cli import common, options
from cplxsep.cli.cluster import workers_for
from cplxsep.cli.prepare import shared
from cplxsep.parallel import WHOLE


def rooms(
    out: shared.Out,
    count: Annotated[int, typer.Option(min=1, max=100000, help="Rooms.")] = 200,
    places: Annotated[int, typer.Option(min=1, max=9, help="Talkers' places in each.")] = 2,
    rate: shared.Rate = 16000,
    seed: shared.Seed = 0,
    workers: shared.Workers = None,
    shard: options.Shard = WHOLE,
    cluster: options.Cluster = None,
) -> None:
    """Simulate rooms into OUT/NAME.wav, a response in each channel for a talker's place.

    For noise.rooms in training, and --rooms of the other recipes. Needs the extra `rooms`. An
    interrupted run goes on where it was. Prints the table of the rooms.
    """
    from cplxsep.data.recipes.simulated_rooms import prepare_rooms

    with workers_for(cluster, workers, out / "rooms") as hands:
        table = prepare_rooms(
            out,
            count=count,
            places=places,
            sample_rate=rate,
            seed=seed,
            workers=hands,
            shard=shard,
            watch=lambda results, total: common.track(results, "simulating", total=total),
        )
    if table:
        common.stdout(str(table))
    else:
        common.note(f"{out}: rooms of other shards are missing")
