"""Everything that has to be seen on a CUDA machine, by one command that stops at nothing.

    python benchmarks/gpu.py OUT [--minutes 8] [--train-minutes M] [--parcels FILE...]
        [--data FOLDER] [--config dce-2spk] [--set KEY=VALUE...] [--init MODEL]
        [--only environment,tests,...] [--device cuda] [--quick]

For a bare machine without a network: a checkout with its models, Python with torch and the
packages of `cplxsep`, pytest for the tests. Parts, in this order or that of --only:

    environment   card, driver, versions, what the kernels can use
    data          speech and noise of --parcels (parcels.py), unpacked; made up without any
    tests         every test marked gpu, a process for each file
    parity        each CUDA form beside its oracle on the CPU: values and gradients
    engine        audio separated in a second, from memory, beside the card's measured limits
    files         the same from files to files, as the command does it
    profile       what the engine's time goes to; profile-*.txt
    mixtures      training mixtures made in a second, by recipe and rate
    training      steps of `cplxsep train` on made-up speech, beside the card's measured limits
    train         `cplxsep train` with the minutes that are left, at most --train-minutes, each
                  batch as a whole; noise and rooms only where the data have noise.csv and rooms/;
                  its model in OUT/weights, in files of at most 15 MB

Every part is a process of its own with a time limit. What it finds it prints as lines of JSON, so
that what it found before its limit or its failure is kept. OUT/report.md and OUT/report.json are
written anew after every part, and have one line for each that failed.
"""

import argparse
import itertools
import json
import sys
import tarfile
import tempfile
from pathlib import Path

from gpu_report import ROOT, Done, Process, Report

HERE = Path(__file__).resolve().parent
PARTS = {  # seconds that each may take
    "environment": 30.0,
    "data": 90.0,
    "tests": 100.0,
    "parity": 75.0,
    "engine": 60.0,
    "files": 60.0,
    "profile": 45.0,
    "mixtures": 150.0,
    "training": 150.0,
    "train": 660.0,
}
START_AND_END = 45.0  # seconds of a training that its minutes do not count: loading, publishing
LEAST_TRAINING = 0.2  # minutes
PIECE = 15_000_000  # bytes of a file of weights


class Machine:
    """Does the parts, one after the other, within the minutes."""

    def __init__(self, options: argparse.Namespace, scratch: Path) -> None:
        self.options, self.scratch = options, scratch
        self.report = Report(options.out, options.minutes)
        self.data: Path | None = options.data

    def do(self, part: str) -> None:
        """One part, or a line that says why not."""
        if self.report.left < 5:
            self.report.add(Done(part, part, 0.0, "left out: no time"))
            return
        ways = {"data": self._unpack, "tests": self._test, "train": self._train}
        try:
            if part in ways:
                ways[part]()
            else:
                own = {"parity": "gpu_parity.py", "mixtures": "gpu_mixtures.py"}
                self._alone(part, self._command(own.get(part, "gpu_speed.py"), part))
        except Exception as error:  # nothing stops the rest
            self.report.add(Done(part, part, 0.0, f"failed: {type(error).__name__}: {error}"))

    def _alone(self, part: str, command: list[str]) -> Done:
        done = self._start(part, part, command).wait()
        self.report.add(done)
        return done

    def _start(self, part: str, name: str, command: list[str]) -> Process:
        limit = min(PARTS[part], self.report.left)
        return Process(part, name, command, self.options.out / name.replace("/", "-"), limit)

    def _command(self, script: str, *args: object) -> list[str]:
        place = ["--device", self.options.device, "--out", str(self.options.out)]
        quick = ["--quick"] if self.options.quick else []
        return [sys.executable, str(HERE / script), *map(str, args), *place, *quick]

    def _unpack(self) -> None:
        if self.data is not None:
            return
        self.data = self.scratch / "data"
        if self.options.parcels:
            script = [str(HERE / "parcels.py"), "unpack", *map(str, self.options.parcels)]
            self._alone("data", [sys.executable, *script, "-o", str(self.data)])
        else:
            self._alone("data", self._command("gpu_speed.py", "speech", "--folder", self.data))

    def _test(self) -> None:
        """All files at once: most of their time goes to compiling, on many cores."""
        files = [
            path.relative_to(ROOT).as_posix()
            for path in sorted((ROOT / "tests").rglob("test_*.py"))
            if "mark.gpu" in path.read_text(encoding="utf-8")
        ]
        command = [sys.executable, str(HERE / "gpu_tests.py")]
        started = [self._start("tests", name, [*command, name]) for name in files]
        self.report.add(*(process.wait() for process in started))

    def _train(self) -> None:
        options, run = self.options, self.scratch / "run"
        minutes = min(options.train_minutes, (self.report.left - START_AND_END) / 60)
        if minutes < LEAST_TRAINING or self.data is None:
            why = "no time" if self.data else "no data"
            self.report.add(Done("train", "train", 0.0, f"left out: {why}"))
            return
        from gpu_trainings import of_minutes  # whatever it lacks costs this part alone

        changes = of_minutes(options.config, self.data, options.noise)
        command = [sys.executable, "-m", "cplxsep", "train", "--config", options.config]
        command += ["--run-dir", str(run), "--device", options.device]
        command += ["--max-minutes", f"{minutes:.2f}"]
        command += ["--init", options.init] if options.init else []
        for change in [*changes, *options.set]:
            command += ["--set", change]
        done = self._start("train", "train", command).wait()
        log = run / "log.jsonl"
        if log.exists():
            lines = [json.loads(line) for line in log.read_text().splitlines()]
            done.rows += [line for line in lines if "valid_si_sdr_i" in line][-20:]
            (options.out / log.name).write_bytes(log.read_bytes())
        files = weights(run, options.out / "weights")
        done.outcome += f"; {len(files)} files of weights" if files else "; no weights"
        self.report.add(done)


