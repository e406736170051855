"""`cplxsep doctor`: what is installed here, and whether separation works."""

import platform
import shlex
from collections.abc import Callable
from functools import partial
from importlib.metadata import PackageNotFoundError, version
from typing import Annotated, Any

import typer

from cplxsep.cli import common
from cplxsep.errors import DeviceError, ModelError

# Without these no file is separated; `verify` alone reads and writes none.
_NEEDED = ("torch", "soundfile", "soxr")


def doctor(
    json_output: Annotated[
        bool, typer.Option("--json", help="Print one JSON object instead.")
    ] = False,
) -> None:
    """Report versions, devices and models; exit 0 if separation works here.

    Exit 3 without any sound model, 4 if a library that separation needs is broken.
    """
    from cplxsep import report

    facts: dict[str, Any] = {
        "python": platform.python_version(),
        "platform": platform.platform(),
        **{name: _try(check) for name, check in _CHECKS.items()},
    }
    models = _models()
    broken = any(isinstance(facts[name], dict) for name in _NEEDED)
    works = not broken and any(model["ok"] for model in models)
    if json_output:
        common.stdout(report.to_json({**facts, "models": models, "works": works}))
    else:
        rows: list[list[object]] = [[name, _text(value)] for name, value in facts.items()]
        rows += [[f"model {m['name']}", m["remark"] or "ok"] for m in models]
        rows.append(["separation", "works" if works else "does not work"])
        common.stdout(report.table(["", ""], rows).lstrip("\n"))
    if not works:
        raise typer.Exit(DeviceError.exit_code if broken else ModelError.exit_code)


def _torch() -> str:
    import torch

    built = f"CUDA {torch.version.cuda}" if torch.version.cuda else "CPU build"
    return f"{torch.__version__} ({built})"


def _torchaudio() -> str:
    # Its import fails beside a torch of another CUDA version: that is what we want to know.
    import torchaudio

    return str(torchaudio.__version__)


def _soundfile() -> str:
    import soundfile

    return f"{soundfile.__version__} (libsndfile {soundfile.__libsndfile_version__})"


def _soxr() -> str:
    import soxr

    return f"{soxr.__version__} ({soxr.__libsoxr_version__})"


def _cpu() -> dict[str, Any]:
    import torch

    from cplxsep.nn.device import fast_bf16_cpu

    return {
        "capability": torch.backends.cpu.get_cpu_capability(),
        "bf16": fast_bf16_cpu(),
        "int8": _int8(),
        "threads": torch.get_num_threads(),
    }


def _int8() -> bool:
    """Whether the dual-path network runs in bytes."""
    import torch

    from cplxsep.nn.native.build import NoCompilerError
    from cplxsep.nn.residual_blocks import NativeBlocks

    try:
        return NativeBlocks(torch.int8).works
    except NoCompilerError:
        return False


def _gpus() -> list[dict[str, Any]]:
    import torch

    count = torch.cuda.device_count() if torch.cuda.is_available() else 0
    properties = [torch.cuda.get_device_properties(index) for index in range(count)]
    return [
        {
            "device": f"cuda:{index}",
            "name": found.name,
            "memory_gib": round(found.total_memory / 2**30, 1),
            "bf16": torch.cuda.is_bf16_supported(),
        }
        for index, found in enumerate(properties)
    ]


def _compiler() -> str:
    """The C++ compiler for the native code that makes training and separating fast."""
    from cplxsep.nn.native.build import find_compiler

    return shlex.join(find_compiler())


def _compiled_code() -> str:
    """The folder that keeps native code compiled for this machine; compiled now if it is not."""
    from cplxsep.nn.native import build
    from cplxsep.nn.residual_blocks import NAME

    build.library(NAME)
    return str(build.cache_folder())


_CHECKS: dict[str, Callable[[], Any]] = {
    "cplxsep": lambda: version("cplxsep"),
    "torch": _torch,
    "torchaudio": _torchaudio,
    "soundfile": _soundfile,
    "soxr": _soxr,
    "fast-bss-eval": lambda: version("fast-bss-eval"),
    "cpu": _cpu,
    "gpus": _gpus,
    "c++ compiler": _compiler,
    "compiled code": _compiled_code,
}


def _try(check: Callable[[], Any]) -> Any:
    """What a check finds, or {"error": one line}."""
    try:
        return check()
    except PackageNotFoundError as error:
        return {"error": f"{error.name} is not installed"}
    except Exception as error:  # a broken library may raise anything when imported
        line = " ".join(str(error).split()) or type(error).__name__
        return {"error": line[:200]}


def _models() -> list[dict[str, Any]]:
    """Whether each shipped model loads and separates."""
    from cplxsep.model_folder import catalogue

    results = []
    for name in catalogue.names():
        remark = _try(partial(common.verified, name))
        failed = isinstance(remark, dict)
        results.append(
            {"name": name, "ok": not failed, "remark": remark["error"] if failed else remark}
        )
    if not results:
        common.fail(ModelError(f"there are no models in {catalogue.root()}"))
    return results


def _text(value: Any) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{key} {_text(item)}" for key, item in value.items())
    if isinstance(value, list):
        return "; ".join(map(_text, value)) or "none"
    if isinstance(value, bool):
        return "yes" if value else "no"
    return str(value)
