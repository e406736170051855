"""`cplxsep eval`: score a model on prepared mixtures, or estimates against references."""

from cplxsep.cli.evaluate.command import evaluate

__all__ = ["evaluate"]
