"""`cplxsep prepare conversations`."""

from pathlib import Path
from typing import Annotated, Literal

import typer

from cplxsep.cli import options
from cplxsep.cli.cluster import workers_for
from cplxsep.cli.prepare import shared
from cplxsep.parallel import WHOLE


def conversations(
    speech: shared.Speech,
    out: shared.Out,
    rate: shared.Rate = 16000,
    sources: Annotated[int, typer.Option(min=2, max=5, help="Talkers in a conversation.")] = 2,
    seconds: Annotated[float, typer.Option(min=1.0, max=36000.0, help="Length of each.")] = 60.0,
    overlap: Annotated[
        str,
        typer.Option(
            metavar="LO:HI",
            help="Share of the talking in which several talk, of turns without a pause: 0:0 none, "
            "1:1 all.",
        ),
    ] = "0:1",
    pauses: Annotated[
        float, typer.Option(min=0.0, max=1.0, help="Share of the changes of turn with a pause.")
    ] = 0.3,
    turns: Annotated[str, typer.Option(metavar="LO:HI", help="Length of a turn in s.")] = "1:6",
    alone: Annotated[
        float, typer.Option(min=0.0, max=1.0, help="Share in which one talks and nobody else.")
    ] = 0.0,
    snr: Annotated[
        str,
        typer.Option(metavar="LO:HI", help="How much louder talker 1 is than each other, in dB."),
    ] = "-5:5",
    noise: Annotated[
        Path | None,
        typer.Option(help="Manifest CSV (no column speaker needed), or a folder of recordings."),
    ] = None,
    noise_snr: Annotated[
        str, typer.Option(metavar="LO:HI", help="All talkers over the noise, in dB.")
    ] = "5:30",
    rooms: Annotated[
        str | None,
        typer.Option(
            metavar="DIR|simulated",
            help="Put the talkers into rooms: a folder of responses, the channels of a file being "
            "places in one room, or simulated ones.",
        ),
    ] = None,
    reference: Annotated[
        Literal["heard", "early", "dry"],
        typer.Option(
            help="s1, s2, ... in rooms: as heard, or the direct sound with the first 50 ms after "
            "it, or alone."
        ),
    ] = "heard",
    hours: shared.Hours = None,
    count: shared.Count = None,
    split: shared.Split = "train,valid,test",
    seed: shared.Seed = 0,
    workers: shared.Workers = None,
    shard: options.Shard = WHOLE,
    cluster: options.Cluster = None,
) -> None:
    """Let talkers take turns, in OUT/{tr,cv,tt}/{mix,s1,s2,...,noise}/NAME.wav and metadata.csv.

    rttm/NAME.rttm says who speaks when. A talker reads on from turn to turn, and begins again when
    the recordings are used up; turns end where the talker is softest. Speakers, copies and bad
    files as in `prepare mix`. Prints the metadata.csv of each split.
    """
    from cplxsep.config import ConversationConfig
    from cplxsep.data.recipes.conversations import ConversationSettings, prepare_conversations

    settings = ConversationSettings(
        talk=ConversationConfig(
            share=1.0,
            overlap=shared.within("--overlap", overlap, 0.0, 1.0, "shares, such as 0.2:0.5"),
            pauses=pauses,
            turns=shared.within("--turns", turns, 0.3, 600.0, "s, such as 1:6"),
            alone=alone,
            reference=reference,
        ),
        sample_rate=rate,
        sources=sources,
        seconds=seconds,
        snr=shared.ratios(snr),
        noise_snr=shared.ratios(noise_snr, "--noise-snr"),
        count=count,
        hours=hours,
        seed=seed,
    )
    shared.amount(count, hours)
    with workers_for(cluster, workers, out / "mixtures") as hands:
        shared.tell(
            prepare_conversations(
                speech,
                out,
                settings,
                noise=noise,
                rooms=rooms,
                splits=shared.names(split),
                workers=hands,
                shard=shard,
                report=shared.report,
                watch=shared.watch,
            )
        )
