"""What lies between convolutions: native code against its statement, that against layers."""

import itertools

import pytest
import torch
import torch.nn.functional as F
import triton_cases

from cplxsep.nn.between_convolutions import BETWEEN, Head, NormWeights
from cplxsep.nn.between_convolutions.native import NativeBetween
from cplxsep.nn.complex_norm import ComplexNorm
from cplxsep.nn.native.build import NoCompilerError, library

PLAIN = BETWEEN.statement
DTYPES = [(torch.float32, 1e-5), (torch.bfloat16, 4e-3)]


@pytest.fixture(scope="module")
def native():
    try:
        return NativeBetween(library("between_convolutions"))
    except NoCompilerError as error:
        pytest.skip(str(error))


def maps(*shape, dtype=torch.float32, mean=1.0):
    return (torch.randn(*shape) * 2 + mean).to(dtype)


def weights(channels, layer=False):
    return NormWeights(torch.randn(3, channels), torch.randn(2, channels), layer)


def close(found, expected, tolerance):
    assert found.dtype == expected.dtype
    assert found.shape == expected.shape
    difference = (found.double() - expected.double()).norm()
    assert difference <= tolerance * expected.double().norm()


@pytest.mark.parametrize("scope", ["channel", "layer"])
def test_plain_norm_is_the_layer(scope):
    torch.manual_seed(0)
    norm = ComplexNorm(5, relu=True, scope=scope).double()
    torch.nn.init.normal_(norm.gain)
    torch.nn.init.normal_(norm.bias)
    rows = maps(2, 6, 7, 10, dtype=torch.float64)
    found = PLAIN.normalise(
        rows, PLAIN.statistics(rows), NormWeights(norm.gain, norm.bias, scope == "layer"), 1, False
    )
    torch.testing.assert_close(found.permute(0, 3, 1, 2), norm(rows.permute(0, 3, 1, 2)))


@pytest.mark.parametrize(("dtype", "tolerance"), DTYPES)
@pytest.mark.parametrize("channels", [1, 3, 4, 11, 16, 22, 44])
def test_native_norm_is_the_plain_one(native, channels, dtype, tolerance):
    torch.manual_seed(0)
    rows, more = (maps(2, 5, 9, 2 * channels, dtype=dtype) for _ in range(2))
    close(native.statistics(rows), PLAIN.statistics(rows), 1e-5)
    ours, theirs = rows.clone(), rows.clone()
    stats = native.add(ours, more)
    close(stats, PLAIN.add(theirs, more), 1e-5)
    close(ours, theirs, 0)
    for stride, layer, three in itertools.product((1, 2), (False, True), (False, True)):
        norm = weights(channels, layer)
        found = native.normalise(ours, stats, norm, stride, three)
        close(found, PLAIN.normalise(ours, stats, norm, stride, three), tolerance)


@pytest.mark.parametrize(("dtype", "tolerance"), DTYPES)
@pytest.mark.parametrize("channels", [1, 16, 37])
def test_native_products_are_the_plain_ones(native, channels, dtype, tolerance):
    torch.manual_seed(0)
    products = maps(2, 5, 9, 3 * channels, dtype=dtype)
    expected, stats = PLAIN.from_products(products)
    found, found_stats = native.from_products(products)
    close(found, expected, tolerance)
    close(found_stats, stats, max(tolerance, 1e-5))
    ours, theirs = expected.clone(), expected.clone()
    close(native.add(ours, products), PLAIN.add(theirs, products), max(tolerance, 1e-5))
    close(ours, theirs, tolerance)


