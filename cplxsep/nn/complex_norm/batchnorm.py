"""Complex batch normalisation with running statistics (Trabelsi et al. 2017, section 3.5)."""

import torch
from torch import Tensor, nn

from cplxsep.nn.complex_norm import NORM, normalise, to_maps, to_rows
from cplxsep.nn.complex_norm.statement import PlainNorm, coefficients

MOMENTUM = 0.1


class ComplexBatchNorm(nn.Module):
    """Complex batch norm of maps (B, 2C, F, T), optionally followed by CReLU.

    As `ComplexNorm`, with statistics over (B, F, T) of each channel in training and running ones
    at evaluation: 5 real parameters and 5 running numbers per channel.

    Args:
        maps: complex channels C.
        relu: apply CReLU in the same pass.
    """

    running_mean: Tensor
    running_covariance: Tensor

    def __init__(self, maps: int, *, relu: bool = False) -> None:
        super().__init__()
        start = torch.tensor([2**-0.5, 0.0, 2**-0.5]).repeat(maps, 1).T
        self.gain = nn.Parameter(start.clone())
        self.bias = nn.Parameter(torch.zeros(2, maps))
        self.register_buffer("running_mean", torch.zeros(2, maps))
        self.register_buffer("running_covariance", start.clone())
        self.relu = relu

    def forward(self, maps: Tensor) -> Tensor:
        rows = to_rows(maps)
        if not self.training:
            return to_maps(self._with_running(rows), maps.shape)
        # The batch as one long example: its own statistics are the batch's.
        rows = rows.flatten(0, 1).unsqueeze(0)
        self._follow(rows)
        return to_maps(normalise(rows, self.gain, self.bias, "channel", self.relu), maps.shape)

    @torch.no_grad()
    def _follow(self, rows: Tensor) -> None:
        mean, spread = NORM.form(rows).statistics(rows).squeeze(1).split([2, 3])
        self.running_mean.lerp_(mean, MOMENTUM)
        self.running_covariance.lerp_(spread, MOMENTUM)

    def _with_running(self, rows: Tensor) -> Tensor:
        stats = torch.cat([self.running_mean, self.running_covariance]).unsqueeze(1)
        found = coefficients(stats, self.gain, self.bias, layer=False)
        # Written in plain operators, so that it has a gradient.
        return PlainNorm().transform(rows, *found, self.relu)
