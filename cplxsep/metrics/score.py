"""All asked-for scores of one example, with a reason wherever there is none."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import ArrayLike, NDArray

from cplxsep.metrics import bss, perceptual
from cplxsep.metrics.assignment import best_permutation, closest
from cplxsep.metrics.coherence import Array, signals, silent
from cplxsep.metrics.isolation import isolation
from cplxsep.metrics.names import BSS_METRICS, DEFAULT_METRICS, ISOLATION, PACKAGES
from cplxsep.metrics.perceptual import UndefinedError
from cplxsep.metrics.sisdr import si_sdr_matrix

# The mixture has no artefacts: its SAR is without bound, and an improvement over it means nothing.
IMPROVED = ("sdr", "sir", "si-sdr", *PACKAGES)

_NOT_FINITE = "is not finite"
ALONE_DB = 60.0
"""SI-SDR from which a mixture is its only source: what differs is the rounding of the files."""


@dataclass
class SourceScore:
    """Scores of one reference: `values` by key (None: not defined), and in `null` the reasons.

    Keys are `si_sdr` for the metric `si-sdr` and so on, `si_sdr_i` for its improvement over the
    mixture. `estimate` is the index of the estimate that was assigned to the reference.
    """

    reference: int
    estimate: int
    values: dict[str, float | None] = field(default_factory=dict)
    null: dict[str, str] = field(default_factory=dict)


def key(metric: str, improvement: bool = False) -> str:
    """Name of a metric's value in results: `si_sdr`, or `si_sdr_i` for the improvement."""
    return metric.replace("-", "_") + ("_i" if improvement else "")


def keys(metrics: Sequence[str], mixture: bool) -> list[str]:
    """Names of all values that `score_example` gives for these metrics, with or without mixture."""
    improved = [key(metric, True) for metric in metrics if mixture and metric in IMPROVED]
    return [key(metric) for metric in metrics] + improved


def criterion(metrics: Sequence[str]) -> str:
    """The metric whose mean decides the permutation.

    SIR, as in mir_eval, where SIR or SAR are asked for; else SDR where it is; else SI-SDR.
    """
    if "sir" in metrics or "sar" in metrics:
        return "sir"
    return "sdr" if "sdr" in metrics else "si-sdr"


def score_example(
    mixture: ArrayLike | None,
    references: ArrayLike,
    estimates: ArrayLike,
    metrics: Sequence[str] = DEFAULT_METRICS,
    sample_rate: int = 8000,
) -> list[SourceScore]:
    """Score N estimates (N, S) against N references (N, S), and the gain over the mixture (S,).

    One permutation serves all metrics, that with the best mean of `criterion`, or with the least
    squared error where a reference is silent. The baseline of an
    improvement is the mixture taken as the estimate; there is none where the mixture is the source
    alone. A silent or non-finite signal gives None and a reason, for its own source only; so do
    SDR, SIR and SAR of signals that are shorter than the filters they forgive. `sample_rate` in Hz
    matters to PESQ, STOI and isolation alone.
    ValueError where the shapes do not fit.
    """
    ref, est = signals(references), signals(estimates)
    if ref.shape != est.shape:
        raise ValueError(f"references have shape {ref.shape}, estimates {est.shape}")
    # The mixture is one more estimate, so that each system of equations is solved once.
    candidates = est if mixture is None else np.concatenate([est, signals(mixture)])
    pairs = _Pairs(ref, candidates, metrics, sample_rate)
    scores = [SourceScore(j, int(k)) for j, k in enumerate(pairs.permutation())]
    for score in scores:
        for metric in metrics:
            if metric != ISOLATION:
                _fill(score, metric, pairs, None if mixture is None else len(est))
    if ISOLATION in metrics:
        _fill_isolation(scores, pairs, sample_rate)
    return scores


def _fill(score: SourceScore, metric: str, pairs: "_Pairs", mixture: int | None) -> None:
    """Store a metric's value and its improvement over the candidate with index `mixture`."""
    plain, better = key(metric), key(metric, True)
    improve = mixture is not None and metric in IMPROVED
    try:
        value = score.values[plain] = pairs.score(metric, score.reference, score.estimate)
    except UndefinedError as error:
        for name in [plain, better] if improve else [plain]:
            score.values[name], score.null[name] = None, str(error)
        return
    if mixture is None or not improve:
        return
    if pairs.alone(score.reference, mixture):
        score.values[better], score.null[better] = None, "the mixture is this source alone"
        return
    try:
        score.values[better] = value - pairs.score(metric, score.reference, mixture)
    except UndefinedError as error:
        score.values[better], score.null[better] = None, f"mixture: {error}"


