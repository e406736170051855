"""How much of everything a run of `benchmarks/engine.py` measures."""

import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch


@dataclass(frozen=True)
class Settings:
    """Where, with what, and how long; `folder` is for files that may go afterwards."""

    device: str
    quick: bool
    speech: Path | None
    folder: Path
    turns: int | None = None

    @property
    def on_gpu(self) -> bool:
        return torch.device(self.device).type == "cuda"

    @property
    def repeats(self) -> int:
        """Turns of each work."""
        return self.turns or (2 if self.quick else 5)

    @property
    def batches(self) -> list[int]:
        """Chunks at once."""
        most = (8 if self.quick else 32) if self.on_gpu else (2 if self.quick else 4)
        return [size for size in (1, 2, 4, 8, 16, 32) if size <= most]

    @property
    def minutes(self) -> list[float]:
        """Lengths of recordings."""
        return [0.5, 2.0] if self.quick else [1.0, 10.0, 60.0]

    def chunks(self, network: str) -> int:
        """Chunks of a recording that shows a network's speed."""
        if self.on_gpu:
            return 32 if self.quick else 128
        return 1 if self.quick else (3 if network == "large" else 5)

    def warm_up(self, work: Callable[[], object]) -> None:
        """Once; on a GPU for longer, since an engine may make its graphs and kernels meanwhile."""
        begun = time.monotonic()
        work()
        while self.on_gpu and time.monotonic() - begun < (3 if self.quick else 10):
            work()

    def say(self, text: str) -> None:
        """Progress."""
        print(text, file=sys.stderr, flush=True)
