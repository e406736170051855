"""What is told of a capture that failed; and captures themselves, on a GPU."""

import pytest
import torch

from cplxsep.nn.cuda_graph import capture, why_not

needs_gpu = pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")


def ended_after(first: Exception) -> Exception:
    """The error that the end of a capture has of its own, after another."""
    try:
        try:
            raise first
        except type(first):
            raise RuntimeError("CUDA error: operation failed due to a previous error")  # noqa: B904
    except RuntimeError as error:
        return error


def test_what_is_told_is_where_it_began():
    assert why_not(ended_after(ValueError("a size of 3\nand more"))) == "a size of 3"
    assert why_not(ended_after(KeyError())) == "KeyError"
    assert why_not(RuntimeError("alone")) == "alone"


def test_too_little_memory_is_an_error_of_its_own():
    with pytest.raises(torch.OutOfMemoryError, match="CUDA out of memory"):
        why_not(ended_after(torch.OutOfMemoryError("CUDA out of memory")))


@pytest.mark.gpu
@needs_gpu
def test_a_capture_that_fails_leaves_all_as_it_was():
    """Regression: the thread stayed on the stream of the capture."""
    stream, given = torch.cuda.Stream(), torch.arange(4.0, device="cuda")
    before = torch.cuda.current_stream()
    with pytest.raises(RuntimeError) as failed:
        capture(lambda: given.sum().item(), stream, None, dry_runs=1)
    assert "captur" in why_not(failed.value)
    assert torch.cuda.current_stream() == before
    graph, found = capture(lambda: 2 * given, stream, None, dry_runs=1)
    given.fill_(5.0)
    graph.replay()
    assert found.tolist() == [10.0] * 4


@pytest.mark.gpu
@pytest.mark.skipif(torch.cuda.device_count() < 2, reason="no second CUDA device")
def test_each_gpu_has_graphs_of_its_own():
    """Regression: the second one's were empty, made on the stream of the first."""
    for number in range(2):
        with torch.cuda.device(number):
            given = torch.ones(4, device="cuda")
            graph, found = capture(lambda: 3 * given, torch.cuda.Stream(), None, 1)  # noqa: B023
            given.fill_(2.0)
            graph.replay()
            assert found.tolist() == [6.0] * 4
