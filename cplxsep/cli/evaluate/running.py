"""Score, sum up, and hand out the results of `cplxsep eval`."""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import typer

from cplxsep import report
from cplxsep.cli import common
from cplxsep.errors import InputError
from cplxsep.report import scores

if TYPE_CHECKING:
    from cplxsep.data.references import Cut
    from cplxsep.metrics.cases import Cases
    from cplxsep.metrics.evaluation import Scores
    from cplxsep.parallel import Workers

Item = TypeVar("Item")

TOLD = 10
"""Failed examples that are told one by one; a folder of 10,000 may be broken throughout."""

EXAMPLES_A_WORKER = 8
"""A process takes about as long to start as this many examples take to score."""


def check_thresholds(
    thresholds: dict[str, float], metrics: list[str], systems: "list[Cases]"
) -> None:
    """UsageError, before any work, for a threshold on a score that will not be there."""
    from cplxsep.metrics import evaluation
    from cplxsep.metrics.score import keys

    # Of two systems the differences are judged, and those of improvements are the same.
    mixture = len(systems) == 1 and systems[0].has_mixture
    evaluation.check_thresholds(thresholds, keys(metrics, mixture))


def score(
    cases: "Cases",
    metrics: list[str],
    by: list[str] | None,
    workers: "Workers | None",
) -> "Scores":
    """Score all examples, with a progress bar, and tell of the first ones that failed."""
    from cplxsep.metrics import evaluation
    from cplxsep.parallel import default_workers

    names = cases.names
    count = workers or min(default_workers(), max(1, len(names) // EXAMPLES_A_WORKER))
    failures = 0

    def tell(error: InputError) -> None:
        nonlocal failures
        failures += 1
        if failures <= TOLD:
            common.fail(error)

    found = evaluation.run(cases, names, metrics, by=by, workers=count, watch=_track, tell=tell)
    if failures > TOLD:
        common.fail(InputError(f"{failures - TOLD} more examples failed: --json lists them all"))
    return found


def _track(results: Iterable[Item], total: int) -> Iterable[Item]:
    return common.track(results, "eval", total=total)


def tell_of_cuts(cut: "Cut | None") -> None:
    """Say how many examples were cut to the shortest of their files, and by how much."""
    if cut is not None and cut.seconds:
        count, seconds = len(cut.seconds), f"{max(cut.seconds.values()):.4g} s"
        common.note(f"cut to the shortest of their files: {count}, by {seconds} at the most")


def summed_up(
    scored: "Sequence[tuple[str, Scores]]", ci: float, thresholds: dict[str, float]
) -> dict[str, Any]:
    """The result of one system, or of two (`a`, `b`) and their `comparison`."""
    from cplxsep.metrics import comparison, evaluation

    if len(scored) == 1:
        return evaluation.summed_up(scored[0][1], ci, thresholds)
    compared = comparison.compare(scored[0][1], scored[1][1], ci, thresholds)
    sides = {
        side: {"system": system, **evaluation.summed_up(own, ci)}
        for side, (system, own) in zip("ab", scored, strict=True)
    }
    return {"comparison": compared, **sides}


def rows(result: dict[str, Any]) -> tuple[list[str], list[dict[str, Any]]]:
    """Columns and rows of the table for --csv."""
    from cplxsep.metrics import comparison, evaluation

    if "comparison" in result:
        return comparison.rows(result)
    return evaluation.rows(result)


def write_page(path: Path, result: dict[str, Any], systems: "list[Cases]", examples: int) -> None:
    """Write the page for --html."""
    from cplxsep.report.html.page import write_page

    write_page(path, result, systems, examples, lambda names: _track(names, len(names)))


def show(result: dict[str, Any], json_output: bool) -> None:
    """Print the result as text or JSON."""
    text = scores.comparison_text if "comparison" in result else scores.evaluation_text
    common.stdout(report.to_json(result) if json_output else text(result))


def judge(result: dict[str, Any]) -> None:
    """Tell of missed thresholds; exit code 1 for these and for examples that failed."""
    compared = result.get("comparison")
    missed = (compared or result)["missed"]
    for miss in missed:
        common.fail(InputError(scores.missed(miss)))
    sides = [result["a"], result["b"]] if compared else [result]
    failed = [entry for side in sides for entry in side["failed"]]
    if code := report.exit_code(failed, missed):
        raise typer.Exit(code)
