"""`cplxsep separate`: the talkers of a recording, each into a file."""

from contextlib import ExitStack
from pathlib import Path
from typing import Annotated, Literal

import typer

from cplxsep.cli.jobs import Run, plan


def separate(
    inputs: Annotated[
        list[str],
        typer.Argument(help="Audio files, folders (searched through), globs, or - for stdin."),
    ],
    model: Annotated[
        str, typer.Option("-m", "--model", help="Shipped name or checkpoint folder.")
    ] = "dce-2spk-8k",
    out: Annotated[Path, typer.Option("-o", "--out", help="Output folder.")] = Path("separated"),
    name: Annotated[
        str, typer.Option(help="Output name, of {stem}, {source}, {ext} and {parent}.")
    ] = "{stem}_{source}.{ext}",
    chunk: Annotated[
        float, typer.Option(min=0.1, max=3600, help="Seconds the network sees at once.")
    ] = 8.0,
    overlap: Annotated[
        float, typer.Option(min=0, max=0.5, help="Overlap of chunks, as a fraction of one.")
    ] = 0.25,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda or cuda:N.")] = "auto",
    precision: Annotated[
        Literal["auto", "fp32", "bf16", "fp16"],
        typer.Option(help="auto: bf16 on CUDA, fp32 elsewhere."),
    ] = "auto",
    batch: Annotated[str, typer.Option(help="Chunks at once: auto or a number.")] = "auto",
    channel: Annotated[
        str, typer.Option(help="mix (the mean of all), each, or a number from 1.")
    ] = "mix",
    rate: Annotated[
        Literal["input", "model"], typer.Option(help="Sample rate of the outputs.")
    ] = "input",
    kind: Annotated[
        Literal["wav", "flac", "ogg"], typer.Option("--format", help="Container of the outputs.")
    ] = "wav",
    subtype: Annotated[
        Literal["float", "pcm16", "pcm24"],
        typer.Option(help="Sample type. FLAC has no float: pcm24. Ogg is always Vorbis."),
    ] = "float",
    sum_to_mix: Annotated[
        bool, typer.Option("--sum-to-mix", help="Make the sources sum to the mixture.")
    ] = False,
    exist: Annotated[
        Literal["overwrite", "skip", "error"],
        typer.Option(help="When outputs are there: skip if all are, error if any is."),
    ] = "overwrite",
    with_plot: Annotated[
        bool, typer.Option("--plot", help="Also a PNG of spectrograms, as source 'plot'.")
    ] = False,
    json_output: Annotated[
        bool, typer.Option("--json", help="Print one JSON object instead of paths.")
    ] = False,
    report: Annotated[
        Path | None, typer.Option(help="Write that JSON object to a file.", metavar="FILE")
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Only print what would be written.")
    ] = False,
) -> None:
    """Separate the talkers of recordings; print the path of each file written.

    Any sample rate and channel count. Outputs have the input's rate and length.
    """
    from cplxsep.engine import shelf
    from cplxsep.engine.batch import Settings
    from cplxsep.engine.inputs import Naming

    folder = shelf.resolve(model)
    entry = shelf.describe(folder)
    run = Run(
        model=folder,
        options={
            "device": device,
            "precision": precision,
            "chunk": chunk,
            "overlap": overlap,
            "batch": batch,
        },
        settings=Settings(kind, subtype, rate == "model", sum_to_mix),
        exist=exist,
        dry_run=dry_run,
        json_output=json_output,
        report=report,
    )
    with ExitStack() as stack:
        items = plan(inputs, Naming(out, name, entry.sources, kind, channel, with_plot), stack)
        run.work(items)
    if run.failed:
        raise typer.Exit(1)
