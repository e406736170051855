"""What the inference form of the U-Net does between its convolutions: functions of two forms."""

from cplxsep.nn.backends import Operator
from cplxsep.nn.between_convolutions.interface import Between, Head, NormWeights
from cplxsep.nn.between_convolutions.native import NativeBetween
from cplxsep.nn.between_convolutions.statement import PlainBetween

__all__ = ["BETWEEN", "Between", "Head", "NormWeights"]

BETWEEN: Operator[Between] = Operator(
    "between_convolutions", PlainBetween(), NativeBetween, training=False
)
