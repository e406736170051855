"""`cplxsep eval`: score a model on prepared mixtures, or estimates against references."""

import csv
import math
import os
from collections.abc import Iterable, Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cplxsep import report
from cplxsep.cli import common
from cplxsep.errors import InputError, UsageError

if TYPE_CHECKING:
    from cplxsep.metrics.evaluation import Case, Cases

DEFAULT_METRICS = "sdr,sir,sar,si-sdr"


def evaluate(
    model: Annotated[
        str | None, typer.Option("-m", "--model", help="Model to score: shipped name or folder.")
    ] = None,
    data: Annotated[
        Path | None,
        typer.Option(
            "--data", help="Prepared mixtures: a split's folder, or a CSV that lists some."
        ),
    ] = None,
    split: Annotated[
        str | None, typer.Option("--split", help="Split inside --data, such as tt.")
    ] = None,
    ref: Annotated[
        Path | None, typer.Option("--ref", help="References: REF/s1/NAME.wav, REF/s2/NAME.wav, ...")
    ] = None,
    est: Annotated[
        Path | None,
        typer.Option(
            "--est", help="Estimates, laid out like --ref or as NAME_s1.wav, NAME_s2.wav."
        ),
    ] = None,
    mix: Annotated[
        Path | None, typer.Option("--mix", help="Mixtures MIX/NAME.wav; default REF/mix if there.")
    ] = None,
    metrics: Annotated[
        str, typer.Option("--metrics", help="Of sdr, sir, sar, si-sdr, pesq, stoi; with commas.")
    ] = DEFAULT_METRICS,
    ci: Annotated[
        float, typer.Option("--ci", min=1, max=99.9, help="Confidence interval, percent.")
    ] = 95.0,
    csv_file: Annotated[
        Path | None, typer.Option("--csv", help="Write a row for each example and source.")
    ] = None,
    json_output: Annotated[
        bool, typer.Option("--json", help="Print one JSON object instead of the table.")
    ] = False,
    fail_under: Annotated[
        list[str] | None,
        typer.Option(
            "--fail-under", help="Exit 1 if a mean is lower: sdr=8, si-sdr-i=5. Repeatable."
        ),
    ] = None,
    group_by: Annotated[
        str | None,
        typer.Option("--group-by", help="Column of metadata.csv; default condition if it exists."),
    ] = None,
    limit: Annotated[
        int | None, typer.Option("--limit", min=1, help="Only the first N examples, by name.")
    ] = None,
    device: Annotated[
        str | None, typer.Option("--device", help="auto, cpu, cuda or cuda:N.")
    ] = None,
    precision: Annotated[
        str | None, typer.Option("--precision", help="auto, fp32, bf16 or fp16.")
    ] = None,
) -> None:
    """Score separated talkers: SDR, SIR, SAR, SI-SDR, and the improvement over the mixture.

    Either a model on prepared mixtures (--model, --data), or files (--ref, --est).
    """
    from cplxsep.metrics import evaluation

    _check_form(
        model={"--model": model, "--data": data},
        files={"--ref": ref, "--est": est},
        model_only={"--split": split, "--device": device, "--precision": precision},
        files_only={"--mix": mix},
    )
    wanted = _metrics(metrics)
    thresholds = dict(_threshold(text) for text in fail_under or [])
    _check_csv(csv_file, data, (ref, est, mix))
    cases: Cases
    if model is not None and data is not None:
        cases = ModelCases(model, data, split, device or "auto", precision or "auto")
    elif ref is not None and est is not None:
        cases = FileCases(ref, est, mix)
    scores = evaluation.evaluate(
        cases,
        cases.names[:limit],
        wanted,
        ci=ci,
        group_by=group_by,
        fail_under=thresholds,
        watch=_track,
        tell=common.fail,
    )
    given = {"model": model, "data": data, "split": split, "ref": ref, "est": est, "mix": mix}
    inputs = {name: str(value) for name, value in given.items() if value is not None}
    result = {"command": "eval", "version": version("cplxsep"), "inputs": inputs, **scores}
    common.stdout(report.to_json(result) if json_output else _table(result))
    if csv_file is not None:
        report.write_csv(csv_file, *evaluation.rows(result))
    for miss in result["missed"]:
        common.fail(InputError(_miss(miss)))
    if code := report.exit_code(result["failed"], result["missed"]):
        raise typer.Exit(code)


class ModelCases:
    """Prepared mixtures, separated by a model."""

    has_mixture = True

    def __init__(
        self, model: str, data: Path, split: str | None, device: str, precision: str
    ) -> None:
        """InputError, ModelError, DeviceError; UsageError if the number of sources differs."""
        from cplxsep.data.folders import MixtureFolder

        listed = data if data.suffix.lower() == ".csv" else None
        folder = listed.parent if listed else data
        self._folder = MixtureFolder(folder / split if split else folder)
        self.names = _listed(listed, self._folder.names) if listed else self._folder.names

        from cplxsep.engine.separator import Separator

        self._separator = Separator.load(model, device=device, precision=precision)
        if self._separator.sources != self._folder.sources:
            raise UsageError(
                f"{model} separates {self._separator.sources} sources, "
                f"but {self._folder.path} has {self._folder.sources}"
            )

    def load(self, name: str) -> "Case":
        mixture, references, rate = self._folder.load(name)
        return mixture, references, self._separator(mixture, rate), rate

    def metadata(self, name: str) -> Mapping[str, str]:
        return self._folder.metadata(name)


