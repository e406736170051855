"""Whole residual blocks of the dual-path network for training, on a CPU.

Their statement is the modules themselves (`cplxsep.networks.dual_path_blocks`); inference has forms
of its own (`cplxsep.nn.residual_blocks`).
"""

from cplxsep.nn.backends import Operator
from cplxsep.nn.training_blocks.native import TrainingBlocks

TRAINING_BLOCKS: Operator[TrainingBlocks | None] = Operator("training_blocks", None, TrainingBlocks)
