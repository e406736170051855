"""Which code computes between convolutions: the best that costs no wait, and better when earned."""

import torch

from cplxsep.nn.kernels import CompiledKernels, EagerKernels, Kernels
from cplxsep.nn.native.build import NoCompilerError, build_aside, is_built
from cplxsep.nn.native.kernels import NativeKernels

# Seconds of work after which a build is likely to be earned back: about what it takes. A short
# file is done before, and is never kept waiting.
EARNED = {"cpu": 3.0, "cuda": 60.0}


class KernelSupply:
    """The kernels for a device.

    On a CPU the native ones where they are built; once work proves long they are built aside,
    and kept for good. On a GPU those of torch.compile, after longer work.
    """

    def __init__(self, device: torch.device) -> None:
        self.kernels: Kernels = EagerKernels()
        self._device = device
        self._left = EARNED[device.type]
        self._settled = device.type == "cpu" and self._take_native()

    def improved(self, worked: float) -> bool:
        """Whether `kernels` are better ones now, after so many more seconds of work."""
        self._left -= worked
        if self._settled or self._left > 0:
            return False
        if self._device.type == "cuda":
            self._settled = True
            return self._take_compiled()
        self._settled = not build_aside("kernels").is_alive()
        return self._settled and self._take_native()

    def _take_native(self) -> bool:
        try:
            if is_built("kernels"):
                self.kernels = NativeKernels()
                return True
        except NoCompilerError:
            pass
        return False

    def _take_compiled(self) -> bool:
        try:
            compiled = CompiledKernels()
            compiled.try_out(self._device)
        except Exception:  # no host compiler, no Triton, a GPU that it does not know
            return False
        self.kernels = compiled
        return True