class FileCases:
    """Files of estimates and references; metadata where the references have a metadata.csv."""

    def __init__(self, ref: Path, est: Path, mix: Path | None) -> None:
        """InputError where a folder is missing or empty."""
        from cplxsep.data.folders import METADATA, read_metadata
        from cplxsep.metrics.pairs import PairFolders

        self._pairs = PairFolders(ref, est, mix)
        self.names = self._pairs.names
        self.has_mixture = self._pairs.mixtures is not None
        self._metadata: Mapping[str, Mapping[str, str]] = {}
        try:
            self._metadata = read_metadata(ref / METADATA)
        except InputError as error:
            common.note(f"{error}: scored without it")
        if unused := self._pairs.unused():
            common.note(f"{unused} estimates have no reference and are left out")

    def load(self, name: str) -> "Case":
        return self._pairs.load(name)

    def metadata(self, name: str) -> Mapping[str, str]:
        return self._metadata.get(name, {})


def _check_form(**options: dict[str, object]) -> None:
    """UsageError unless all of one form's options are given and none of the other's."""
    given = {
        form: [name for name, value in names.items() if value is not None]
        for form, names in options.items()
    }
    for form, other in (("model", "files"), ("files", "model")):
        if given[form] and (odd := given[other] + given[f"{other}_only"]):
            raise UsageError(f"{given[form][0]} does not go with {odd[0]}: see cplxsep eval --help")
    if [*options["model"]] != given["model"] and [*options["files"]] != given["files"]:
        raise UsageError("give either --model and --data, or --ref and --est")


def _metrics(text: str) -> list[str]:
    """Names of the metrics asked for. UsageError: unknown, or its package is not installed."""
    from cplxsep.metrics import perceptual, score

    wanted = list(dict.fromkeys(part.strip().lower().replace("_", "-") for part in text.split(",")))
    for metric in wanted:
        if metric not in score.METRICS:
            raise UsageError(
                f"--metrics: {metric!r} is not a metric; known: {', '.join(score.METRICS)}"
            )
    perceptual.require(wanted)
    return wanted


def _threshold(text: str) -> tuple[str, float]:
    """Key and least mean from text such as `si-sdr-i=5`. UsageError."""
    name, _, number = text.partition("=")
    try:
        least = float(number)
    except ValueError:
        least = math.nan
    if not math.isfinite(least):
        raise UsageError(f"--fail-under {text}: write METRIC=NUMBER, such as sdr=8")
    return name.strip().lower().replace("-", "_"), least


def _check_csv(path: Path | None, data: Path | None, folders: Iterable[Path | None]) -> None:
    """Fail before the work, not after it. InputError; UsageError if it is or may be an input."""
    if path is None:
        return
    if path.is_dir():
        raise InputError(f"--csv {path} is a folder: give the name of a file")
    if _is_data(path, data) or any(_inside(path, folder) for folder in folders if folder):
        raise UsageError(f"--csv {path} lies among the inputs: choose another place")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"cannot make the folder {path.parent}: {error.strerror}") from error
    if not os.access(path.parent, os.W_OK):
        raise InputError(f"cannot write {path}: its folder is read-only")


def _inside(path: Path, folder: Path) -> bool:
    return Path(os.path.realpath(path)).is_relative_to(os.path.realpath(folder))


def _is_data(path: Path, data: Path | None) -> bool:
    """Whether a path is a list of mixtures in use, or what a prepared folder consists of."""
    if data is None:
        return False
    if data.suffix.lower() == ".csv":
        if os.path.realpath(path) == os.path.realpath(data):
            return True
        data = data.parent
    part = path.suffix.lower() == ".wav" or path.name in ("metadata.csv", "preparation.json")
    return part and _inside(path, data)


def _listed(path: Path, known: Sequence[str]) -> list[str]:
    """Names in the column `name` of a CSV file beside `mix`. InputError."""
    try:
        with path.open(newline="", encoding="utf-8", errors="surrogateescape") as file:
            rows = list(csv.DictReader(file))
    except (OSError, csv.Error) as error:
        raise InputError(f"cannot read {path}: {error}") from error
    if not rows or rows[0].get("name") is None:
        raise InputError(f"{path} lists no mixtures: it needs a column name and a row for each")
    names = [row["name"] for row in rows]
    if missing := set(names).difference(known):
        raise InputError(f"{path} lists {min(missing)}, which {path.parent / 'mix'} does not have")
    return names


def _track(names: Sequence[str]) -> Iterable[str]:
    return common.track(names, "eval", total=len(names))


def _table(result: dict[str, Any]) -> str:
    """The summary as text."""
    rows = []
    for group, scores in result["summary"].items():
        for key, value in scores.items():
            low, high = value["ci"] or (None, None)
            numbers = [value["mean"], low, high, value["median"], value["n"], value["null"]]
            rows.append([group, _label(key), *numbers])
    columns = ["group", "score", "mean", f"{result['ci']:g}% from", "to", "median", "files", "null"]
    if len(result["summary"]) == 1:
        columns, rows = columns[1:], [row[1:] for row in rows]
    text = report.table(columns, rows)
    if result["failed"]:
        total = result["examples"] + len(result["failed"])
        text += f"\n{len(result['failed'])} of {total} examples failed"
    return text


def _label(key: str) -> str:
    """`SI-SDRi dB` for si_sdr_i."""
    improved = key.endswith("_i")
    name = key.removesuffix("_i").upper().replace("_", "-") + ("i" if improved else "")
    return name if name.startswith(("PESQ", "STOI")) else f"{name} dB"


def _miss(miss: dict[str, Any]) -> str:
    """The line for a missed threshold."""
    mean = "has no value" if miss["mean"] is None else f"is {miss['mean']:.2f} on average"
    return f"{miss['metric']} {mean}, less than the {miss['least']:g} of --fail-under"
