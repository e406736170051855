"""Which modules have an inference form, and which networks: each form says so beside itself.

A form computes what its module does. It names the parts of the module that it takes over, so that
a module with a part more, as by a new option, has no form until somebody writes it.
"""

import copy
from collections.abc import Callable
from typing import Any, NamedTuple, TypeVar

import torch
from torch import nn

NATIVE, TRITON, PLAIN = "native code", "Triton kernels", "plain PyTorch"


class ModuleForm(nn.Module):
    """A form of one module, made of it and of the means that all forms in a network share."""

    @staticmethod
    def takes(*_: Any, **__: Any) -> bool:
        """Whether there is a form of this very module, of its options, by these means."""
        return True


class _Known(NamedTuple):
    form: type[ModuleForm]
    parts: frozenset[str]


# Of a network on a device, in a working type (None is float32): its form, or the network itself
# where it has none, and in words what it runs as.
MakeNetwork = Callable[[Any, torch.device, torch.dtype | None], tuple[nn.Module, str]]


class NetworkForm(NamedTuple):
    """How networks of a type run, and a network's precisions on this CPU, the fastest first.

    None: those of PyTorch's products.
    """

    make: MakeNetwork
    precisions: Callable[[Any], tuple[str, ...]] | None


FORMS: dict[type[nn.Module], _Known] = {}
NETWORKS: dict[type[nn.Module], NetworkForm] = {}

_FormType = TypeVar("_FormType", bound=type[ModuleForm])


def form_of(kind: type[nn.Module], *parts: str) -> Callable[[_FormType], _FormType]:
    """Register a form of a type of module, which takes over these children and parameters."""

    def register(form: _FormType) -> _FormType:
        FORMS[kind] = _Known(form, frozenset(parts))
        return form

    return register


def network_form(
    kind: type[nn.Module], precisions: Callable[[Any], tuple[str, ...]] | None = None
) -> Callable[[MakeNetwork], MakeNetwork]:
    """Register how networks of a type run."""

    def register(make: MakeNetwork) -> MakeNetwork:
        NETWORKS[kind] = NetworkForm(make, precisions)
        return make

    return register


def has_form(module: nn.Module | None, *means: Any) -> bool:
    """Whether a module has a form by these means."""
    known = FORMS.get(type(module)) if module is not None else None
    if module is None or known is None:
        return False
    named = (*module.named_children(), *module.named_parameters(recurse=False))
    return {name for name, _ in named} <= known.parts and known.form.takes(module, *means)


def form(module: nn.Module, *means: Any) -> ModuleForm:
    """The form of a module that has one."""
    return FORMS[type(module)].form(module, *means)


def with_forms(module: nn.Module, *means: Any) -> nn.Module:
    """A module with forms in the place of all modules that have one; it is left as it is."""
    if has_form(module, *means):
        return form(module, *means)
    changed = copy.copy(module)
    changed._modules = {
        name: None if child is None else with_forms(child, *means)
        for name, child in module._modules.items()
    }
    return changed
