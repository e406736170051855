"""Devices and precisions by name."""

import pytest
import torch

from cplxsep.errors import DeviceError, UsageError
from cplxsep.nn import device
from cplxsep.nn.device import (
    fast_bf16_cpu,
    flushed_denormals,
    pick_device,
    pick_precision,
)

CPU = torch.device("cpu")


def test_precision_on_the_cpu():
    expected = torch.bfloat16 if fast_bf16_cpu() else None
    assert pick_precision("auto", CPU) is expected
    assert pick_precision("fp32", CPU) is None
    for name in ("fp16", "int8"):
        with pytest.raises(UsageError, match=name):
            pick_precision(name, CPU)


@pytest.mark.parametrize("there", [True, False])
def test_bf16_that_takes_minutes_is_told(monkeypatch, recwarn, there):
    monkeypatch.setattr(device, "multiplies_bf16_cpu", lambda: there)
    assert pick_precision("bf16", CPU) is torch.bfloat16
    assert ["slower than fp32" in str(note.message) for note in recwarn] == [True] * (not there)


def test_devices():
    assert pick_device("cpu") == CPU
    assert pick_device("auto").type == ("cuda" if torch.cuda.is_available() else "cpu")
    with pytest.raises(DeviceError, match="cuda:99"):
        pick_device("cuda:99")
    for name in ("gpu", "cpu:1", "cuda:", "cuda:x", ""):
        with pytest.raises(UsageError):
            pick_device(name)


def test_denormals_are_flushed_for_a_while():
    small = torch.tensor([1e-30])
    with flushed_denormals():
        assert not (small * small.new_tensor([1e-10])).any()
    assert (small * small.new_tensor([1e-10])).any()
