"""Enhancers that one `pip install` gives, each in an environment of its own, as peers of ours.

    python benchmarks/peers.py FOLDER [NAME ...]

installs those of peers.toml, all or some; `enhancement.py --peers FOLDER` runs them. They need
versions of libraries that do not go together, nor with ours.
"""

import argparse
import os
import struct
import subprocess
import sys
import tempfile
import tomllib
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any

import numpy as np
import torch
from noisy_mixtures import RATE
from scipy.signal import correlate

from cplxsep.audio.resample import fit, resample

PEERS: dict[str, dict[str, Any]] = tomllib.loads(
    Path(__file__).with_suffix(".toml").read_text(encoding="utf-8")
)
UNKNOWN = "What the peers were trained on is not known: it may have been this very speech or noise."
CHILD = Path(__file__).with_name("peer_child.py")
LONGEST_DELAY = RATE // 4  # samples, within which one is looked for, early or late


class PeerError(Exception):
    """A peer that cannot be used; the message says why in a line."""


class Peer:
    """A child process that enhances: from (S,) at 16 kHz to (S,).

    `delay` in samples at 16 kHz and `gain`, negative where it inverts, are taken out of what it
    gives. `seconds` are those that the child took for each signal, without start or resampling.
    """

    def __init__(self, command: list[str]) -> None:
        self.delay, self.gain = 0, 1.0
        self.seconds: list[float] = []
        self._open = ExitStack()
        self._errors = self._open.enter_context(tempfile.TemporaryFile())  # noqa: SIM115
        threads = os.environ | {"OMP_NUM_THREADS": str(torch.get_num_threads())}
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": self._errors}
        try:
            child = subprocess.Popen(command, env=threads, **pipes)
        except OSError:
            self._open.close()
            raise PeerError("not installed") from None
        self._child = self._open.enter_context(child)
        (self.rate,) = self._read("<i")

    def __call__(self, audio: np.ndarray) -> np.ndarray:
        heard = self._enhance(fit(audio, audio.size + max(self.delay, 0)))
        early = max(-self.delay, 0)
        heard = np.pad(heard, (early, 0))[max(self.delay, 0) :]
        return fit(heard, audio.size) / np.float32(self.gain)

    def calibrate(self, speech: list[np.ndarray]) -> None:
        """Find delay and gain from clean speech, by the peak of the cross-correlation."""
        total = np.zeros(2 * LONGEST_DELAY + 1)
        for audio in speech:
            padded = fit(audio, audio.size + LONGEST_DELAY)
            heard = fit(self._enhance(padded), padded.size)
            middle = padded.size - 1
            shifts = slice(middle - LONGEST_DELAY, middle + LONGEST_DELAY + 1)
            total += correlate(heard, padded, method="fft")[shifts]
        peak = int(np.argmax(np.abs(total)))
        if not abs(total[peak]) > 0:
            self.close()
            raise PeerError("it gives no sound for clean speech")
        self.delay = peak - LONGEST_DELAY
        self.gain = float(total[peak] / sum(np.sum(np.square(audio)) for audio in speech))

    def close(self) -> None:
        """End the child."""
        with suppress(BrokenPipeError):
            self._open.close()

    def _enhance(self, audio: np.ndarray) -> np.ndarray:
        given = resample(audio, RATE, self.rate)
        with suppress(BrokenPipeError):  # it says why where it should have answered
            self._child.stdin.write(struct.pack("<q", given.size) + given.tobytes())
            self._child.stdin.flush()
        seconds, count = self._read("<dq")
        made = np.frombuffer(self._child.stdout.read(4 * count), np.float32)
        self.seconds.append(seconds)
        return resample(made, self.rate, RATE)

    def _read(self, layout: str) -> tuple[Any, ...]:
        data = self._child.stdout.read(struct.calcsize(layout))
        if len(data) < struct.calcsize(layout):
            self._child.wait()
            self._errors.seek(0)
            said = self._errors.read().decode(errors="replace")
            self.close()
            raise PeerError(_last_line(said))
        return struct.unpack(layout, data)


def start(folder: Path, speech: list[np.ndarray]) -> tuple[dict[str, Peer], dict[str, Any]]:
    """Those peers that are in the folder, calibrated, and what there is to say of all."""
    found: dict[str, Peer] = {}
    facts: dict[str, Any] = {}
    for name, known in PEERS.items():
        facts[name] = {key: known[key] for key in ("network", "licence", "requires")}
        try:
            peer = Peer([str(_python(folder / name)), "-I", str(CHILD), name])
            peer.calibrate(speech)
        except PeerError as error:
            facts[name]["left_out"] = str(error)
            print(f"{name} is left out: {error}", file=sys.stderr)
        else:
            found[name] = peer
            facts[name] |= {"rate": peer.rate, "gain": peer.gain}
            facts[name]["delay_ms"] = 1000 * peer.delay / RATE
    if not found:
        raise SystemExit(f"no peer in {folder}: python benchmarks/peers.py {folder} installs them")
    return found, facts


def install(folder: Path, names: list[str]) -> int:
    """Environments in the folder; how many could not be made, each with a line that says why."""
    failed = 0
    for name in names:
        place = folder / name
        steps = [
            [sys.executable, "-m", "venv", "--clear", str(place)],
            [str(_python(place)), "-m", "pip", "install", "--quiet", *PEERS[name]["requires"]],
        ]
        for step in steps:
            done = subprocess.run(step, capture_output=True, text=True, errors="replace")
            if done.returncode:
                failed += 1
                reason = _last_line(done.stderr or done.stdout, mark="ERROR: ")
                print(f"{name} cannot be installed: {reason}", file=sys.stderr)
                break
        else:
            print(f"{name} is in {place}", flush=True)
    return failed


def _python(place: Path) -> Path:
    return place / ("Scripts" if os.name == "nt" else "bin") / "python"


def _last_line(text: str, mark: str = "") -> str:
    """The last line that begins with the mark, or the last of all."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    marked = [line.removeprefix(mark) for line in lines if line.startswith(mark)]
    return (marked or lines or ["it ended without a word"])[-1]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("names", nargs="*", metavar="NAME", help=", ".join(PEERS))
    options = parser.parse_args()
    if unknown := [name for name in options.names if name not in PEERS]:
        parser.error(f"no peer {unknown[0]}; there are {', '.join(PEERS)}")
    sys.exit(bool(install(options.folder, options.names or list(PEERS))))


if __name__ == "__main__":
    main()
