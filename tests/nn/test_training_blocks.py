"""Blocks of training in one native call beside the modules that state them."""

import ctypes
import subprocess

import pytest
import torch
from native_code import compiles_for, needs_bf16, needs_compiler

from cplxsep.networks.dual_path_blocks import Local, Recurrent
from cplxsep.nn import backends
from cplxsep.nn.native import build
from cplxsep.nn.training_blocks import TRAINING_BLOCKS
from cplxsep.nn.training_blocks.native import TrainingBlocks

BLOCKS = {
    "local": lambda channels: Local(channels, "real", causal=False),
    "causal local": lambda channels: Local(channels, "real", causal=True),
    "complex local": lambda channels: Local(channels, "complex", causal=False),
    "bands": lambda channels: Recurrent(channels, 32, "bands"),
    "frames": lambda channels: Recurrent(channels, 32, "frames"),
    "past frames": lambda channels: Recurrent(channels, 16, "past frames"),
}
# Batch, bands, frames: one of each, fewer than a tile or a group has, and more.
SHAPES = [(1, 1, 1), (1, 5, 7), (3, 2, 33), (2, 37, 65)]


@pytest.fixture(params=BLOCKS)
def make(request):
    return BLOCKS[request.param]


@pytest.fixture(autouse=True)
def native():
    needs_compiler()
    assert backends.enable("cpu") is None
    yield
    backends.disable()


def results(block, shape, dtype):
    """The sum, and gradients of one weighting of it, of all weights drawn anew."""
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for name, weight in block.named_parameters():
            drawn = torch.randn(weight.shape, generator=generator)
            # As large as rows of matrices may be for sums of about unit size.
            size = 0.3 if weight.dim() == 1 else (weight[0].numel() + 1) ** -0.5
            weight.copy_(drawn * size + (name == "norm.gain"))
    channels = block.norm.gain.shape[0]
    maps, weighting = (torch.randn(*shape, channels, generator=generator) for _ in range(2))
    maps = maps.to(dtype).requires_grad_()
    found = block(maps)
    assert found.dtype == dtype
    gradients = torch.autograd.grad(
        found, [maps, *block.parameters()], weighting.to(dtype), materialize_grads=True
    )
    return [found.detach(), *gradients]


