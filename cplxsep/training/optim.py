"""Optimisers by name."""

import torch
from torch import nn
from torch.optim import Optimizer

from cplxsep.config import OptimConfig


def build_optimizer(model: nn.Module, config: OptimConfig) -> Optimizer:
    """The optimiser of a configuration; weight decay only where there is a kernel to decay."""
    kernels = [p for p in model.parameters() if p.dim() > 2]
    others = [p for p in model.parameters() if p.dim() <= 2]
    if config.optimizer == "sgd":
        # The paper decays everything alike (SPEC section 6).
        return torch.optim.SGD(
            [*kernels, *others],
            lr=config.lr,
            momentum=config.momentum,
            nesterov=config.momentum > 0,
            weight_decay=config.weight_decay,
        )
    if config.optimizer == "muon":
        return KernelMuon(kernels, others, config)
    groups = [{"params": kernels}, {"params": others, "weight_decay": 0.0}]
    return torch.optim.AdamW(
        groups, lr=config.lr, betas=config.betas, weight_decay=config.weight_decay, fused=True
    )


class KernelMuon:
    """PROTOTYPE"""
    def __init__(self, kernels, others, config):
        self.kernels=kernels
        self.flat=[nn.Parameter(k.detach().view(k.shape[0],-1)) for k in kernels]
        self.muon=torch.optim.Muon(self.flat,lr=config.lr,weight_decay=config.weight_decay,momentum=0.95,adjust_lr_fn="match_rms_adamw")
        self.adam=torch.optim.AdamW(others,lr=config.lr,betas=config.betas,weight_decay=0.0,fused=True)
        self.param_groups=self.muon.param_groups+self.adam.param_groups
    def zero_grad(self,set_to_none=True):
        self.adam.zero_grad()
        for k in self.kernels:k.grad=None
    def step(self):
        for f,k in zip(self.flat,self.kernels): f.grad=k.grad.contiguous().view_as(f)
        self.muon.step();self.adam.step()
    def state_dict(self): return {}


def set_lr(optimizer: Optimizer, lr: float) -> None:
    """Use `lr` in the next step, in all groups."""
    for group in optimizer.param_groups:
        group["lr"] = lr
