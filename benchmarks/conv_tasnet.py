"""torchaudio's Conv-TasNet in a process of its own, as its users run it.

    python benchmarks/conv_tasnet.py DEVICE fp32|bf16

separates each .npy of audio (S,) at 8 kHz whose path comes as a line of standard input, and answers
with a line. Apart from our package, which tunes its process's memory and would speed up this, too.
"""

import atexit
import contextlib
import subprocess
import sys
import tempfile
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


def main() -> None:
    from torchaudio.models import conv_tasnet_base

    device, precision = sys.argv[1:]
    torch.manual_seed(0)
    model = conv_tasnet_base(num_sources=2).eval().to(device)
    kind = torch.device(device).type
    cast = torch.autocast(kind, torch.bfloat16) if precision == "bf16" else contextlib.nullcontext()
    for line in sys.stdin:
        audio = torch.from_numpy(np.load(line.strip()))
        with torch.inference_mode(), cast:
            model(audio[None, None].to(device))[0].float().cpu()
        print("done", flush=True)


if __name__ == "__main__":
    main()
