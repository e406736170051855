"""`cplxsep enhance`: a recording without its noise."""

from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from cplxsep.cli import options
from cplxsep.cli.jobs import Run, reported_in_json
from cplxsep.errors import UsageError
from cplxsep.model_folder.defaults import DEFAULT_ENHANCER
from cplxsep.parallel import WHOLE


def enhance(
    inputs: options.Inputs,
    model: options.Model = DEFAULT_ENHANCER,
    out: options.Out = Path("enhanced"),
    name: options.Name = "{stem}_{source}.{ext}",
    keep_noise: Annotated[
        bool, typer.Option("--keep-noise", help="Also write what was taken out, as 'noise'.")
    ] = False,
    mix_back: Annotated[
        float | None,
        typer.Option(max=0, metavar="DB", help="Leave the noise in at this level, such as -20."),
    ] = None,
    above: Annotated[
        Literal["follow", "keep", "drop"],
        typer.Option(
            help="The band above the model's: follow (attenuated as the highest band that the "
            "model hears), keep (as it is), or drop."
        ),
    ] = "follow",
    chunk: options.Chunk = 8.0,
    overlap: options.Overlap = 0.25,
    device: options.Device = "auto",
    precision: options.Precision = "auto",
    batch: options.Batch = "auto",
    shifts: options.Shifts = 1,
    channel: Annotated[
        str, typer.Option(help="all (each kept, in one file), mix, each, or a number from 1.")
    ] = "all",
    rate: options.Rate = "input",
    kind: options.Kind = "wav",
    subtype: options.Subtype = "float",
    start: options.Start = 0.0,
    duration: options.Duration = None,
    skip_silent: options.SkipSilent = None,
    exist: options.Exist = "overwrite",
    with_plot: options.Plot = False,
    json_output: options.Json = False,
    report: options.Report = None,
    dry_run: options.DryRun = False,
    shard: options.Shard = WHOLE,
    cluster: options.Cluster = None,
) -> None:
    """Take the noise out of recordings of speech; print the path of each file written.

    Any sample rate and channel count. Outputs have the input's rate, length, level and channels.
    """
    from cplxsep.engine.enhance import Enhancement
    from cplxsep.engine.naming import Naming
    from cplxsep.engine.one_file import Settings
    from cplxsep.model_folder import catalogue

    with reported_in_json("enhance", json_output):
        folder = catalogue.resolve(model)
        if (sources := catalogue.describe(folder).sources) != 1:
            raise UsageError(
                f"model {folder.name} separates {sources} talkers: give one that enhances, "
                "or use cplxsep separate"
            )
        tags = ("enhanced", "noise") if keep_noise else ("enhanced",)
        drops = skip_silent is not None
        naming = Naming(out, name, tags, kind, channel, with_plot, drops=drops)
    part: dict[str, Any] = {"start": start, "duration": duration, "skip_silent": skip_silent}
    settings = Settings(
        kind, subtype, rate == "model", enhancement=Enhancement(above, keep_noise, mix_back), **part
    )
    engine = {"device": device, "precision": precision, "chunk": chunk, "overlap": overlap}
    engine |= {"batch": batch, "shifts": shifts}
    run = Run(
        "enhance", folder, engine, settings, exist, dry_run, json_output, report, shard, cluster
    )
    run.work(inputs, naming)
