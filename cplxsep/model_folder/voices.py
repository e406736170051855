"""The shipped speaker embedding, by whose voices the engine keeps talkers apart."""

from functools import lru_cache

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file

from cplxsep.errors import ModelError
from cplxsep.model_folder import catalogue
from cplxsep.model_folder.contents import WEIGHTS
from cplxsep.networks.speaker_embedding import SpeakerEmbedding

FOLDER = "voices"


@lru_cache(maxsize=8)
def load_voices(device: torch.device) -> SpeakerEmbedding:
    """On a device, for inference. ModelError: it is not there, or not whole."""
    path = catalogue.root() / FOLDER / WEIGHTS
    network = SpeakerEmbedding()
    try:
        network.load_state_dict(load_file(path))
    except (OSError, SafetensorError, RuntimeError) as error:
        raise ModelError(f"cannot read {path}: {error}: install cplxsep again") from None
    return network.float().eval().requires_grad_(False).to(device)
