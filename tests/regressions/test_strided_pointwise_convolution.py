"""PyTorch's strided 1x1 convolution wrote outside its memory; ours must not use it.

Seen with torch 2.14 in float32, channels-last, 8 channels: the process ended in "corrupted size
vs. prev_size" or a segmentation fault after some steps.
"""

from unittest import mock

import pytest
import torch
import torch.nn.functional as F

from cplxsep.nn.conv import ComplexConv2d, RealConv2d


@pytest.mark.parametrize("conv", [ComplexConv2d(4, 4, 1, stride=2), RealConv2d(8, 8, 1, stride=2)])
def test_positions_are_picked_before_the_convolution(conv):
    maps = torch.randn(2, 8, 13, 10).contiguous(memory_format=torch.channels_last)
    with mock.patch("torch.nn.functional.conv2d", wraps=F.conv2d) as used:
        out = conv(maps)
    assert used.call_args.kwargs["stride"] == 1
    whole = type(conv)(*((4, 4) if isinstance(conv, ComplexConv2d) else (8, 8)), 1)
    whole.load_state_dict(conv.state_dict())
    torch.testing.assert_close(out, whole(maps)[:, :, ::2, ::2])
