"""torchaudio's Conv-TasNet: in a process of its own, as its users run it, and in ours.

    python benchmarks/conv_tasnet.py DEVICE fp32|bf16

separates each .npy of audio (S,) at 8 kHz whose path comes as a line of standard input, and answers
with a line. Our package tunes the memory of its process, which speeds up Conv-TasNet in it, too:
both figures are of use.
"""

import atexit
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch


class ConvTasNet:
    """A function of audio (S,) that such a process computes; gone with this one."""

    def __init__(self, device: str, precision: str) -> None:
        self._folder = tempfile.TemporaryDirectory()
        self._given: np.ndarray | None = None
        self._process = subprocess.Popen(
            [sys.executable, __file__, device, precision],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        # Waited for, so that its memory counts as this process's where that is measured.
        atexit.register(self._process.communicate)

    def __call__(self, audio: np.ndarray) -> None:
        """Separate; what comes out stays there."""
        path = Path(self._folder.name) / "audio.npy"
        if audio is not self._given:
            np.save(path, audio)
            self._given = audio
        assert self._process.stdin
        assert self._process.stdout
        print(path, file=self._process.stdin, flush=True)
        if not self._process.stdout.readline():
            raise SystemExit("Conv-TasNet's process has ended: see above")


def in_this_process(device: str, precision: str) -> Callable[[np.ndarray], None]:
    """A function that separates audio (S,) here."""
    from torchaudio.models import conv_tasnet_base

    torch.manual_seed(0)
    model = conv_tasnet_base(num_sources=2).eval().to(device)
    kind = torch.device(device).type

    def separate(audio: np.ndarray) -> None:
        with (
            torch.inference_mode(),
            torch.autocast(kind, torch.bfloat16, enabled=precision == "bf16"),
        ):
            model(torch.from_numpy(audio)[None, None].to(device))[0].float().cpu()

    return separate


def main() -> None:
    separate = in_this_process(*sys.argv[1:])
    for line in sys.stdin:
        separate(np.load(line.strip()))
        print("done", flush=True)


if __name__ == "__main__":
    main()