def weights(run: Path, out: Path) -> list[Path]:
    """The model of a run, or its newest checkpoint, as a tar file in pieces: `cat` joins them."""
    checkpoints = sorted(run.glob("*.pt"), key=lambda path: path.stat().st_mtime)
    found = [run / "model"] if (run / "model").is_dir() else checkpoints[-1:]
    if not found:
        return []
    out.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryFile() as whole:
        with tarfile.open(fileobj=whole, mode="w") as tar:
            tar.add(found[0], found[0].name)
        whole.seek(0)
        pieces = []
        for number in itertools.count():
            piece = whole.read(PIECE)
            if not piece:
                return pieces
            pieces.append(out / f"{found[0].name}.tar.{number:03d}")
            pieces[-1].write_bytes(piece)
    return pieces


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("out", type=Path)
    parser.add_argument("--minutes", type=float, default=8.0, help="for everything")
    parser.add_argument("--train-minutes", type=float, default=10.0, help="at most")
    parser.add_argument("--parcels", type=Path, nargs="+", default=[])
    parser.add_argument("--data", type=Path, help="folder with speech.csv instead")
    parser.add_argument("--noise", action="store_true", help="for a configuration without it, too")
    parser.add_argument("--config", default="dce-2spk", help="of the training")
    parser.add_argument("--set", action="append", default=[], help="as of cplxsep train")
    parser.add_argument("--init", help="as of cplxsep train")
    parser.add_argument("--only", help=f"some of {','.join(PARTS)}, in any order")
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--quick", action="store_true", help="as little as shows that it works")
    options = parser.parse_args()
    wanted = options.only.split(",") if options.only else list(PARTS)
    if unknown := [part for part in wanted if part not in PARTS]:
        parser.error(f"--only knows {', '.join(PARTS)}, not {unknown[0]}")
    options.out.mkdir(parents=True, exist_ok=True)
    options.out = options.out.absolute()
    options.parcels = [path.absolute() for path in options.parcels]
    options.data = options.data.absolute() if options.data else None
    if "train" in wanted and "data" not in wanted:
        wanted.insert(wanted.index("train"), "data")
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as scratch:
        machine = Machine(options, Path(scratch))
        for part in wanted:
            machine.do(part)
    print(machine.report.markdown())


if __name__ == "__main__":
    main()
