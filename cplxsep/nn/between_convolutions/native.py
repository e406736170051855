"""The functions between convolutions as native code on a CPU."""

from ctypes import CDLL

import torch
from torch import Tensor

from cplxsep.nn.between_convolutions.statement import Between, Head, NormWeights
from cplxsep.nn.native.call import call


class NativeBetween(Between):
    """In float32 and bfloat16; each reads and writes maps once."""

    three_products = True

    def __init__(self, library: CDLL) -> None:
        self._library = library

    def statistics(self, maps: Tensor) -> Tensor:
        return self._call("statistics", maps, _statistics(maps), sizes=_sizes(maps))

    def add(self, maps: Tensor, more: Tensor) -> Tensor:
        sizes = (*_sizes(maps), more.shape[3] != maps.shape[3])
        return self._call("add", maps, more, _statistics(maps), sizes=sizes)

    def from_products(self, products: Tensor) -> tuple[Tensor, Tensor]:
        batch, lines, positions, parts = products.shape
        maps = products.new_empty(batch, lines, positions, parts // 3 * 2)
        return maps, self._call("products", products, maps, _statistics(maps), sizes=_sizes(maps))

    def normalise(
        self, maps: Tensor, stats: Tensor, norm: NormWeights, stride: int, three: bool
    ) -> Tensor:
        batch, lines, positions, channels = _sizes(maps)
        width = (3 if three else 2) * channels
        out = maps.new_empty(batch, -(-lines // stride), -(-positions // stride), width)
        sizes = (batch, lines, positions, channels, norm.layer, stride, three)
        return self._call("normalise", maps, stats, norm.gain, norm.bias, out, sizes=sizes)

    def upsampled_statistics(self, maps: Tensor) -> Tensor:
        return self._call("upsampled_statistics", maps, _statistics(maps), sizes=_sizes(maps))

    def normalise_joined(
        self,
        skip: Tensor,
        maps: Tensor,
        stats: tuple[Tensor, Tensor],
        norm: NormWeights,
        three: bool,
    ) -> Tensor:
        width = (skip.shape[3] + maps.shape[3]) // 2 * (3 if three else 2)
        out = skip.new_empty(*skip.shape[:3], width)
        tensors = (skip, maps, *stats, norm.gain, norm.bias, out)
        sizes = (*_sizes(maps), skip.shape[3] // 2, norm.layer, three)
        return self._call("normalise_joined", *tensors, sizes=sizes)

    def shuffle(self, maps: Tensor, patch: int) -> Tensor:
        batch, lines, positions, parts = maps.shape
        out = maps.new_empty(batch, lines * patch, positions * patch, parts // patch**2)
        sizes = (batch, lines, positions, out.shape[3] // 2, patch)
        return self._call("shuffle", maps, out, sizes=sizes)

    def candidates(self, film: Tensor, mixture: Tensor, features: Tensor, head: Head) -> Tensor:
        count = head.sources * (head.transformations + 1)
        out = film.new_empty(*film.shape[:3], 2 * count + features.shape[3])
        sizes = (*_positions(film), *head, features.shape[3] // 2)
        return self._call("candidates", film, mixture, features, out, sizes=sizes)

    def average(self, masks: Tensor, seen: Tensor, head: Head) -> Tensor:
        batch, lines, positions, _ = masks.shape
        out = torch.empty(batch, 2 * head.sources, lines, positions)
        count = head.sources * (head.transformations + 1)
        sizes = (*_positions(masks), *head, seen.shape[3] // 2 - count)
        return self._call("average", masks, seen, out, sizes=sizes)

    def _call(self, name: str, *tensors: Tensor, sizes: tuple[int, ...]) -> Tensor:
        """Call a function, and give the last of the tensors, which it has filled."""
        call(self._library, name, tensors, sizes)
        return tensors[-1]


def _statistics(maps: Tensor) -> Tensor:
    return torch.empty(5, maps.shape[0], maps.shape[3] // 2)


def _sizes(maps: Tensor) -> tuple[int, ...]:
    batch, lines, positions, parts = maps.shape
    return batch, lines, positions, parts // 2


def _positions(maps: Tensor) -> tuple[int, int]:
    return maps.shape[0], maps.shape[1] * maps.shape[2]
