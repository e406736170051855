from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch
from native_code import needs_compiler
from standins import TWO_RATES, Stand, copies

from cplxsep.config import ModelConfig
from cplxsep.engine.fused.registry import NATIVE, PLAIN
from cplxsep.engine.runtime import Runner
from cplxsep.errors import DeviceError, InputError
from cplxsep.networks.model import SeparationModel
from cplxsep.nn.native import build

CPU = torch.device("cpu")


def runner(function, batch=8, dtype=None) -> Runner:
    return Runner(Stand(function), CPU, dtype, batch, 100)


def test_memory_shortage_halves_the_batch_for_good():
    tried = []

    def greedy(mixture):
        tried.append(len(mixture))
        if len(mixture) > 2:
            raise torch.OutOfMemoryError("CUDA out of memory.")
        return copies(mixture)

    run = runner(greedy)
    chunks = np.random.default_rng(0).standard_normal((9, 50)).astype(np.float32)
    assert np.array_equal(run(chunks, 2)[0], np.stack([chunks, chunks], axis=1))
    assert tried == [8, 4, 2, 2, 2, 2, 1]
    assert run.batch == 2


def test_a_chunk_has_no_part_in_what_is_wrong_with_another():
    """Only the one whose output is not finite is computed again, in float32."""

    def low(mixture):
        inside = torch.is_autocast_enabled("cpu")
        bad = (mixture[:, :1] > 0) & inside
        return copies(torch.where(bad, torch.nan, mixture + inside))

    chunks = np.ones((3, 50), np.float32) * [[-1], [1], [-2]]
    found = runner(low, dtype=torch.bfloat16)(chunks.astype(np.float32), 2)[0]
    assert found[:, 0, 0].tolist() == [0, 1, -1]


@pytest.mark.parametrize(
    "error",
    [
        MemoryError(),
        RuntimeError("DefaultCPUAllocator: can't allocate memory"),
        RuntimeError("could not create a primitive"),
        RuntimeError("Triton Error [CUDA]: out of memory"),
        torch.AcceleratorError("CUDA error: out of memory"),  # for pinned memory
    ],
)
def test_memory_shortage_with_one_chunk_is_a_device_error(error):
    def greedy(_):
        raise error

    with pytest.raises(DeviceError, match="out of memory"):
        runner(greedy)(np.ones((3, 10), np.float32), 2)


def test_a_device_that_fails_is_a_device_error_of_its_own():
    def broken(_):
        raise torch.AcceleratorError("CUDA error: an illegal memory access\nmore")

    with pytest.raises(DeviceError, match=r"cpu failed: CUDA error: an illegal memory access$"):
        runner(broken)(np.ones((3, 10), np.float32), 2)


def test_other_errors_are_not_taken_for_a_shortage():
    def broken(_):
        raise RuntimeError("shapes differ")

    with pytest.raises(RuntimeError, match="shapes differ"):
        runner(broken)(np.ones((1, 10), np.float32), 2)


def test_overflow_in_low_precision_is_computed_again_in_fp32():
    def overflowing(mixture):
        low = torch.is_autocast_enabled("cpu")
        return copies(mixture) * (torch.inf if low else 1)

    chunks = np.ones((2, 10), np.float32)
    assert np.isfinite(runner(overflowing, dtype=torch.bfloat16)(chunks, 2)[0]).all()
    with pytest.raises(InputError):
        runner(lambda x: copies(x) * torch.inf)(chunks, 2)


def test_autocast_reaches_the_network():
    weight = torch.ones(10, 10)
    seen = []

    def linear(mixture):
        output = mixture @ weight
        seen.append(output.dtype)
        return copies(output)

    chunks = np.ones((1, 10), np.float32)
    assert runner(linear, dtype=torch.bfloat16)(chunks, 2)[0].dtype == np.float32
    assert seen == [torch.bfloat16]


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_cuda_agrees_with_the_cpu():
    chunks = np.random.default_rng(0).standard_normal((3, 100)).astype(np.float32)
    found = Runner(Stand(copies), torch.device("cuda"), torch.bfloat16, 2, 100)(chunks, 2)[0]
    assert np.array_equal(found, runner(copies)(chunks, 2)[0])


def small_model():
    torch.manual_seed(0)
    return SeparationModel(ModelConfig(start_maps=8, levels=2, transformations=1)).eval()


def test_a_network_runs_in_its_inference_form():
    model = small_model()
    chunks = np.random.default_rng(0).standard_normal((2, 2000)).astype(np.float32)
    run = Runner(model, CPU, None, None, 2000)
    assert run.batch == 1
    with torch.inference_mode():
        expected = model(torch.from_numpy(chunks)).numpy()
    found = run(chunks, 2)[0]
    assert np.square(found - expected).sum() < 1e-8 * np.square(expected).sum()


def test_threads_may_share_a_runner():
    run = Runner(small_model(), CPU, torch.bfloat16, None, 2000)
    chunks = np.random.default_rng(0).standard_normal((8, 1, 2000)).astype(np.float32)
    expected = [run(chunk, 2)[0] for chunk in chunks]
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda chunk: run(chunk, 2)[0], chunks))
    assert all(map(np.array_equal, found, expected))


def test_the_form_is_the_same_whether_or_not_code_was_compiled_before(monkeypatch, tmp_path):
    """Regression: a first run used other code than a second one, or changed it within a file."""
    needs_compiler()
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(build, "library", build.library.__wrapped__)
    chunks = np.random.default_rng(0).standard_normal((3, 2000)).astype(np.float32)
    first, second = (Runner(small_model(), CPU, None, 1, 2000) for _ in range(2))
    assert first.form == second.form == NATIVE
    assert np.array_equal(first(chunks, 2)[0], second(chunks, 2)[0])


def test_without_a_compiler_all_goes_on_and_is_told(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(build, "library", build.library.__wrapped__)
    monkeypatch.setenv("CXX", "no-such-compiler")
    chunks = np.random.default_rng(0).standard_normal((2, 2000)).astype(np.float32)
    for model in (small_model(), SeparationModel(TWO_RATES).eval()):
        run = Runner(model, CPU, None, 1, 2000)
        assert run.form.startswith(PLAIN)
        assert "no-such-compiler" in run.form
        with torch.inference_mode():
            expected = model(torch.from_numpy(chunks)).numpy()
        np.testing.assert_allclose(run(chunks, 2)[0], expected, atol=1e-5)
