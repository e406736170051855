"""Options that separating and enhancing share."""

from pathlib import Path
from typing import Annotated, Literal

import typer

from cplxsep import parallel
from cplxsep.cli import common, completion
from cplxsep.cluster import address

Inputs = Annotated[
    list[str],
    typer.Argument(help="Audio files, folders (searched through), globs, or - for stdin."),
]
Model = Annotated[
    str,
    typer.Option(
        "-m",
        "--model",
        autocompletion=completion.models,
        help="Shipped name, checkpoint folder or folder of a training run.",
    ),
]
Out = Annotated[Path, typer.Option("-o", "--out", callback=common.on_disk, help="Output folder.")]
Name = Annotated[
    str, typer.Option(help="Output name, of {stem}, {source}, {ext}, {parent} and {input_ext}.")
]
# Those without a type are options of `eval` as well, which has no defaults for them.
CHUNK = typer.Option(min=0.1, max=3600, help="Seconds the network sees at once.")
Chunk = Annotated[float, CHUNK]
OVERLAP = typer.Option(min=0, max=0.5, help="Overlap of chunks, as a fraction of one.")
Overlap = Annotated[float, OVERLAP]
DEVICE = typer.Option(help="auto, cpu, cuda or cuda:N.")
Device = Annotated[str, DEVICE]
Precision = Annotated[
    Literal["auto", "fp32", "bf16", "fp16", "int8"],
    typer.Option(help="auto: the fastest on the device; int8 is for dual-path networks on a CPU."),
]
BATCH = typer.Option(help="Chunks at once: auto or a number.")
Batch = Annotated[str, BATCH]
SHIFTS = typer.Option(
    min=1, max=16, help="Times that each chunk is run, with other frames; the mean is better."
)
Shifts = Annotated[int, SHIFTS]
Rate = Annotated[
    Literal["input", "model"],
    typer.Option(help="Sample rate of the outputs: the input's, or the one the model ran at."),
]
Kind = Annotated[
    Literal["wav", "flac", "ogg", "mp3"], typer.Option("--format", help="Container of the outputs.")
]
Subtype = Annotated[
    Literal["float", "pcm16", "pcm24"],
    typer.Option(help="Sample type. FLAC has no float: pcm24; Ogg and MP3 have one of their own."),
]
Start = Annotated[
    float, typer.Option(min=0, max=1e9, metavar="SECONDS", help="Begin so far into each recording.")
]
Duration = Annotated[
    float | None,
    typer.Option(
        min=0.001, max=1e9, metavar="SECONDS", help="Go on for so long, such as 60 for a try."
    ),
]
SkipSilent = Annotated[
    float | None,
    typer.Option(
        max=0,
        metavar="DB",
        help="Keep no output whose level is so far below the input's, such as -20. --exist skip "
        "then does without those, but does files again of which nothing was kept.",
    ),
]
Exist = Annotated[
    Literal["overwrite", "skip", "error"],
    typer.Option(help="When outputs are there: skip if all are, error if any is."),
]
Plot = Annotated[bool, typer.Option("--plot", help="Also a PNG of spectrograms, as source 'plot'.")]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON object instead of paths.")]
Report = Annotated[
    Path | None,
    typer.Option(callback=common.on_disk, help="Write that JSON object to a file.", metavar="FILE"),
]
Shard = Annotated[
    parallel.Shard,
    typer.Option(
        "--shard",
        metavar="I/N",
        parser=parallel.Shard.parse,
        show_default=False,
        help="Only part I of N of the work, as one of N jobs that share it.",
    ),
]
Cluster = Annotated[
    str | None,
    typer.Option(
        "--cluster",
        metavar="ADDRESS",
        parser=address.parse,
        help="Work on a Ray cluster: local, auto or ray://HOST:PORT. All nodes must see the files.",
    ),
]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Only print what would be written.")]
