"""`prepare wsj0`: wsj0-2mix and wsj0-3mix from their published lists and a copy of WSJ0.

The conventions are those of the original MATLAB script (Hershey et al., "Deep clustering", 2016):
levels by P.56 of the whole utterances at 8 kHz, the same gains at 16 kHz, then per mixture one
gain, up or down, that brings the highest of mixture and sources to 0.9; cut or zero-padded at the
end; everything, the mixture too, rounded to 16 bits for itself; names with the levels as MATLAB
prints numbers. MATLAB's default resampler is a low-pass of 41 taps with a Kaiser window (beta 5);
scipy's polyphase resampler has the same taps to 1e-9. Nothing here was compared with files that
MATLAB wrote: equal levels given, single 16-bit steps can differ where a value lies between two.

Levels follow `activlev` of voicebox as of 2012. Its later versions append 0.35 s of silence before
they measure: with them the level of an utterance that ends in speech comes out lower, on 150
utterances of LibriSpeech by 0.015 dB in the mean, 0.07 dB at the 95th percentile, 0.19 dB at most.
"""

import hashlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from cplxsep.audio.level import from_db
from cplxsep.data.mixing import Mode
from cplxsep.data.recipes.drawn import bucket
from cplxsep.data.recipes.fixed import (
    FixedRecipe,
    at_rate,
    check_test_speakers,
    check_there,
    complete,
    fit_all,
    from_steps,
)
from cplxsep.data.recipes.preparation import Preparation, Prepared, Rendered, Report, Watch
from cplxsep.data.recipes.render import subfolders
from cplxsep.data.recipes.wsj0_files import Corpus, Line, read_list, speaker
from cplxsep.data.table import Row
from cplxsep.errors import InputError
from cplxsep.parallel import WHOLE, Shard, Workers

SPLITS = ("tr", "cv", "tt")
_PEAK = 0.9


def prepare_wsj0(
    lists: Path,
    wsj0: Path,
    out: Path,
    *,
    sources: int = 2,
    rates: Iterable[int] = (8000, 16000),
    modes: Iterable[Mode] = ("min", "max"),
    splits: Iterable[str] = SPLITS,
    workers: Workers | None = None,
    shard: Shard = WHOLE,
    manifest_only: bool = False,
    report: Report = lambda _text: None,
    watch: Watch = lambda results, _total: results,
) -> Iterator[Prepared]:
    """Write OUT/{N}speakers/wav{8,16}k/{min,max}/{tr,cv,tt}/{mix,s1,s2,...}; yield each folder.

    `lists` holds mix_{N}_spk_{tr,cv,tt}.txt, `wsj0` the recordings, WAV or NIST sphere.
    Recordings that cannot be used are told to `report`, and their mixtures left out.
    InputError: a list is missing or broken, no recording is found, a test speaker is in another
    split, OUT holds something else or cannot be written.
    """
    tables = {
        split: read_list(lists / f"mix_{sources}_spk_{split}.txt", sources) for split in splits
    }
    check_test_speakers(
        {
            split: {speaker(path) for line in table for path in line.recordings}
            for split, table in tables.items()
        },
        "tt",
    )
    corpus = Corpus(wsj0)
    for split, table in tables.items():
        paths = (corpus.find(path) for line in table for path in line.recordings)
        check_there(paths, f"the list of {split}", wsj0)
    for rate in rates:
        for mode in modes:
            for split, table in tables.items():
                folder = out / f"{sources}speakers" / f"wav{rate // 1000}k" / mode / split
                recipe = FixedRecipe(table, _Maker(corpus, split, rate, mode))
                identity = {
                    **{"recipe": "wsj0 1", "sample_rate": rate, "mode": mode},
                    "list": hashlib.sha256(repr(table).encode()).hexdigest()[:16],
                }
                files = [] if manifest_only else subfolders(sources)
                preparation = Preparation(folder, recipe, identity, files, rate, shard)
                yield complete(preparation.run(workers, report, watch, []), len(table), report)


@dataclass(frozen=True)
class _Maker:
    """Makes the mixtures of one folder."""

    corpus: Corpus
    split: str
    sample_rate: int
    mode: Mode

    def __call__(self, line: Line) -> Rendered:
        pieces, gains, bad = [], [], {}
        for recording, level_db in zip(line.recordings, line.levels, strict=True):
            try:
                audio = self.corpus.read(recording)
                level = self.corpus.level(recording, audio)
            except InputError as error:
                bad[recording] = str(error)
                continue
            pieces.append(at_rate(audio, self.sample_rate))
            gains.append(from_db(level_db) / level)
        if bad:
            return Rendered(None, {}, bad)
        placed = np.stack(fit_all(pieces, self.mode))
        scaled = placed * np.array(gains)[:, None]
        highest = max(np.abs(scaled).max(), np.abs(scaled.sum(axis=0)).max())
        gains = [gain * (_PEAK / highest) for gain in gains]
        files = build(placed, gains)
        return Rendered(self._row(line, gains, placed.shape[1]), files, {})

    def _row(self, line: Line, gains: list[float], samples: int) -> Row:
        row = {
            "name": line.name,
            "split": self.split,
            "mixture_path": f"mix/{line.name}.wav",
            "sample_rate": str(self.sample_rate),
            "seconds": f"{samples / self.sample_rate:.6f}",
            "condition": bucket(line.levels[0] - line.levels[1]),
            "recipe": "wsj0",
            "mode": self.mode,
            "samples": str(samples),
        }
        for number, recording in enumerate(line.recordings):
            row |= {
                f"source_{number + 1}_path": recording,
                f"source_{number + 1}_speaker": speaker(recording),
                f"source_{number + 1}_snr_db": f"{line.levels[0] - line.levels[number]:.4f}",
                f"source_{number + 1}_gain": repr(float(gains[number])),
            }
        return row


def build(placed: np.ndarray, gains: list[float]) -> dict[str, np.ndarray]:
    """The files of a mixture from its sources (N, S), float64, at the mixture's rate."""
    scaled = placed * np.array(gains)[:, None]
    mixture = scaled[0].copy()
    for source in scaled[1:]:
        mixture += source
    files = {f"s{number + 1}": _rounded(source) for number, source in enumerate(scaled)}
    return {"mix": _rounded(mixture), **files}


def _rounded(audio: np.ndarray) -> np.ndarray:
    """To 16 bits, halves away from zero."""
    return from_steps(np.trunc(audio * 32768 + np.copysign(0.5, audio)))


def rebuild_wsj0(row: Mapping[str, str], root: Path) -> dict[str, np.ndarray]:
    """The files' audio from a row and WSJ0. KeyError, ValueError: the row is another's."""
    corpus, rate = Corpus(root), int(row["sample_rate"])
    numbers = range(1, 1 + sum(f"source_{n}_path" in row for n in range(1, 10)))
    pieces = [at_rate(corpus.read(row[f"source_{n}_path"]), rate) for n in numbers]
    gains = [float(row[f"source_{n}_gain"]) for n in numbers]
    return build(np.stack(fit_all(pieces, "min" if row["mode"] == "min" else "max")), gains)
