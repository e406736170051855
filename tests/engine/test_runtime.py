import numpy as np
import pytest
import torch
from standins import Stand, copies

from cplxsep.engine.runtime import Runner
from cplxsep.errors import DeviceError, InputError

CPU = torch.device("cpu")


def runner(function, batch=8, dtype=None) -> Runner:
    return Runner(Stand(function), CPU, dtype, batch)


def test_memory_shortage_halves_the_batch_for_good():
    tried = []

    def greedy(mixture):
        tried.append(len(mixture))
        if len(mixture) > 2:
            raise torch.OutOfMemoryError("CUDA out of memory.")
        return copies(mixture)

    run = runner(greedy)
    chunks = np.random.default_rng(0).standard_normal((9, 50)).astype(np.float32)
    assert np.array_equal(run(chunks, 2), np.stack([chunks, chunks], axis=1))
    assert tried == [8, 4, 2, 2, 2, 2, 1]
    assert run.batch == 2


@pytest.mark.parametrize(
    "error", [MemoryError(), RuntimeError("DefaultCPUAllocator: can't allocate memory")]
)
def test_memory_shortage_with_one_chunk_is_a_device_error(error):
    def greedy(_):
        raise error

    with pytest.raises(DeviceError, match="out of memory"):
        runner(greedy)(np.ones((3, 10), np.float32), 2)


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
    assert np.isfinite(runner(overflowing, dtype=torch.bfloat16)(chunks, 2)).all()
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
    assert runner(linear, dtype=torch.bfloat16)(chunks, 2).dtype == np.float32
    assert seen == [torch.bfloat16]


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_cuda_agrees_with_the_cpu():
    chunks = np.random.default_rng(0).standard_normal((3, 100)).astype(np.float32)
    found = Runner(Stand(copies), torch.device("cuda"), torch.bfloat16, 2)(chunks, 2)
    assert np.array_equal(found, runner(copies)(chunks, 2))
