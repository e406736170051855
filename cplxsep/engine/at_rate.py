"""A model at one of its sample rates: chunks, batches, and the order of talkers."""

import itertools
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial

import numpy as np
import torch
from torch import nn

from cplxsep.engine.blocks import Blocks
from cplxsep.engine.chunks import Chunk, ChunkPlan, Cutter, Joiner
from cplxsep.engine.finish import Finish
from cplxsep.engine.fused.form import Network
from cplxsep.engine.measured import Measured, measure
from cplxsep.engine.offset import without_offset
from cplxsep.engine.onward import onward
from cplxsep.engine.prefetch import Prefetch
from cplxsep.engine.runtime import Runner
from cplxsep.engine.shifts import averaged
from cplxsep.engine.talker_order import Arranged, Seam, TalkerOrder
from cplxsep.engine.together import Together
from cplxsep.parallel import cancel, result_of

# On a GPU: groups of chunks of a signal that are a batch, so that the first is soon there, and the
# groups of all signals that are on their way at most.
GROUPS, MOST_AT_ONCE = 4, 64
# A chunk, its sources (N, S), and what their order is found from.
Separated = tuple[Chunk, np.ndarray, Measured | None]


class AtRate:
    """Separates signals at `rate` Hz. Several threads may do so at once and share batches.

    Args:
        model: network (B, S) -> (B, N, S) at that rate, `hop` samples between its frames.
        sources: its N.
        device, dtype, batch: as for `Runner`. shifts: as for `averaged`.

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
        shifts: int,
    ) -> None:
        self.rate = rate
        self.plan = plan
        self._talkers = sources

        def around(network: Network) -> Network:
            mean = averaged(network, shifts, getattr(model, "hop", 1))
            return lambda chunks: mean(without_offset(chunks, rate))

        after = partial(measure, sample_rate=rate) if sources > 1 else lambda _: ()
        runner = Runner(model, device, dtype, batch, plan.length, around, after)
        self._runner = runner
        on_gpu = device.type == "cuda"
        # While a GPU is at one batch, the next one is on its way there.
        turns = 2 if on_gpu else 1
        self.shares_batches = on_gpu
        # A CPU gains nothing by chunks of several signals: what runs together is no matter of time.
        self._together = Together(
            lambda chunks: runner(chunks, sources), lambda: runner.batch if on_gpu else 1, turns
        )
        self._pool = ThreadPoolExecutor(MOST_AT_ONCE) if on_gpu else None

    @property
    def batch(self) -> int:
        """Chunks computed at once; those of concurrent calls, too, if it `shares_batches`."""
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
        order = TalkerOrder(self._talkers, self.rate)
        pushed = itertools.chain((cutter.push(block) for block in blocks), [cutter.finish()])
        mixtures: deque[np.ndarray] = deque()  # of the chunks whose order is not settled

        def arranged() -> Iterator[Arranged]:
            for chunk, sources, known in self._found(pushed, order):
                mixtures.append(chunk.samples)
                yield from order.push(chunk.start, sources, known)
            yield from order.finish()

        for start, ordered, found in arranged():
            if seams is not None:
                seams.extend(found)
            guides = finish.guides(mixtures.popleft(), ordered, self.rate)
            rows = np.concatenate([ordered, guides]) if len(guides) else ordered
            yield joiner.add(start, rows)
        rest = joiner.finish()
        if rest is not None:
            yield rest

    def _found(self, pushed: Iterable[Iterable[Chunk]], order: TalkerOrder) -> Iterator[Separated]:
        """What was found of each chunk, in their order."""
        if self._pool is None:
            for group in _groups(pushed, lambda: self._runner.batch):
                yield from self._sources(group, order)
            return
        # A GPU is given the next groups while what it found of this one is used.
        groups = _groups(pushed, lambda: -(-self._runner.batch // GROUPS))
        pool = self._pool
        under_way: deque[Future[list[Separated]]] = deque()

        def submitted() -> Iterator[None]:
            for group in groups:
                under_way.append(pool.submit(self._sources, group, order))
                yield

        begun = Prefetch(submitted(), depth=GROUPS)
        try:
            for _ in begun:
                yield from result_of(under_way[0])
                under_way.popleft()
        finally:
            begun.close()
            cancel(list(under_way))

    def _sources(self, group: list[Chunk], order: TalkerOrder) -> list[Separated]:
        """What is found of a group of chunks."""
        heard = np.stack([chunk.samples for chunk in group])
        heard[(heard == heard[:, :1]).all(axis=1)] = 0.0  # an offset and no more
        found, *told = self._together(heard, order)
        known = map(Measured, *told) if told else itertools.repeat(None)
        return list(zip(group, found, known, strict=False))


def _groups(pushed: Iterable[Iterable[Chunk]], most: Callable[[], int]) -> Iterator[list[Chunk]]:
    """All chunks that are ready, but not more than so many, and never waiting for more to come."""
    for chunks in pushed:
        waiting = iter(chunks)
        while group := list(itertools.islice(waiting, most())):
            yield group
