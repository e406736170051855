"""Enhancement on the test split, beside what one would take instead, in one run.

    python benchmarks/enhancement.py --speech ../shared/data/speech.csv \
        --noise ../shared/data/noise.csv [--model models/dce-denoise] [--count 60]
        [--peers FOLDER] [--seed 0] [--split test] [--json FILE] [--write]

Speech of the split mixed with noise of the split at -5 to 15 dB (active levels, 16 kHz): speakers
and recordings alike likely, utterances that stand 30 dB above their own background, noise without
its digital silence; the same pairs at every ratio. Methods: the model, noisereduce with its own
settings (where installed), the Wiener filter of wiener.py, and the networks that peers.py put into
a folder. Figures: SI-SDR in dB, PESQ wide band, STOI, and their improvements, means with 95 %
bootstrap intervals over mixtures; and how far ours is above each other method on the same mixtures.

Then: clean speech in (PESQ against itself), noise alone in (dB that it is turned down), digital
silence in, and the speed of each method. `--write` stores the figures in the model's folder.
"""

import argparse
import importlib.util
import json
import multiprocessing
import sys
import tempfile
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
from card import cell, markdown, parts, publish
from machine import in_words, machine
from noisy_mixtures import METRICS, OWN_SNR, RATE, Pair, draw_pairs, score
from peers import UNKNOWN, Peer, start
from settings import Settings
from wiener import wiener
from workload import interleave, spread

from cplxsep import Separator
from cplxsep.audio.level import db
from cplxsep.metrics.statistics import interval
from cplxsep.parallel import default_workers
from cplxsep.report import table

SNRS = (-5.0, 0.0, 5.0, 10.0, 15.0)
NOISY = "noisy"
Method = Callable[[np.ndarray], np.ndarray]
# Of one mixture at one ratio: scores by method.
Scores = dict[str, dict[str, float | None]]


def methods(model: str) -> dict[str, Method]:
    """From (S,) at 16 kHz to (S,)."""
    separator = Separator.load(model)
    if separator.sources != 1 or RATE not in separator.rates:
        raise SystemExit(f"{model} does not enhance at {RATE} Hz")
    found: dict[str, Method] = {Path(model).name: lambda audio: separator(audio, RATE)[0]}
    if importlib.util.find_spec("noisereduce"):
        import noisereduce

        found["noisereduce"] = lambda audio: noisereduce.reduce_noise(y=audio, sr=RATE)
    found["wiener"] = lambda audio: wiener(audio, RATE)
    return found


def score_all(pairs: list[Pair], ways: dict[str, Method], workers: int) -> dict[str, list[Scores]]:
    """Scores of the mixtures at each ratio, by ratio; PESQ, the slowest, in processes."""
    found: dict[str, list[Scores]] = {}
    names = [NOISY, *ways]
    # Not forked: torch's threads would not survive.
    with ProcessPoolExecutor(workers, multiprocessing.get_context("spawn")) as pool:
        for snr in SNRS:
            works = []
            for pair in pairs:
                mixture, reference = pair.at(snr)
                works.append((reference, [mixture, *(way(mixture) for way in ways.values())]))
            scores = list(pool.map(score, works))
            found[f"{snr:g}"] = [dict(zip(names, each, strict=True)) for each in scores]
            print(f"{snr:g} dB done", file=sys.stderr, flush=True)
    return found


def summarise(scores: dict[str, list[Scores]]) -> dict[str, Any]:
    """Means by method and ratio, under `all` over the ratios, with improvements (`_i`)."""
    names = list(scores[f"{SNRS[0]:g}"][0])
    found: dict[str, Any] = {}
    for name in names:
        by_snr = {snr: [_with_gain(each, name) for each in rows] for snr, rows in scores.items()}
        # Each mixture's mean over the ratios: five ratios of one pair are not five samples.
        mixtures = zip(*by_snr.values(), strict=True)
        by_snr["all"] = [_mean(list(same)) for same in mixtures]
        found[name] = {
            snr: {key: _figure([row[key] for row in rows]) for key in rows[0]}
            for snr, rows in by_snr.items()
        }
    return found


