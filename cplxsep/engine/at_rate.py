"""A model at one of its sample rates: chunks, batches, and the order of talkers."""

import itertools
from collections.abc import Iterable, Iterator

import numpy as np
import torch
from torch import nn

from cplxsep.engine.blocks import Blocks
from cplxsep.engine.chunks import Chunk, ChunkPlan, Cutter, Joiner
from cplxsep.engine.finish import Finish
from cplxsep.engine.offset import without_offset
from cplxsep.engine.onward import onward
from cplxsep.engine.runtime import Runner
from cplxsep.engine.talker_order import Seam, TalkerOrder
from cplxsep.engine.together import Together


class AtRate:
    """Separates signals at `rate` Hz. Several threads may do so at once and share batches.

    Args:
        model: network (B, S) -> (B, N, S) at that rate.
        sources: its N.
        device, dtype, batch: as for `Runner`.

    Raises:
        DeviceError: the device cannot be used.
    """

    def __init__(
        self,
        model: nn.Module,
        rate: int,
        sources: int,
        plan: ChunkPlan,
        device: torch.device,
        dtype: torch.dtype | None,
        batch: int | None,
    ) -> None:
        self.rate = rate
        self.plan = plan
        runner = Runner(model, device, dtype, batch, plan.length)
        self._runner = runner
        self._together = Together(lambda chunks: runner(chunks, sources), lambda: runner.batch)

    @property
    def batch(self) -> int:
        """Chunks computed at once; chunks of concurrent calls share a batch."""
        return self._runner.batch

    @property
    def form(self) -> str:
        """What the network runs as, in words."""
        return self._runner.form

    def seconds(self, chunks: int) -> float:
        """Length of signal that so many chunks advance by."""
        return chunks * self.plan.hop / self.rate

    def separate(
        self, blocks: Blocks, finish: Finish, seams: list[Seam] | None
    ) -> Iterator[np.ndarray]:
        """Sources and guides (N + K, S) of blocks (S,); what joined the chunks goes to `seams`."""
        if self._runner.causal:
            yield from onward(self._runner.stream(), blocks, finish, self.rate, self.plan.length)
            return
        cutter, joiner = Cutter(self.plan), Joiner(self.plan)
        order = TalkerOrder(self.rate)
        pushed = (cutter.push(block) for block in blocks)
        for chunks in itertools.chain(pushed, [cutter.finish()]):
            for chunk, sources in self._run(chunks):
                ordered = order.arrange(chunk.start, sources)
                if seams is not None and order.latest is not None:
                    seams.append(order.latest)
                guides = finish.guides(chunk.samples, ordered, self.rate)
                yield joiner.add(chunk.start, np.concatenate([ordered, guides]))
        rest = joiner.finish()
        if rest is not None:
            yield rest

    def _run(self, chunks: Iterable[Chunk]) -> Iterator[tuple[Chunk, np.ndarray]]:
        """Each chunk and its sources (N, S), computed in batches."""
        waiting = iter(chunks)
        # All that is ready, but not more than a batch, and never waiting for more to come.
        while group := list(itertools.islice(waiting, self._runner.batch)):
            heard = [without_offset(chunk.samples, self.rate) for chunk in group]
            outputs = self._together(np.stack(heard))
            yield from zip(group, outputs, strict=True)