def by_operators(block, shape, dtype, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(TRAINING_BLOCKS, "_enabled", {})
        return results(block, shape, dtype)


def error(found, expected):
    """Of each part, relative to its size."""
    parts = zip(found, expected, strict=True)
    return [((a.float() - b).norm() / b.norm().clamp_min(1e-9)).item() for a, b in parts]


@pytest.mark.parametrize("channels", [16, 48, 96])
@pytest.mark.parametrize("shape", SHAPES)
def test_they_compute_what_the_modules_do(monkeypatch, make, shape, channels):
    block, maps = make(channels), torch.zeros(1, 1, 1, channels)
    assert TRAINING_BLOCKS.form(maps).takes(maps, 32)
    expected = by_operators(block, shape, torch.float32, monkeypatch)
    assert max(error(results(block, shape, torch.float32), expected)) < 1e-5


@pytest.mark.parametrize("channels", [32, 48, 96])
@pytest.mark.parametrize("shape", SHAPES)
def test_bfloat16_is_as_near_as_operator_by_operator(monkeypatch, make, shape, channels):
    needs_bf16()
    block = make(channels)
    exact = by_operators(block, shape, torch.float32, monkeypatch)
    narrow = error(by_operators(block, shape, torch.bfloat16, monkeypatch), exact)
    found = error(results(block, shape, torch.bfloat16), exact)
    # Either rounds at places of its own.
    assert all(ours < 1.5 * theirs + 2e-3 for ours, theirs in zip(found, narrow, strict=True))


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_threads_change_nothing(make, dtype):
    if dtype == torch.bfloat16:
        needs_bf16()
    block, found, before = make(96), [], torch.get_num_threads()
    try:
        for threads in (1, 2, 3):
            torch.set_num_threads(threads)
            found.append(results(block, (2, 37, 65), dtype))
    finally:
        torch.set_num_threads(before)
    for other in found[1:]:
        assert all(map(torch.equal, found[0], other))


def test_what_fills_no_vectors_is_left_to_operators(monkeypatch):
    maps = torch.zeros(1, 1, 1, 18)
    assert not TRAINING_BLOCKS.form(maps).takes(maps)
    block = Recurrent(18, 5, "frames")
    expected = by_operators(block, (1, 3, 4), torch.float32, monkeypatch)
    assert all(map(torch.equal, results(block, (1, 3, 4), torch.float32), expected))


def test_other_types_are_left_to_operators():
    assert TRAINING_BLOCKS.form(torch.zeros(1, 1, 1, 96, dtype=torch.float64)) is None


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_what_is_not_finite_is_seen_and_then_forgotten(make, dtype):
    """Memory is kept from call to call; nothing of it may come back."""
    if dtype == torch.bfloat16:
        needs_bf16()
    block = make(48)
    before = results(block, (2, 3, 5), dtype)
    maps = torch.full((2, 7, 70, 48), torch.nan, dtype=dtype, requires_grad=True)
    found = block(maps)
    assert found.isnan().all()
    found.sum().backward()
    assert all(weight.grad.isnan().any() for weight in block.parameters())
    assert all(map(torch.equal, before, results(block, (2, 3, 5), dtype)))


def test_a_layout_that_is_not_contiguous_gives_the_same(make):
    block = make(48)
    maps, weighting = (torch.randn(2, 5, 4, 48, requires_grad=True) for _ in range(2))
    turned = maps.detach().transpose(1, 2).contiguous().transpose(1, 2).requires_grad_()
    turned_weighting = weighting.transpose(1, 2).contiguous().transpose(1, 2)
    assert torch.equal(block(turned), block(maps))
    (found,) = torch.autograd.grad(block(turned), turned, turned_weighting)
    assert torch.equal(found, *torch.autograd.grad(block(maps), maps, weighting))


def test_weights_that_are_not_trained_get_no_gradient(make):
    block = make(48)
    maps = torch.randn(1, 3, 4, 48, requires_grad=True)
    (expected,) = torch.autograd.grad(block(maps).sum(), maps)
    block.requires_grad_(False)
    block(maps).sum().backward()
    assert torch.equal(maps.grad, expected)
    assert all(weight.grad is None for weight in block.parameters())
    with torch.no_grad():
        assert not block(maps).requires_grad


@pytest.mark.parametrize("kind", ["causal local", "past frames"])
def test_a_causal_block_goes_on_from_its_memory(kind):
    block, maps, memory = BLOCKS[kind](48), torch.randn(2, 3, 9, 48), {}
    with torch.no_grad():
        parts = [block(part.contiguous(), memory) for part in maps.split([4, 1, 4], dim=2)]
        torch.testing.assert_close(torch.cat(parts, dim=2), block(maps), rtol=0, atol=1e-5)


@pytest.mark.parametrize(
    ("processor", "vectors", "dtype", "tolerance"),
    [
        ("x86-64", "sse2", torch.float32, 1e-5),
        ("haswell", "avx2", torch.float32, 1e-5),
        ("skylake-avx512", "avx512dq", torch.float32, 1e-5),
        ("cooperlake", "avx512_bf16", torch.bfloat16, 2e-2),  # without AMX
    ],
)
def test_vectors_of_every_width(monkeypatch, tmp_path, processor, vectors, dtype, tolerance):
    """As compiled for other processors, of which this one does all that they do."""
    if not compiles_for(vectors):
        pytest.skip("no C++ compiler, or a CPU without these vectors")
    for file, text in build._texts(TRAINING_BLOCKS.name).items():
        (tmp_path / file).parent.mkdir(exist_ok=True)
        (tmp_path / file).write_bytes(text)
    flags = [flag for flag in build._FLAGS if flag != "-march=native"]
    target = [f"-march={processor}", f"{TRAINING_BLOCKS.name}/blocks.cpp", "-o", "made.so"]
    subprocess.run([*build.find_compiler(), *flags, *target], cwd=tmp_path, check=True)
    blocks = TrainingBlocks(ctypes.CDLL(str(tmp_path / "made.so")))
    assert blocks.takes(torch.zeros(1, 1, 1, 48, dtype=dtype), 32)
    for make in BLOCKS.values():
        block = make(48)
        expected = by_operators(block, SHAPES[-1], torch.float32, monkeypatch)
        monkeypatch.setattr(TRAINING_BLOCKS, "_enabled", {"cpu": blocks})
        assert max(error(results(block, SHAPES[-1], dtype), expected)) < tolerance
