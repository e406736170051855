"""Products and layouts of real pairs, against native complex tensors."""

import pytest
import torch

from cplxsep.nn import pairs


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_product_is_the_complex_product_with_gradients(dtype):
    torch.manual_seed(0)
    a = torch.randn(2, 6, 4, 5, dtype=dtype, requires_grad=True)
    b = torch.randn(2, 6, 4, 5, dtype=dtype, requires_grad=True)
    ours = pairs.product(a, b)
    theirs = pairs.from_complex(pairs.to_complex(a) * pairs.to_complex(b))
    torch.testing.assert_close(ours, theirs)
    weight = torch.randn_like(ours)
    for x, y in zip(
        torch.autograd.grad(ours, (a, b), weight),
        torch.autograd.grad(theirs, (a, b), weight),
        strict=True,
    ):
        torch.testing.assert_close(x, y)
    if dtype == torch.float64:
        assert torch.autograd.gradcheck(pairs.product, (a, b))


def test_a_single_channel_is_broadcast():
    masks, mixture = torch.randn(2, 6, 3, 4), torch.randn(2, 2, 3, 4)
    expected = pairs.from_complex(pairs.to_complex(masks) * pairs.to_complex(mixture))
    torch.testing.assert_close(pairs.product(masks, mixture), expected)


def test_concatenation_keeps_real_parts_first():
    a, b = torch.randn(1, 4, 2, 2), torch.randn(1, 2, 2, 2)
    joined = pairs.to_complex(pairs.concatenate(a, b))
    torch.testing.assert_close(joined, torch.cat([pairs.to_complex(a), pairs.to_complex(b)], 1))