def _with_gain(each: Scores, name: str) -> dict[str, float | None]:
    return each[name] | {f"{key}_i": value for key, value in _above(each, name, NOISY).items()}


def _above(each: Scores, one: str, other: str) -> dict[str, float | None]:
    pairs = {key: (each[one][key], each[other][key]) for key in METRICS}
    return {key: None if None in pair else pair[0] - pair[1] for key, pair in pairs.items()}


def differences(scores: dict[str, list[Scores]], ours: str) -> dict[str, dict[str, Any]]:
    """By other method: ours above it, each mixture's mean over the ratios a sample."""
    mixtures = list(zip(*scores.values(), strict=True))
    found = {}
    for name in mixtures[0][0]:
        if name not in (ours, NOISY):
            rows = [_mean([_above(each, ours, name) for each in same]) for same in mixtures]
            found[name] = {key: _figure([row[key] for row in rows]) for key in METRICS}
    return found


def _mean(rows: list[dict[str, float | None]]) -> dict[str, float | None]:
    kept = {key: [row[key] for row in rows if row[key] is not None] for key in rows[0]}
    return {key: float(np.mean(values)) if values else None for key, values in kept.items()}


def _figure(values: list[float | None]) -> dict[str, Any]:
    kept = [value for value in values if value is not None]
    bounds = interval(kept)
    return {
        "mean": float(np.mean(kept)) if kept else None,
        "ci": list(bounds) if bounds else None,
        "n": len(kept),
        "null": len(values) - len(kept),
    }


def extremes(pairs: list[Pair], ways: dict[str, Method]) -> dict[str, Any]:
    """Speech without noise, noise without speech, and digital silence."""
    found = {}
    for name, way in ways.items():
        clean = [score((pair.speech, [way(pair.speech)]))[0]["pesq"] for pair in pairs]
        down = [db(np.std(pair.noise) / max(np.std(way(pair.noise)), 1e-9)) for pair in pairs]
        found[name] = {
            "clean_pesq": _figure(clean),
            "clean_pesq_lowest": min(value for value in clean if value is not None),
            "noise_down_db": _figure(down),
            "noise_down_db_lowest": min(down),
            "silence_stays_silence": not way(np.zeros(5 * RATE, np.float32)).any(),
        }
    return found


def speeds(pairs: list[Pair], ways: dict[str, Method], repeats: int) -> dict[str, Any]:
    """Seconds of audio a second, on 30 s."""
    audio = np.concatenate([pair.at(5.0)[0] for pair in pairs])
    audio = np.resize(audio, 30 * RATE)
    with tempfile.TemporaryDirectory() as folder:
        settings = Settings("cpu", False, None, Path(folder), repeats)
        times = interleave(ways, audio, settings, "speed of")
    for name, way in ways.items():
        if isinstance(way, Peer):
            times[name] = way.seconds[-repeats:]
    return {name: spread([30 / seconds for seconds in taken]) for name, taken in times.items()}


def show(result: dict[str, Any]) -> str:
    """Everything as text tables."""
    rows = [
        [snr, name, *(cell(figures[key], 3 if "stoi" in key else 2) for key in _keys())]
        for snr in result["snrs"]
        for name, by_snr in result["scores"].items()
        for figures in [by_snr[snr]]
    ]
    scores = table(["SNR dB", "method", *_keys()], rows)
    rows = []
    for name, found in result["extremes"].items():
        rate = result["speed"][name]
        rows.append([name, cell(found["clean_pesq"]), found["clean_pesq_lowest"]])
        rows[-1] += [cell(found["noise_down_db"]), found["noise_down_db_lowest"]]
        rows[-1] += [str(found["silence_stays_silence"]), *(rate[k] for k in ("median", "low"))]
    heads = ["method", "PESQ of clean", "lowest", "noise alone dB down", "lowest"]
    extreme = table([*heads, "silence kept", "x real time", "slowest"], rows)
    above = table([f"{result['ours']} above", *METRICS], _above_rows(result))
    about = [f"{name}: {_about(facts)}" for name, facts in result["peers"].items()]
    notes = ["\n".join([*about, UNKNOWN])] if about else []
    return "\n\n".join([scores, above, extreme, *notes])


