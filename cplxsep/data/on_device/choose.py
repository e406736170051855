"""Whether training examples are made on the device, from audio in its memory, or by the host."""

from collections.abc import Callable, Sequence
from typing import Any

import torch

from cplxsep.data.drawing.drawing import Drawable
from cplxsep.data.dynamic import DynamicMixtures
from cplxsep.data.dynamic_conversations import Conversations
from cplxsep.data.dynamic_noisy import NoisySpeech
from cplxsep.data.on_device.dry import DryOnDevice
from cplxsep.data.on_device.noisy import NoisyOnDevice
from cplxsep.data.on_device.recipe import OnDevice, room_for, size_of
from cplxsep.data.on_device.talk import TalkOnDevice

# The rest is for training itself.
_SHARE_OF_FREE = 0.5


def bring(
    sets: Sequence[Any], batch: int, device: torch.device, say: Callable[[str], None]
) -> list[Any]:
    """The sets of examples, on the device where they can be made there; which is said.

    They can on a CUDA device with memory for all their audio and for making batches of it, unless
    they are prepared mixtures.
    """
    drawable = [one for one in sets if isinstance(one, Drawable)]
    if device.type != "cuda" or len(drawable) < len(sets):
        return list(sets)
    needed = sum(size_of(one) for one in {id(one): one for one in drawable}.values())
    needed += max(room_for(one, batch) for one in drawable)
    free, _ = torch.cuda.mem_get_info(device)
    sizes = f"{needed / 1e9:.2f} GB for that, {free / 1e9:.2f} GB of memory free on {device}"
    if needed <= _SHARE_OF_FREE * free:
        try:
            made = {id(one): on_device(one, device) for one in drawable}
        except torch.OutOfMemoryError:
            torch.cuda.empty_cache()
        else:
            say(f"mixtures are made on the device: {sizes}")
            return [made[id(one)] for one in drawable]
    say(f"mixtures are made by the CPU and streamed: {sizes}, half of it for training")
    return list(sets)


def on_device(examples: Drawable, device: torch.device) -> OnDevice:
    """The same examples, made on a device."""
    if isinstance(examples, DynamicMixtures):
        return DryOnDevice(examples, device)
    if isinstance(examples, NoisySpeech):
        return NoisyOnDevice(examples, device)
    assert isinstance(examples, Conversations)
    return TalkOnDevice(examples, device)
