"""One schema for everything a run can be told: TOML in, checked objects out.

Importing this loads no torch. Shipped configurations are in `cplxsep.config.shipped`.
"""

from cplxsep.config.data import ConversationConfig, DataConfig, NoiseConfig
from cplxsep.config.model import (
    DualPathConfig,
    ExtractorConfig,
    ModelConfig,
    TasNetConfig,
    UNetConfig,
)
from cplxsep.config.optim import OptimConfig
from cplxsep.config.paths import expanded, user_path
from cplxsep.config.toml import parse_config, read_config, to_toml
from cplxsep.config.train import TAKE_SILENCE, TrainConfig
from cplxsep.config.whole import Config

__all__ = [
    "TAKE_SILENCE",
    "Config",
    "ConversationConfig",
    "DataConfig",
    "DualPathConfig",
    "ExtractorConfig",
    "ModelConfig",
    "NoiseConfig",
    "OptimConfig",
    "TasNetConfig",
    "TrainConfig",
    "UNetConfig",
    "expanded",
    "parse_config",
    "read_config",
    "to_toml",
    "user_path",
]
