"""A causal model on a signal that comes in blocks."""

from torch import Tensor

from cplxsep.networks.model import SeparationModel
from cplxsep.nn.memory import Memory
from cplxsep.nn.stft_stream import STFTStream


class SignalStream:
    """Gives model(x), for a whole signal x, block by block: what the model remembers is carried on.

    Outputs lag behind by a window at most.

    Args:
        model: causal.
    """

    def __init__(self, model: SeparationModel) -> None:
        if not model.causal:
            raise ValueError("the model looks ahead: it is not causal")
        self._model = model
        self._stft = STFTStream(model.stft)
        self._memory: Memory = {}

    def __call__(self, mixture: Tensor, last: bool = False) -> Tensor:
        """The sources (B, N, S') that the next block of mixtures (B, S) completes.

        With the last block, which may be empty, all that is left.
        """
        heard = self._stft.frames(mixture, last)
        if heard.shape[-1]:
            found = self._model.network(heard, self._memory).to(mixture.dtype)
        else:
            found = heard.new_zeros(len(heard), 2 * self._model.sources, *heard.shape[2:])
        return self._stft.audio(found, last)
