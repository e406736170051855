"""Training on a CPU by two processes of one thread each, beside one process of two threads.

    python benchmarks/processes.py [--pairs 10] [--steps 2] [--batch 4] [--json FILE]

Both make the steps of `cplxsep train` of one global batch, mixtures of 4 s: the dual-path network
(1.77 M parameters), SI-SDR, AdamW. The two processes are joined by gloo, as torchrun would join
them. The forms take turns of `--steps` steps, while the other one waits; the figure is the median
over pairs of turns of how many times as fast the two processes were. The cores must have nothing
else to do.
"""

import argparse
import itertools
import json
import multiprocessing
import os
import socket
import statistics
import time
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing.connection import Connection
from pathlib import Path

import torch
from machine import in_words, machine
from training import DUAL_PATH

from cplxsep.config import Config
from cplxsep.networks.model import SeparationModel
from cplxsep.nn import backends
from cplxsep.nn.device import flushed_denormals, pick_precision
from cplxsep.training.distributed import join
from cplxsep.training.heap import keep_freed_memory
from cplxsep.training.log import Log
from cplxsep.training.state import RunContext, RunState
from cplxsep.training.step import TrainingStep

WARM_UP = 2  # turns


def work(pipe: Connection, config: Config, threads: int) -> None:
    """Be one process of a training: make as many steps as the pipe asks for; 0 ends it."""
    keep_freed_memory()  # as `cplxsep train` does
    torch.set_num_threads(threads)
    torch.manual_seed(0)
    with flushed_denormals(), join("cpu") as ranks:
        why = backends.enable("cpu")
        sources = torch.randn(config.train.batch, 2, round(4 * config.model.sample_rate))
        sources = sources[list(ranks.share(config.train.batch))]
        batches = itertools.repeat((sources.sum(dim=1), sources))
        state = RunState(SeparationModel(config.model).train(), config.optim)
        log = Log(None, None, print, config.train.steps)
        autocast = pick_precision(config.train.precision, ranks.device)
        step = TrainingStep(state, RunContext(config, Path(), log, ranks, autocast))
        pipe.send(why)
        while steps := pipe.recv():
            for _ in range(steps):
                step(batches)
            pipe.send(None)


@contextmanager
def team(config: Config, count: int, threads: int) -> Iterator[list[Connection]]:
    """Processes that train one model together: a pipe to each, all ready."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        meeting = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(free.getsockname()[1])}
    os.environ |= {**meeting, "WORLD_SIZE": str(count), "OMP_NUM_THREADS": str(threads)}
    pipes, processes = [], []
    spawn = multiprocessing.get_context("spawn")
    for rank in range(count):
        os.environ |= {"RANK": str(rank), "LOCAL_RANK": str(rank)}
        ours, theirs = spawn.Pipe()
        processes.append(spawn.Process(target=work, args=(theirs, config, threads), daemon=True))
        processes[-1].start()
        theirs.close()  # so that the end of the process is seen
        pipes.append(ours)
    for pipe in pipes:
        if why := pipe.recv():
            raise SystemExit(f"the native code cannot be measured here: {why}")
    yield pipes
    for pipe in pipes:
        pipe.send(0)
    for process in processes:
        process.join()


def turn(pipes: list[Connection], steps: int) -> float:
    """Seconds a step, of so many."""
    begun = time.perf_counter()
    for pipe in pipes:
        pipe.send(steps)
    for pipe in pipes:
        pipe.recv()
    return (time.perf_counter() - begun) / steps


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--pairs", type=int, default=10, help="counted turns of each form")
    parser.add_argument("--steps", type=int, default=2, help="steps of a turn")
    parser.add_argument("--batch", type=int, default=4, help="mixtures of a step, over all")
    parser.add_argument("--precision", choices=["auto", "fp32", "bf16"], default="auto")
    parser.add_argument("--json", type=Path, help="write the figures here too")
    options = parser.parse_args()
    training = {"batch": options.batch, "precision": options.precision}
    config = Config(model=DUAL_PATH, train=training)
    pairs = []
    with team(config, 1, 2) as one, team(config, 2, 1) as two:
        for number in range(WARM_UP + options.pairs):
            forms = (one, two) if number % 2 else (two, one)
            seconds = {len(form): turn(form, options.steps) for form in forms}
            if number >= WARM_UP:
                pairs.append((seconds[1], seconds[2]))
    ratios = [single / double for single, double in pairs]
    found = {
        "machine": machine(),
        "setup": {"model": config.model.model_dump(), **training, "steps_a_turn": options.steps},
        "pairs": pairs,
        "seconds_a_step_one_process": statistics.median(single for single, _ in pairs),
        "seconds_a_step_two_processes": statistics.median(double for _, double in pairs),
        "times_as_fast": statistics.median(ratios),
        "slowest_pair": min(ratios),
        "fastest_pair": max(ratios),
    }
    print(in_words(found["machine"]))
    print(
        f"a step: {found['seconds_a_step_one_process']:.3f} s by one process of two threads, "
        f"{found['seconds_a_step_two_processes']:.3f} s by two processes"
    )
    print(
        f"two processes are {found['times_as_fast']:.3f} times as fast "
        f"({found['slowest_pair']:.3f} to {found['fastest_pair']:.3f} in {len(ratios)} pairs)"
    )
    if options.json:
        options.json.write_text(json.dumps(found, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
