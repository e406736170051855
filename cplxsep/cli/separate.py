"""`cplxsep separate`: the talkers of a recording, each into a file."""

from pathlib import Path
from typing import Annotated, Any

import typer

from cplxsep.cli import options
from cplxsep.cli.jobs import Run, reported_in_json
from cplxsep.errors import UsageError
from cplxsep.model_folder.defaults import DEFAULT_MODEL
from cplxsep.parallel import WHOLE


def separate(
    inputs: options.Inputs,
    model: options.Model = DEFAULT_MODEL,
    out: options.Out = Path("separated"),
    name: options.Name = "{stem}_{source}.{ext}",
    chunk: options.Chunk = 8.0,
    overlap: options.Overlap = 0.25,
    device: options.Device = "auto",
    precision: options.Precision = "auto",
    batch: options.Batch = "auto",
    shifts: options.Shifts = 1,
    channel: Annotated[
        str, typer.Option(help="mix (the mean of all), each, or a number from 1.")
    ] = "mix",
    rate: options.Rate = "input",
    kind: options.Kind = "wav",
    subtype: options.Subtype = "float",
    sum_to_mix: Annotated[
        bool, typer.Option("--sum-to-mix", help="Make the sources sum to the mixture.")
    ] = False,
    start: options.Start = 0.0,
    duration: options.Duration = None,
    skip_silent: options.SkipSilent = None,
    exist: options.Exist = "overwrite",
    with_plot: options.Plot = False,
    rttm: Annotated[
        bool, typer.Option("--rttm", help="Also an RTTM file that says who speaks when.")
    ] = False,
    json_output: options.Json = False,
    report: options.Report = None,
    dry_run: options.DryRun = False,
    shard: options.Shard = WHOLE,
    cluster: options.Cluster = None,
) -> None:
    """Separate the talkers of recordings; print the path of each file written.

    Any sample rate and channel count. Outputs have the input's rate and length.
    """
    from cplxsep.engine.naming import Naming
    from cplxsep.engine.one_file import Settings
    from cplxsep.model_folder import catalogue

    with reported_in_json("separate", json_output):
        folder = catalogue.resolve(model)
        if channel == "all":
            raise UsageError("channel 'all': use mix, each or a number from 1")
        sources = tuple(f"s{index + 1}" for index in range(catalogue.describe(folder).sources))
        drops = skip_silent is not None
        naming = Naming(out, name, sources, kind, channel, with_plot, rttm, drops)
    part: dict[str, Any] = {"start": start, "duration": duration, "skip_silent": skip_silent}
    settings = Settings(kind, subtype, rate == "model", sum_to_mix, **part)
    engine = {"device": device, "precision": precision, "chunk": chunk, "overlap": overlap}
    engine |= {"batch": batch, "shifts": shifts}
    run = Run(
        "separate", folder, engine, settings, exist, dry_run, json_output, report, shard, cluster
    )
    run.work(inputs, naming)