@pytest.mark.parametrize(("dtype", "tolerance"), DTYPES)
@pytest.mark.parametrize(("skip", "low"), [(1, 2), (16, 16), (22, 5), (3, 40)])
@pytest.mark.parametrize("size", [(1, 6), (7, 1), (3, 7)])
def test_native_interpolation_and_joining_are_the_plain_ones(
    native, skip, low, size, dtype, tolerance
):
    torch.manual_seed(0)
    small = maps(2, *size, 2 * low, dtype=dtype)
    large = maps(2, 2 * size[0], 2 * size[1], 2 * skip, dtype=dtype)
    stats = (native.statistics(large), native.upsampled_statistics(small))
    torch.testing.assert_close(stats[1], PLAIN.upsampled_statistics(small), rtol=1e-5, atol=1e-5)
    for layer, three in itertools.product((False, True), (False, True)):
        norm = weights(skip + low, layer)
        found = native.normalise_joined(large, small, stats, norm, three)
        close(found, PLAIN.normalise_joined(large, small, stats, norm, three), tolerance)


@pytest.mark.parametrize(("dtype", "tolerance"), DTYPES)
@pytest.mark.parametrize("head", [Head(1, 1), Head(2, 3), Head(3, 10)])
@pytest.mark.parametrize("features", [1, 4, 22])
def test_native_extractor_is_the_plain_one(native, head, features, dtype, tolerance):
    torch.manual_seed(0)
    count = head.sources * (head.transformations + 1)
    film = maps(2, 6, 9, 4 * head.sources * head.transformations, dtype=dtype)
    own, mixture = maps(2, 6, 9, 2 * features, dtype=dtype), maps(2, 2, 6, 9)
    seen = native.candidates(film, mixture, own, head)
    close(seen, PLAIN.candidates(film, mixture, own, head), tolerance)
    masks = maps(2, 6, 9, 2 * count, dtype=dtype)
    close(native.average(masks, seen, head), PLAIN.average(masks, seen, head), 1e-5)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("patch", [2, 3])
def test_native_shuffle_is_pixel_shuffle(native, patch, dtype):
    rows = maps(2, 3, 5, 2 * 4 * patch**2, dtype=dtype)
    expected = F.pixel_shuffle(rows.permute(0, 3, 1, 2), patch).permute(0, 2, 3, 1)
    assert torch.equal(native.shuffle(rows, patch), expected)
    assert torch.equal(PLAIN.shuffle(rows, patch), expected)


def test_native_code_keeps_its_precision_under_a_large_mean(native):
    torch.manual_seed(0)
    rows = maps(1, 32, 32, 8, mean=1000.0)
    expected = PLAIN.statistics(rows.double())
    torch.testing.assert_close(native.statistics(rows).double(), expected, rtol=1e-4, atol=1e-4)


def test_native_code_lets_nan_through(native):
    rows = maps(1, 4, 4, 16)
    rows[0, 2, 2, 3] = float("nan")
    assert native.normalise(rows, native.statistics(rows), weights(8), 1, False).isnan().any()


def test_native_code_does_not_depend_on_the_number_of_threads(native):
    torch.manual_seed(0)
    rows, norm = maps(2, 64, 64, 16), weights(8)
    threads = torch.get_num_threads()
    try:
        torch.set_num_threads(1)
        one = native.normalise(rows, native.statistics(rows), norm, 1, False)
        torch.set_num_threads(2)
        assert torch.equal(one, native.normalise(rows, native.statistics(rows), norm, 1, False))
    finally:
        torch.set_num_threads(threads)


def test_triton_in_its_interpreter_gives_what_the_statement_gives():
    pytest.importorskip("triton")
    triton_cases.in_the_interpreter("between")


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_triton_on_a_gpu_gives_what_the_statement_gives():
    pytest.importorskip("triton")
    triton_cases.between("cuda", [(2, 33, 125, 88), (3, 5, 7, 6), (1, 4, 4, 704), (1, 1, 1, 2)])


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_on_a_gpu_statistics_are_the_same_twice_and_in_any_batch():
    rows = maps(3, 60, 70, 88).cuda()
    found = BETWEEN.on(rows.device, rows.dtype).statistics(rows)
    assert torch.equal(found, BETWEEN.on(rows.device, rows.dtype).statistics(rows))
    alone = BETWEEN.on(rows.device, rows.dtype).statistics(rows[1:2].contiguous())
    assert torch.equal(found[:, 1:2], alone)