def _fill_isolation(scores: list[SourceScore], pairs: "_Pairs", sample_rate: int) -> None:
    """Store how far each talker, where alone, is down in the other estimates."""
    order = [score.estimate for score in scores]
    found: list[float | None] = [None] * len(scores)
    if len(scores) == 1:
        reason = "only one source: there is no other output"
    elif broken := pairs.broken(order):
        reason = broken
    else:
        found = isolation(pairs.references, pairs.candidates[order], sample_rate)
        reason = "never talks alone"
    for score, value in zip(scores, found, strict=True):
        score.values[ISOLATION] = value
        if value is None:
            score.null[ISOLATION] = reason


class _Pairs:
    """Scores of N references with M >= N candidates: the N estimates, and perhaps the mixture."""

    def __init__(
        self, references: Array, candidates: Array, metrics: Sequence[str], sample_rate: int
    ) -> None:
        self.references, self._reference_faults = _sounding(references, "reference")
        self.candidates, self._candidate_faults = _sounding(candidates, "estimate")
        self._sample_rate = sample_rate
        self._si_sdr = si_sdr_matrix(self.references, self.candidates)
        self._bss: bss.BssPairs | None = None
        count, samples = references.shape
        # A filter of more taps than there are samples makes anything of anything.
        self._fits_all = samples >= count * bss.FILTER_LENGTH
        self._fits_one = samples >= bss.FILTER_LENGTH
        if (by := criterion(metrics)) != "si-sdr" and self._fits_one:
            interference = by == "sir" and self._fits_all
            self._bss = bss.bss_pairs(self.references, self.candidates, interference=interference)

    def permutation(self) -> NDArray[np.intp]:
        """Index of the estimate for each reference."""
        count = len(self.references)
        if silent(self.references).any():
            # A ratio to silence is none, and others may not have their due without it.
            return closest(self.references, self.candidates[:count])
        if self._bss is not None:
            return bss.choose(self._bss, count)
        return best_permutation(self._si_sdr[:, :count])

    def broken(self, order: Sequence[int]) -> str:
        """What is wrong with one of the candidates that is not finite; "" where all are."""
        faults = (self._candidate_faults[k] or "" for k in order)
        return next((fault for fault in faults if fault.endswith(_NOT_FINITE)), "")

    def score(self, metric: str, j: int, k: int) -> float:
        """Score of reference j with candidate k. Raises UndefinedError."""
        fault = self._reference_faults[j] or self._candidate_faults[k]
        if fault is not None:
            raise UndefinedError(fault)
        if metric in BSS_METRICS and not (self._fits_one if metric == "sdr" else self._fits_all):
            raise UndefinedError(f"too short for filters of {bss.FILTER_LENGTH} taps")
        value = self._value(metric, j, k)
        if np.isfinite(value):
            return value
        if metric not in BSS_METRICS:
            raise UndefinedError(f"{metric.upper()}: no finite value")
        if metric == "sdr":
            raise UndefinedError("no filter of the reference can be told from another")
        if self._bss is not None and self._bss.dependent:
            raise UndefinedError("references are linearly dependent")
        raise UndefinedError("only one source: nothing interferes")

    def alone(self, j: int, mixture: int) -> bool:
        """Whether the mixture, a candidate, is reference j but for rounding."""
        return bool(self._si_sdr[j, mixture] > ALONE_DB)

    def _value(self, metric: str, j: int, k: int) -> float:
        if metric == "si-sdr":
            return float(self._si_sdr[j, k])
        if self._bss is None or metric not in BSS_METRICS:
            pair = self.references[j], self.candidates[k]
            return perceptual.measure(metric, *pair, self._sample_rate)
        table = {"sdr": self._bss.sdr, "sir": self._bss.sir, "sar": self._bss.sar}[metric]
        return float(table[j, k])


def _sounding(values: Array, name: str) -> tuple[Array, list[str | None]]:
    """Signals (N, S) with the broken ones made silent, and what is wrong with each, or None."""
    finite: NDArray[np.bool_] = np.asarray(np.isfinite(values).all(axis=1))
    values = np.where(finite[:, None], values, 0.0)
    faults: list[str | None] = []
    for sound, quiet in zip(finite, silent(values), strict=True):
        faults.append(f"{name} {_NOT_FINITE}" if not sound else f"silent {name}" if quiet else None)
    return values, faults
