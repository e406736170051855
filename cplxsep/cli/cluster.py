"""The workers that commands use on a cluster."""

from collections.abc import Iterator
from concurrent.futures import Executor
from contextlib import contextmanager
from pathlib import Path

from cplxsep.errors import UsageError


@contextmanager
def workers_for_model(
    address: str, workers: int | None, device: str, shared: Path | None = None, at_once: int = 1
) -> Iterator[tuple[Executor, str]]:
    """Workers that each run a model, and the device that it runs on; ended with the block.

    Args:
        workers: as a user asks for; none may be.
        device: as a user names it.
        at_once: items of a worker with a GPU.
        shared: a file that workers will write; all must see its folder.

    Raises:
        UsageError, DeviceError: as for `Cluster`.
    """
    from cplxsep.cluster import FEW, Cluster

    _check(workers)
    if device.startswith("cuda:"):
        raise UsageError(f"--device {device} with --cluster: Ray chooses the GPUs, use cuda")
    gpus = {"auto": None, "cuda": True}.get(device, False)
    with (
        _seen(shared) as there,
        Cluster(address, cores=FEW, gpus=gpus, at_once=at_once, shared=there) as cluster,
    ):
        yield cluster, "cuda" if cluster.gpus else "cpu" if device == "auto" else device


@contextmanager
def workers_for(
    address: str | None, workers: int | None, shared: Path | None = None
) -> Iterator[int | Executor | None]:
    """Those of one core each, or the number of threads or processes that was asked for.

    UsageError: both were asked for.
    """
    if address is None:
        yield workers
        return
    _check(workers)
    from cplxsep.cluster import Cluster

    with _seen(shared) as there, Cluster(address, shared=there) as cluster:
        yield cluster


def _check(workers: int | None) -> None:
    if workers is not None:
        raise UsageError("--workers does not go with --cluster: Ray knows how many there are")


@contextmanager
def _seen(beside: Path | None) -> Iterator[Path | None]:
    """A file, for a while, in the folder of another that will be written. InputError."""
    from cplxsep.audio.atomic import make_folder, temporary

    if beside is None:
        yield None
        return
    make_folder(beside.parent)
    with temporary(beside) as path:
        yield path
