"""Complex convolution against PyTorch's own complex operator."""

import pytest
import torch
import torch.nn.functional as F

from cplxsep.nn.conv import ComplexConv2d, stacked_kernel
from cplxsep.nn.pairs import from_complex, to_complex


def native(conv: ComplexConv2d, maps: torch.Tensor) -> torch.Tensor:
    weight = torch.complex(conv.weight_real, conv.weight_imag)
    bias = None
    if conv.bias is not None:
        bias = torch.complex(*conv.bias.chunk(2))
    out = F.conv2d(
        to_complex(maps), weight, bias, stride=conv.stride, padding=weight.shape[-1] // 2
    )
    return from_complex(out)


@pytest.mark.parametrize("kernel", [1, 3])
@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("bias", [False, True])
def test_values_and_gradients_are_those_of_complex_conv2d(kernel, stride, bias):
    torch.manual_seed(0)
    conv = ComplexConv2d(3, 5, kernel, stride=stride, bias=bias)
    if conv.bias is not None:
        torch.nn.init.normal_(conv.bias)
    maps = torch.randn(2, 6, 9, 11, requires_grad=True)
    inputs = [maps, *conv.parameters()]
    ours, theirs = conv(maps), native(conv, maps)
    torch.testing.assert_close(ours, theirs, rtol=1e-5, atol=1e-5)
    weight = torch.randn_like(ours)
    for a, b in zip(
        torch.autograd.grad((ours * weight).sum(), inputs),
        torch.autograd.grad((theirs * weight).sum(), inputs),
        strict=True,
    ):
        assert (a - b).norm() <= 1e-5 * b.norm()


def test_gradcheck_in_float64():
    torch.manual_seed(0)
    conv = ComplexConv2d(2, 2, 3, bias=True).double()
    assert torch.autograd.gradcheck(conv, torch.randn(1, 4, 4, 3).double().requires_grad_())


def test_turning_the_input_by_i_turns_the_output():
    torch.manual_seed(0)
    conv = ComplexConv2d(2, 3, 3)
    maps = torch.randn(1, 4, 5, 6)
    turned = from_complex(1j * to_complex(maps))
    torch.testing.assert_close(conv(turned), from_complex(1j * to_complex(conv(maps))))


def test_stacked_kernel_is_the_real_form_of_the_complex_matrix():
    weight = torch.randn(3, 2, 1, 1), torch.randn(3, 2, 1, 1)
    vector = torch.randn(2), torch.randn(2)
    out = stacked_kernel(*weight)[:, :, 0, 0] @ torch.cat(vector)
    expected = torch.complex(*weight)[:, :, 0, 0] @ torch.complex(*vector)
    torch.testing.assert_close(out, torch.cat([expected.real, expected.imag]))


def test_stacking_under_autocast_rounds_once_and_gives_float32_gradients():
    torch.manual_seed(0)
    conv = ComplexConv2d(4, 4)
    maps, weight = torch.randn(2, 8, 6, 7), torch.randn(2, 8, 6, 7)
    with torch.autocast("cpu", torch.bfloat16):
        out = conv(maps)
    parts = [conv.weight_real, conv.weight_imag]
    found = torch.autograd.grad(out, parts, weight.bfloat16())
    real, imag = (part.detach().bfloat16() for part in parts)
    rounded = stacked_kernel(real, imag)
    assert out.dtype == torch.bfloat16
    assert torch.equal(out, F.conv2d(maps.bfloat16(), rounded, padding=1))
    expected = torch.autograd.grad((conv(maps) * weight).sum(), parts)
    for a, b in zip(found, expected, strict=True):
        assert a.dtype == torch.float32
        assert (a - b).norm() <= 1e-2 * b.norm()


def test_the_gradient_of_every_second_position_keeps_the_layout():
    """Channels-first, it cost a transposing copy in the norm before."""
    conv = ComplexConv2d(2, 2, 1, stride=2)
    maps = torch.randn(1, 4, 5, 6).contiguous(memory_format=torch.channels_last).requires_grad_()
    (grad,) = torch.autograd.grad(conv(maps).sum(), maps)
    assert grad.is_contiguous(memory_format=torch.channels_last)
