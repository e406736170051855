"""What the inference form of the U-Net does between its convolutions: functions of two forms."""

from cplxsep.nn.backends import Operator
from cplxsep.nn.between_convolutions.native import NativeBetween
from cplxsep.nn.between_convolutions.statement import Between, Head, NormWeights

__all__ = ["BETWEEN", "Between", "Head", "NormWeights"]


def _triton() -> Between:
    from cplxsep.nn.between_convolutions.triton_form import TritonBetween

    return TritonBetween()


BETWEEN = Operator[Between](
    "between_convolutions", Between(), NativeBetween, triton=_triton, training=False
)
