"""The first weights of a run, from a trained model of the same network or one it has grown from."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from cplxsep.config import user_path
from cplxsep.errors import ModelError, UsageError
from cplxsep.model_folder import catalogue
from cplxsep.model_folder.contents import CONFIG, OF_RUN, WEIGHTS, checksum, configuration, metrics
from cplxsep.networks.dual_path import DualPathNetwork
from cplxsep.networks.model import SeparationModel

_SHOWN = 3  # names in a line


def start(source: str, model: SeparationModel, say: Callable[[str], None]) -> dict[str, Any]:
    """Give a freshly built model the weights of `source`; returns what there is to say of that.

    Weights of any floating-point type become those of the model. Parts that `grown` of a
    dual-path network names may be missing: their last maps are set to zero, so that the model
    gives what the source gives, or nearly so. Its head and what adds to that begin anew where they
    are of another number of sources. Masks half way between frames are left out where the network
    makes none: a causal one starts from the weights of one that has them.

    Args:
        source: name of a shipped model, a model folder, or a .safetensors file.
        say: takes a line of what was taken, and one of what was not there.

    Returns:
        name, sha256 and licence of the source (None: not known), and its own parent, if any.

    Raises:
        ModelError: there is no such model, or it is corrupt.
        UsageError: it is of another network, or of another shape.
    """
    path, facts = _find(source, model)
    try:
        weights = load_file(path)
    except (OSError, SafetensorError) as error:
        raise ModelError(f"--init {source}: cannot read {path}: {error}") from None
    new = _grown(model, weights)
    head = _other_head(model, weights)
    unused = _without_masks_half_way(model, weights)
    leave = (*head, *unused)
    weights = {name: tensor for name, tensor in weights.items() if not name.startswith(leave)}
    _compare(source, model, weights, new | set(head))
    model.load_state_dict(weights, strict=False)
    say(f"--init {source}: {_list(list(weights), 'taken')}")
    if head:
        say(f"--init {source}: of another number of sources, so the head begins anew")
    if unused:
        what = "left out, as this run's network makes no masks half way (model.dual_path.half_hop)"
        say(f"--init {source}: {_list(unused, what)}")
    if new:
        assert isinstance(model.network, DualPathNetwork)
        for prefix, last in model.network.grown().items():
            if f"network.{prefix}" in new:
                last.clear()
        missing = [name for name in model.state_dict() if name.startswith(tuple(new))]
        say(f"--init {source}: {_list(missing, 'not there, parts that add nothing at first')}")
    return {**facts, "sha256": checksum(path)}


def _find(source: str, model: SeparationModel) -> tuple[Path, dict[str, Any]]:
    """File of the weights, and name and licence of what they are of."""
    path = user_path(source)
    if path.suffix == ".safetensors" and path.is_file():
        folder = path.parent
        if path.name != WEIGHTS or not (folder / CONFIG).is_file():
            return path, {"name": path.stem, "licence": None}
    else:
        folder = catalogue.resolve(source)
    network, wanted = configuration(folder).model.network, model.config.network
    if network != wanted:
        raise UsageError(
            f"--init {source}: its network is {network}, this run's is {wanted}: choose another "
            f"model, or set model.network to '{network}' and the rest of [model] to its shape"
        )
    known = metrics(folder)
    full = folder.resolve()
    facts = {
        # A run's own folder says more than the name that all published ones have.
        "name": full.parent.name if full.name == OF_RUN else full.name,
        "licence": known.get("licence"),
    }
    return folder / WEIGHTS, facts | ({"parent": known["parent"]} if "parent" in known else {})


def _grown(model: SeparationModel, weights: dict[str, Tensor]) -> set[str]:
    """Prefixes of the model's parts that may be missing and are, each complete."""
    if not isinstance(model.network, DualPathNetwork):
        return set()
    names = list(model.state_dict())
    parts: dict[int, set[str]] = {}  # those with one last map go together
    for prefix, last in model.network.grown().items():
        parts.setdefault(id(last), set()).add(f"network.{prefix}")
    new: set[str] = set()
    for prefixes in parts.values():
        own = [name for name in names if name.startswith(tuple(prefixes))]
        if not any(name in weights for name in own):
            new |= prefixes
    return new


def _other_head(model: SeparationModel, weights: dict[str, Tensor]) -> tuple[str, ...]:
    """Prefixes of a dual-path network's head where only their sources differ; none else."""
    if not isinstance(model.network, DualPathNetwork):
        return ()
    bias, own = weights.get("network.head_bias"), model.network.head_bias
    if bias is None or bias.shape == own.shape or bias.numel() % (2 * model.network.group):
        return ()
    # Masks half way, and what corrects the sources, are maps for each of them, too.
    more = (name for name in ("correction.", "midway.") if name in model.network.grown())
    return ("network.head.", "network.head_bias", *(f"network.{name}" for name in more))


def _without_masks_half_way(model: SeparationModel, weights: dict[str, Tensor]) -> list[str]:
    """Names of the weights that make masks half way, where a dual-path network has no such masks.

    The masks of its own frames do not depend on them.
    """
    if not isinstance(model.network, DualPathNetwork) or model.network.midway is not None:
        return []
    return [name for name in weights if name.startswith("network.midway.")]


def _compare(
    source: str, model: SeparationModel, weights: dict[str, Tensor], new: set[str]
) -> None:
    """Raise UsageError where tensors differ, other than by the `new` parts."""
    here = {name: tuple(tensor.shape) for name, tensor in model.state_dict().items()}
    there = {name: tuple(tensor.shape) for name, tensor in weights.items()}
    wrong = [
        name
        for name in here | there
        if here.get(name) != there.get(name) and not (new and name.startswith(tuple(new)))
    ]
    if wrong:
        name = wrong[0]
        more = f", and {len(wrong) - 1} more differ" if len(wrong) > 1 else ""
        raise UsageError(
            f"--init {source}: {name} is {there.get(name, 'missing')} there and "
            f"{here.get(name, 'missing')} in this run's network{more}: set [model] to the shape "
            f"of these weights, or choose others"
        )


def _list(names: list[str], what: str) -> str:
    tensors = "1 tensor" if len(names) == 1 else f"{len(names)} tensors"
    more = ", ..." if len(names) > _SHOWN else ""
    return f"{tensors} {what}: {', '.join(names[:_SHOWN])}{more}"
