"""Baseline: torchaudio's Conv-TasNet (Luo & Mesgarani 2019), which works on waveforms."""

from torch import Tensor, nn

from cplxsep.config import ModelConfig
from cplxsep.errors import UsageError, first_line


class TasNet(nn.Module):
    """Conv-TasNet of a configuration's sizes: (B, S) mixtures to (B, N, S) sources.

    Raises:
        UsageError: torchaudio cannot be imported beside this torch.
    """

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        try:
            from torchaudio.models import ConvTasNet
        except Exception as error:  # its compiled parts fail in ways of their own
            raise UsageError(f"network conv-tasnet needs torchaudio: {first_line(error)}") from None
        sizes = config.tasnet
        self.model = ConvTasNet(
            num_sources=config.sources,
            enc_kernel_size=sizes.kernel,
            enc_num_feats=sizes.filters,
            msk_num_feats=sizes.bottleneck,
            msk_num_hidden_feats=sizes.hidden,
            msk_num_layers=sizes.layers,
            msk_num_stacks=sizes.stacks,
            # torchaudio's own recipe found it better than the paper's sigmoid.
            msk_activate="relu",
        )

    def forward(self, mixture: Tensor) -> Tensor:
        sources = self.model(mixture.unsqueeze(1))
        assert isinstance(sources, Tensor)
        return sources
