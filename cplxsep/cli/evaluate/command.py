"""`cplxsep eval`: score a model on prepared mixtures, or estimates against references."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cplxsep import report
from cplxsep.cli import common, completion, options
from cplxsep.cli.evaluate import cases, checks, running
from cplxsep.errors import UsageError
from cplxsep.metrics.names import DEFAULT_METRICS, METRICS
from cplxsep.parallel import WHOLE
from cplxsep.version import own_version

if TYPE_CHECKING:
    from cplxsep.metrics.cases import Cases


def evaluate(
    model: Annotated[
        str | None,
        typer.Option(
            "-m",
            "--model",
            autocompletion=completion.models,
            help="Model to score: shipped name or folder.",
        ),
    ] = None,
    data: Annotated[
        Path | None,
        typer.Option(help="Mixtures with references, or a CSV that lists some of them."),
    ] = None,
    split: Annotated[str | None, typer.Option(help="Split inside --data, such as tt.")] = None,
    ref: Annotated[
        Path | None, typer.Option(help="References: REF/s1/NAME.wav, ... or REF/NAME_s1.wav, ...")
    ] = None,
    est: Annotated[
        Path | None, typer.Option(help="Estimates: EST/s1/NAME.wav, ... or EST/NAME_s1.wav, ...")
    ] = None,
    mix: Annotated[
        Path | None,
        typer.Option(help="Mixtures MIX/NAME.wav; default mix or mix_* among the references."),
    ] = None,
    compare: Annotated[
        tuple[str, str] | None,
        typer.Option(help="Two, each a model or a folder of estimates: B less A."),
    ] = None,
    metrics: Annotated[
        str,
        typer.Option(help=f"Of {', '.join(METRICS)}; with commas."),
    ] = ",".join(DEFAULT_METRICS),
    by: Annotated[
        list[str] | None,
        typer.Option(
            help="Column of the metadata to group by; COLUMN:WIDTH sets the bins of numbers. "
            "Repeatable; default condition and sexes where they exist.",
        ),
    ] = None,
    metadata: Annotated[
        Path | None, typer.Option(help="CSV with a row by name; default REF/metadata.csv.")
    ] = None,
    speakers: Annotated[
        Path | None,
        typer.Option(help="CSV of speaker and sex, to group by same and different sex."),
    ] = None,
    cut: Annotated[
        bool, typer.Option("--cut", help="Cut files of different lengths to the shortest.")
    ] = False,
    ci: Annotated[
        float, typer.Option(min=1, max=99.9, help="Confidence interval, percent.")
    ] = 95.0,
    csv_file: Annotated[
        Path | None,
        typer.Option(
            "--csv", callback=common.on_disk, help="Write a row for each example and source."
        ),
    ] = None,
    html: Annotated[
        Path | None,
        typer.Option(callback=common.on_disk, help="Write a page to look at and to listen to."),
    ] = None,
    html_examples: Annotated[
        int, typer.Option(min=0, help="Examples to hear: of the worst, median and best files.")
    ] = 12,
    json_output: Annotated[
        bool, typer.Option("--json", help="Print one JSON object instead of the table.")
    ] = False,
    fail_under: Annotated[
        list[str] | None,
        typer.Option(
            help="Exit 1 if a mean is lower: sdr=8, si-sdr-i=5; with --compare, that of the "
            "differences. Repeatable.",
        ),
    ] = None,
    limit: Annotated[
        int | None, typer.Option(min=1, help="Only the first N examples, by name.")
    ] = None,
    workers: Annotated[
        int | None, typer.Option(min=1, help="Processes that score; default one a processor.")
    ] = None,
    device: Annotated[str | None, options.DEVICE] = None,
    precision: Annotated[str | None, typer.Option(help="auto, fp32, bf16, fp16 or int8.")] = None,
    chunk: Annotated[float | None, options.CHUNK] = None,
    overlap: Annotated[float | None, options.OVERLAP] = None,
    batch: Annotated[str | None, options.BATCH] = None,
    shifts: Annotated[int | None, options.SHIFTS] = None,
    shard: options.Shard = WHOLE,
    cluster: options.Cluster = None,
) -> None:
    """Score separated or enhanced speech: SDR, SIR, SAR, SI-SDR, PESQ, STOI, and improvements.

    A model on mixtures (--model, --data), files (--ref, --est), or two of either (--compare).
    """
    given: dict[str, object] = {"--model": model, "--est": est, "--compare": compare}
    given |= {"--data": data, "--ref": ref, "--split": split}
    given |= {"--cluster": cluster, "--workers": workers, "--cut": cut or None}
    engine: dict[str, Any] = {"device": device, "precision": precision}
    engine |= {"chunk": chunk, "overlap": overlap, "batch": batch, "shifts": shifts}
    engine = {name: value for name, value in engine.items() if value is not None}
    checks.check_form(given | {f"--{name}": value for name, value in engine.items()})
    wanted = checks.read_metrics(metrics)
    thresholds = dict(checks.read_threshold(text) for text in fail_under or [])
    estimates = [Path(side) for side in compare or () if cases.is_estimates(side)]
    folders = [ref, mix, metadata, speakers, est, *estimates]
    for option, target in (("--csv", csv_file), ("--html", html)):
        checks.check_target(option, target, data, folders)
    if csv_file and html and csv_file.absolute() == html.absolute():
        raise UsageError(f"--csv and --html would both write {html}: name two files")
    scored_on = cases.read_data(data, split, ref, mix, metadata, speakers, cut)
    scored_on = scored_on.part(limit, shard)
    if not scored_on.names:  # of a shard: there is nothing to group or to judge
        by, thresholds = None, {}
    runs_model = model is not None or len(estimates) < len(compare or ())
    with cases.scorers(cluster, workers, engine, runs_model) as (hands, far):
        systems: list[tuple[str, Cases]] = []
        if model is not None:
            systems.append((model, cases.ModelCases(model, scored_on, engine, far)))
        elif est is not None:
            systems.append((str(est), cases.FileCases(est, scored_on)))
        for side in compare or ():
            systems.append((side, cases.of_system(side, scored_on, engine, far)))
        running.check_thresholds(thresholds, wanted, [own for _, own in systems])
        scored = [(side, running.score(own, wanted, by, hands)) for side, own in systems]
    running.tell_of_cuts(scored_on.cut)
    places = {"data": data, "split": split, "ref": ref, "mix": mix, "metadata": metadata}
    places |= {"speakers": speakers, "model": model, "est": est}
    about: dict[str, Any] = {"command": "eval", "version": own_version()}
    about["inputs"] = {name: str(place) for name, place in places.items() if place is not None}
    result = about | running.summed_up(scored, ci, thresholds)
    running.show(result, json_output)
    if csv_file is not None:
        report.write_csv(csv_file, *running.rows(result))
    if html is not None:
        running.write_page(html, result, [own for _, own in systems], html_examples)
    running.judge(result)