def _above_rows(result: dict[str, Any]) -> list[list[str]]:
    return [
        [name, *(cell(found[key], 3 if key == "stoi" else 2) for key in METRICS)]
        for name, found in result["differences"].items()
    ]


def _about(facts: dict[str, Any]) -> str:
    left_out = f"; left out: {facts['left_out']}" if "left_out" in facts else ""
    return f"{facts['network']}, {facts['requires'][0]}, licence {facts['licence']}{left_out}"


def _keys() -> list[str]:
    return [f"{key}{kind}" for key in METRICS for kind in ("", "_i")]


def write(model: Path, result: dict[str, Any]) -> None:
    """Put the figures into the model's folder."""
    ours = result["scores"][model.name]
    figures = {
        "test": {key: ours["all"][key] for key in _keys()},
        "test_groups": {f"{snr} dB": ours[snr] for snr in result["snrs"] if snr != "all"},
        "test_peers": {n: s["all"] for n, s in result["scores"].items() if n != model.name},
        "test_differences": result["differences"],
        "test_peer_facts": result["peers"],
        "test_extremes": result["extremes"][model.name],
        "test_setup": {"script": "benchmarks/enhancement.py", **result["setup"]},
    }
    rows = [
        [snr, name, *(cell(by_snr[snr][key], 3 if key == "stoi" else 2) for key in METRICS)]
        for snr in result["snrs"]
        for name, by_snr in result["scores"].items()
        if snr == "all" or name not in result["peers"]
    ]
    columns = ["SI-SDR dB", "PESQ-wb", "STOI"]
    publish(model, figures, ["SNR dB", "method", *columns], rows, after=_of_peers(result, columns))


def _of_peers(result: dict[str, Any], columns: list[str]) -> str:
    """What a card says below its figures: what the peers are, and how far ours is above."""
    if not result["peers"]:
        return ""
    about = "\n".join(f"- {name}: {_about(facts)}." for name, facts in result["peers"].items())
    above = markdown([f"{result['ours']} above", *columns], _above_rows(result))
    return f"\n{above}\n\n{UNKNOWN}\n\n{about}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--speech", type=Path, required=True, help="manifest CSV")
    parser.add_argument("--noise", type=Path, required=True, help="manifest CSV")
    parser.add_argument("--model", type=Path, default=Path("models/dce-denoise"))
    parser.add_argument("--peers", type=Path, metavar="FOLDER", help="as peers.py made it")
    parser.add_argument("--count", type=int, default=60, help="mixtures at each ratio")
    parser.add_argument("--split", default="test", help="valid while choosing anything")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--workers", type=int, default=default_workers())
    parser.add_argument("--json", type=Path, help="write the figures to this file")
    parser.add_argument("--write", action="store_true", help="store in the model's folder")
    options = parser.parse_args()
    if options.write and options.split != "test":
        parser.error("published figures are of the test split: leave --split out")
    if options.write:
        parts(options.model)  # better known now than after the work
    ways = methods(str(options.model))
    pairs = draw_pairs(options.speech, options.noise, options.split, options.count, options.seed)
    facts: dict[str, Any] = {}
    if options.peers:
        peers, facts = start(options.peers, [pair.speech for pair in pairs[:5]])
        ways |= peers
    setup = {name: getattr(options, name) for name in ("count", "split", "seed")}
    setup |= {"own_snr_db": OWN_SNR, "machine": in_words(machine())}
    scores = score_all(pairs, ways, options.workers)
    result = {
        "setup": setup,
        "ours": next(iter(ways)),
        "peers": facts,
        "snrs": [*(f"{snr:g}" for snr in SNRS), "all"],
        "scores": summarise(scores),
        "differences": differences(scores, next(iter(ways))),
        "extremes": extremes(pairs, ways),
        "speed": speeds(pairs, ways, repeats=5),
    }
    print(f"{setup['machine']}\n{show(result)}")
    if options.json:
        options.json.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")
    if options.write:
        write(options.model, result)


if __name__ == "__main__":
    main()
