"""Speed, memory and exactness of the engine beside its peers, all in one run.

    python benchmarks/engine.py [--only throughput,batch,startup,length,memory,quality] [--quick]
        [--speech ../shared/data/speech.csv] [--device cuda] [--json FILE]

Networks: the shipped separator, and the paper's largest (F=44, k=2, C=10, 14.04 M parameters) with
random weights. Peers: of the first torchaudio's conv_tasnet_base with two sources, in float32 in
this process, and in one of its own in float32 and under bfloat16 autocast; of the second the same
network in PyTorch's native complex64 operators. Works take turns, since a machine's speed drifts;
figures are medians with the lowest and highest, ratios are of the same turn. Without --speech the
audio is noise, and there is no part quality.
"""

import argparse
import json
import sys
import tempfile
from pathlib import Path
from typing import Any

import engine_files
import engine_memory
from forms import ALL_PEERS, NETWORKS, RATE, network, peers, precisions, work
from limits import demand, measure_limits
from machine import in_words, machine
from settings import Settings
from workload import interleave, recording, spread

from cplxsep.engine.chunks import ChunkPlan
from cplxsep.report import table

PLAN = ChunkPlan.of(8.0, 0.25, RATE)  # what Separator does unless told otherwise


def seconds_of(chunks: int) -> float:
    """The longest recording of so many chunks."""
    return (PLAN.length + (chunks - 1) * PLAN.hop) / RATE


def throughput(settings: Settings) -> dict[str, Any]:
    """Each network in each form, from memory to memory."""
    precise = {name: precisions(name, settings.device) for name in NETWORKS}
    limits = measure_limits(settings.device, max(precise.values(), key=len))
    found: dict[str, Any] = {"limits": {"flop/s": limits.matrix, "bytes/s": limits.memory}}
    for name in NETWORKS:
        others = peers(name, settings.device)
        forms = [*precise[name], *others]
        chunks = settings.chunks(name)
        seconds = seconds_of(chunks)
        audio = recording(seconds, RATE, settings.speech)
        works = {form: work(name, form, settings.device) for form in forms}
        times = interleave(works, audio, settings, name)
        rows = {form: {"rate": spread([seconds / t for t in times[form]])} for form in forms}
        needed = demand(network(name), PLAN.length)
        for form in precise[name]:
            least, what = needed.least_seconds(limits, form)
            median = seconds / rows[form]["rate"]["median"]
            rows[form] |= {"of_limit": least * chunks / median, "limit": what}
            for peer in others:
                pairs = zip(times[peer], times[form], strict=True)
                rows[form][f"over {peer}"] = spread([theirs / ours for theirs, ours in pairs])
        found[name] = {"seconds_of_audio": seconds, "forms": rows}
    return found


def throughput_table(found: dict[str, Any]) -> str:
    rows = []
    for name, part in found.items():
        for form, row in part.get("forms", {}).items():
            rate = row["rate"]
            over = [row.get(f"over {peer}", {}).get("median") for peer in ALL_PEERS]
            of_limit = f"{row['of_limit']:.0%} ({row['limit']})" if "limit" in row else ""
            rows.append([name, form, *(rate[key] for key in ("median", "low", "high")), *over])
            rows[-1].append(of_limit)
    columns = ["network", "form", "audio s/s", "low", "high", *(f"x {peer}" for peer in ALL_PEERS)]
    return table([*columns, "of the machine's limit"], rows)


def batch(settings: Settings) -> dict[str, Any]:
    """How the rate and the memory grow with the chunks computed at once."""
    found: dict[str, Any] = {}
    sizes = settings.batches
    seconds = seconds_of(sizes[-1] * (2 if settings.on_gpu else 1))
    audio = recording(seconds, RATE, settings.speech)
    for name in NETWORKS:
        works = {str(size): work(name, "bf16", settings.device, str(size)) for size in sizes}
        times = interleave(works, audio, settings, f"{name} batch")
        found[name] = {
            size: {
                "rate": spread([seconds / t for t in times[size]]),
                **engine_memory.of_form(settings, name, "bf16", seconds, size),
            }
            for size in works
        }
    return found


def batch_table(found: dict[str, Any]) -> str:
    rows = []
    for name, sizes in found.items():
        for size, row in sizes.items():
            rate = [row["rate"][key] for key in ("median", "low", "high")]
            rows.append([name, int(size), *rate, row["peak_mib"], row["gpu_mib"]])
    columns = ["network", "batch", "audio s/s", "low", "high", "peak RSS MiB", "GPU MiB"]
    return table(columns, rows)


PARTS = {
    "throughput": (throughput, throughput_table),
    "batch": (batch, batch_table),
    "startup": (engine_files.startup, engine_files.startup_table),
    "length": (engine_files.length, engine_files.length_table),
    "memory": (engine_memory.memory, engine_memory.memory_table),
    "quality": (engine_files.quality, engine_files.quality_table),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--only", default="", help=f"of {', '.join(PARTS)}; with commas")
    parser.add_argument("--quick", action="store_true", help="short audio, few repeats")
    parser.add_argument("--device", default="cpu", help="cpu, cuda or cuda:N")
    parser.add_argument("--speech", type=Path, help="manifest CSV or folder of speakers")
    parser.add_argument("--repeats", type=int, help="turns of each work")
    parser.add_argument("--json", type=Path, help="write the figures to this file")
    options = parser.parse_args()
    wanted = options.only.split(",") if options.only else list(PARTS)
    if unknown := [name for name in wanted if name not in PARTS]:
        parser.error(f"--only knows {', '.join(PARTS)}, not {unknown[0]}")
    if options.speech is None and "quality" in wanted:
        if options.only:
            parser.error("quality needs --speech")
        wanted.remove("quality")
    facts = machine(options.device)
    results: dict[str, Any] = {"machine": facts}
    print(f"{in_words(facts)}\n")
    with tempfile.TemporaryDirectory() as folder:
        settings = Settings(
            options.device, options.quick, options.speech, Path(folder), options.repeats
        )
        for name in wanted:
            measure, show = PARTS[name]
            results[name] = measure(settings)
            print(f"{name}\n{show(results[name])}\n", flush=True)
            if options.json:
                text = json.dumps({"command": sys.argv[1:], **results}, indent=2)
                options.json.write_text(f"{text}\n", encoding="utf-8")


if __name__ == "__main__":
    main()
