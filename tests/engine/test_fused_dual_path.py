"""The inference form of the dual-path network: equal to the network, whatever its shape."""

import pytest
import torch
from native_code import has_bytes, needs_bf16, needs_bytes, needs_compiler

from cplxsep.config import ModelConfig
from cplxsep.engine.fused.choice import choose, chunks_at_once, working_type
from cplxsep.engine.fused.dual_path import InWorkingType
from cplxsep.engine.fused.form import Form
from cplxsep.engine.fused.registry import NATIVE, PLAIN
from cplxsep.errors import DeviceError, UsageError
from cplxsep.networks.model import SeparationModel
from cplxsep.networks.signal_stream import SignalStream
from cplxsep.nn import backends
from cplxsep.nn.native.build import NoCompilerError, library
from cplxsep.nn.recurrence import RECURRENCE
from cplxsep.nn.residual_blocks import NAME, NativeBlocks

CPU = torch.device("cpu")
SHAPES = [
    {"outer": 16, "channels": (48,), "blocks": (2,), "states": 16},
    {"outer": 32, "channels": (32, 16), "blocks": (3, 1), "states": 32, "group": 2},
    {"outer": 16, "channels": (32,), "blocks": (1,), "states": 16, "heads": 2},
    {"outer": 16, "channels": (32,), "blocks": (1,), "states": 16, "linearity": "complex"},
    {"outer": 16, "channels": (32,), "blocks": (1,), "states": 16, "half_hop": True},
]


def trained_like(**shape):
    """A network none of whose parameters has its initial, special value."""
    torch.manual_seed(0)
    config = ModelConfig(network="dual-path", level="network", rates=(8000, 16000), dual_path=shape)
    model = SeparationModel(config).eval()
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if name.endswith(("gain", "bias")):
                parameter += 0.3 * torch.randn_like(parameter)
    return model


def needs(dtype):
    """Skip where there is no form of this type."""
    {None: needs_compiler, torch.int8: needs_bytes, torch.bfloat16: needs_bf16}[dtype]()


def snr(expected, found):
    return 10 * torch.log10(expected.square().sum() / (expected - found).square().sum())


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("samples", [1, 1000, 5003])
@torch.inference_mode()
def test_it_is_the_network(shape, samples):
    needs_compiler()
    model = trained_like(**shape)
    form, kind = choose(model, CPU, None)
    assert kind == NATIVE
    assert form is not model
    mixture = torch.randn(2, samples)
    assert snr(model(mixture), form(mixture)) > 100
    assert snr(model.at(16000)(mixture), choose(model.at(16000), CPU, None)[0](mixture)) > 100


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("samples", [1, 1000, 5003])
@torch.inference_mode()
def test_in_bfloat16_it_is_near(shape, samples):
    needs_bf16()
    model = trained_like(**shape)
    form, kind = choose(model, CPU, torch.bfloat16)
    assert kind == NATIVE
    mixture = torch.randn(2, samples)
    assert snr(model(mixture), form(mixture)) > 30


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("samples", [1, 1000, 5003])
@torch.inference_mode()
def test_in_bytes_it_is_near(shape, samples):
    needs_bytes()
    model = trained_like(**shape)
    form, kind = choose(model, CPU, torch.int8)
    assert kind == NATIVE
    mixture = torch.randn(2, samples)
    assert snr(model(mixture), form(mixture)) > 25


@torch.inference_mode()
def test_in_bytes_a_causal_signal_in_blocks_is_the_whole_signal():
    needs_bytes()
    form, _ = choose(trained_like(**SHAPES[0], causal=True), CPU, torch.int8)
    assert in_blocks(form) > 60  # a level in another order may round another way


@torch.inference_mode()
def test_in_bfloat16_a_causal_signal_in_blocks_is_the_whole_signal():
    needs_bf16()
    form, _ = choose(trained_like(**SHAPES[0], causal=True), CPU, torch.bfloat16)
    assert in_blocks(form) > 60


def in_blocks(form):
    """How well a signal in blocks agrees with all of it at once."""
    stream, signal = SignalStream(form), torch.randn(1, 5003)
    parts = [stream(part) for part in signal.split(700, dim=-1)]
    found = torch.cat([*parts, stream(signal[:, :0], True)], dim=-1)
    return snr(form(signal), found)


@torch.inference_mode()
def test_in_bytes_what_is_not_finite_is_seen():
    """A byte cannot tell; the maps that a block adds to can."""
    needs_bytes()
    form, _ = choose(trained_like(**SHAPES[0]), CPU, torch.int8)
    mixture = torch.randn(1, 4000)
    mixture[0, 2000] = torch.nan
    assert not form(mixture).isfinite().all()


