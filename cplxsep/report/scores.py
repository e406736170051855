"""The results of `cplxsep eval` as text, and the names by which people know the scores."""

from collections.abc import Mapping
from typing import Any

from cplxsep.report import table

Result = Mapping[str, Any]


def label(key: str) -> str:
    """`SI-SDRi dB` for si_sdr_i."""
    return f"{short(key)} dB" if decibels(key) else short(key)


def short(key: str) -> str:
    """`SI-SDRi` for si_sdr_i."""
    improved = key.endswith("_i")
    return key.removesuffix("_i").upper().replace("_", "-") + ("i" if improved else "")


def decibels(key: str) -> bool:
    """Whether a score is in dB; PESQ and STOI are not."""
    return not key.startswith(("pesq", "stoi"))


def evaluation_text(result: Result) -> str:
    """Summary, conditions and the worst files of one evaluation."""
    columns = ["score", "mean", f"{result['ci']:g}% from", "to", "median", "files", "null"]
    parts = [table(columns, [_row(key, value) for key, value in result["summary"].items()])]
    parts += _conditions(result["by"], result["worst"]["by"], result["ci"], "")
    parts.append(_worst(result["worst"], label(result["worst"]["by"])))
    parts.append(_failures(result))
    return "\n\n".join(part for part in parts if part)


def comparison_text(result: Result) -> str:
    """The paired differences of two systems."""
    compared = result["comparison"]
    columns = ["score", "A", "B", "B - A", f"{compared['ci']:g}% from", "to", "median"]
    columns += ["files", "better", "worse", "null"]
    rows = [_paired(key, value) for key, value in compared["difference"].items()]
    parts = [f"A {result['a']['system']}\nB {result['b']['system']}", table(columns, rows)]
    parts += _conditions(compared["by"], compared["worst"]["by"], compared["ci"], "B - A ")
    parts.append(_worst(compared["worst"], f"B - A {label(compared['worst']['by'])}"))
    parts += [_unpaired(compared), *(_failures(result[side], side.upper()) for side in "ab")]
    return "\n\n".join(part for part in parts if part)


def missed(miss: Mapping[str, Any]) -> str:
    """The line for a threshold that was missed."""
    mean = "has no value" if miss["mean"] is None else f"is {miss['mean']:.2f} on average"
    name = miss["metric"].replace("_", "-")  # as in the option
    return f"{name} {mean}, less than the {miss['least']:g} of --fail-under"


def _row(key: str, value: Mapping[str, Any]) -> list[object]:
    low, high = value["ci"] or (None, None)
    return [label(key), value["mean"], low, high, value["median"], value["n"], value["null"]]


def _paired(key: str, value: Mapping[str, Any]) -> list[object]:
    low, high = value["ci"] or (None, None)
    means = [value["mean_a"], value["mean_b"], value["mean"], low, high, value["median"]]
    return [label(key), *means, value["n"], value["better"], value["worse"], value["null"]]


def _conditions(by: Result, rank: str, ci: float, what: str) -> list[str]:
    """A table by column: the means of each condition, and the interval of the score `rank`."""
    tables = []
    for column, groups in by.items():
        titles: list[str] = []
        rows = []
        for group, scores in groups.items():
            titles = [what + label(key) for key in scores]
            low, high = scores[rank]["ci"] or (None, None)
            means = [value["mean"] for value in scores.values()]
            rows.append([group, scores[rank]["n"], *means, low, high])
        bounds = [f"{what}{short(rank)} {ci:g}% from", "to"]
        tables.append(table([column, "files", *titles, *bounds], rows))
    return tables


def _worst(worst: Mapping[str, Any], title: str) -> str:
    if len(worst["examples"]) < 2:
        return ""
    rows = [[entry["name"], entry[worst["by"]]] for entry in worst["examples"]]
    return table(["worst files", title], rows)


def _failures(result: Result, side: str = "") -> str:
    """How many examples have no score, and why scores are null, with their numbers."""
    lines = []
    if failed := len(result["failed"]):
        of = f" of {side}" if side else ""
        lines.append(f"{failed} of {result['examples'] + failed} examples{of} failed")
    for key, reasons in result["null"].items():
        lines += [
            f"{count} x no {short(key)}{f' of {side}' if side else ''}: {reason}"
            for reason, count in reasons.items()
        ]
    return "\n".join(lines)


def _unpaired(compared: Mapping[str, Any]) -> str:
    lines = [
        f"{len(compared[name])} examples are scored in {name[-1].upper()} only and left out"
        for name in ("only_a", "only_b")
        if compared[name]
    ]
    return "\n".join(lines)