def test_bytes_are_chosen_where_they_can_be(monkeypatch):
    model, odd = trained_like(**SHAPES[0]), trained_like(channels=(18,), blocks=(1,))
    if has_bytes():
        by_amx = NativeBlocks(torch.bfloat16).amx
        assert working_type("auto", CPU, model) == (torch.bfloat16 if by_amx else torch.int8)
        assert working_type("int8", CPU, model) == torch.int8
    assert working_type("auto", CPU, odd) != torch.int8
    with pytest.raises(DeviceError, match=r"int8 needs a CPU with VNNI, .* use auto"):
        working_type("int8", CPU, odd)
    with pytest.raises(UsageError, match="int8 is for dual-path networks on a CPU: use auto"):
        working_type("int8", CPU, SeparationModel(ModelConfig()))

    def missing(_):
        raise NoCompilerError("no C++ compiler found")

    monkeypatch.setattr("cplxsep.nn.residual_blocks.build.library", missing)
    assert working_type("auto", CPU, model) != torch.int8
    with pytest.raises(DeviceError, match=r"int8 needs native code: no C.. compiler found"):
        working_type("int8", CPU, model)


@pytest.mark.parametrize("dtype", [None, torch.int8, torch.bfloat16])
@torch.inference_mode()
def test_every_number_of_threads_gives_the_same(dtype):
    needs(dtype)
    form, _ = choose(trained_like(**SHAPES[1]), CPU, dtype)
    mixture, before, found = torch.randn(2, 5003), torch.get_num_threads(), []
    for threads in (1, 2, 3):
        torch.set_num_threads(threads)
        found.append(form(mixture))
    torch.set_num_threads(before)
    assert torch.equal(found[0], found[1])
    assert torch.equal(found[0], found[2])


@pytest.mark.parametrize("dtype", [None, torch.int8, torch.bfloat16])
@torch.inference_mode()
def test_an_example_does_not_depend_on_its_batch(dtype):
    needs(dtype)
    form, _ = choose(trained_like(**SHAPES[0]), CPU, dtype)
    mixtures, before = torch.randn(8, 70000), torch.get_num_threads()
    torch.set_num_threads(2)  # which would take the sum of one long row in two parts
    together, alone = form(mixtures), torch.cat([form(one[None]) for one in mixtures])
    torch.set_num_threads(before)
    assert torch.equal(together, alone)


@torch.inference_mode()
def test_the_model_stays_as_it_is():
    needs_compiler()
    model = trained_like(**SHAPES[0])
    before, mixture = [p.clone() for p in model.parameters()], torch.randn(1, 4000)
    expected = model(mixture)
    choose(model, CPU, None)[0](mixture)
    assert torch.equal(model(mixture), expected)
    assert all(map(torch.equal, model.parameters(), before))


@torch.inference_mode()
def test_odd_sizes_run_as_the_model_itself():
    """Channels that fill no vector have no native blocks; its recurrences still are native."""
    needs_compiler()
    model = trained_like(outer=16, channels=(18,), blocks=(1,), states=16)
    mixture = torch.randn(1, 3000)
    expected = model(mixture)
    form, kind = choose(model, CPU, None)
    assert form is model
    assert kind == f"{PLAIN}, its recurrences native code"
    assert RECURRENCE.form(mixture) is not RECURRENCE.statement
    assert snr(expected, form(mixture)) > 100
    backends.disable()
    assert not NativeBlocks(torch.float64).takes(32, 16)
    assert NativeBlocks(torch.float32).takes(library(NAME).lanes(), 0)


@torch.inference_mode()
def test_a_block_with_a_part_that_its_form_does_not_know_runs_as_it_is():
    """As one of a new option would have: never a form that leaves it out."""
    needs_compiler()
    model = trained_like(**SHAPES[0])
    model.network.level.blocks[0].bands.more = torch.nn.Linear(2, 2)
    assert choose(model, CPU, None)[0] is model
    backends.disable()


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize(("dtype", "least"), [(None, 60), (torch.bfloat16, 30)])
def test_on_a_gpu_it_is_the_network_every_time(shape, dtype, least):
    """The third call of one shape and those after it replay a graph."""
    model, mixture = trained_like(**shape), torch.randn(2, 5003)
    with torch.inference_mode():
        expected = model(mixture)
    run = Form(model.cuda(), torch.device("cuda"), dtype)
    found = [torch.from_numpy(run(mixture.numpy())) for _ in range(4)]
    assert all(snr(expected, one) > least for one in found)


@torch.inference_mode()
def test_a_working_type_reaches_the_maps():
    model = trained_like(**SHAPES[0])
    spectra = torch.randn(1, 2, 129, 20)
    wide, low = (InWorkingType(model.network, d)(spectra) for d in (None, torch.bfloat16))
    assert torch.equal(wide, model.network(spectra))
    assert 30 < snr(wide, low) < 80


def test_two_chunks_at_once_are_for_products_by_amx():
    model = trained_like(**SHAPES[0])
    assert chunks_at_once(model, None) == chunks_at_once(model, torch.int8) == 1
    fast = has_bytes() and NativeBlocks(torch.bfloat16).amx
    assert chunks_at_once(model, torch.bfloat16) == (2 if fast else 1)
    for slow in (
        trained_like(**SHAPES[0], causal=True),
        trained_like(channels=(18,), blocks=(1,)),
        SeparationModel(ModelConfig()),
    ):
        assert chunks_at_once(slow, torch.bfloat16) == 1
