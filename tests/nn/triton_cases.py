"""What Triton makes beside what it is a form of: on a GPU, or in Triton's interpreter.

The interpreter must be chosen before Triton is imported: `python triton_cases.py CASE` with
TRITON_INTERPRET=1 runs a case on the CPU.
"""

import os
import subprocess
import sys

import torch

# Of the largest value, by what Triton and the statement may differ.
TOLERANCE = {torch.float32: 1e-5, torch.bfloat16: 2e-2}


def in_the_interpreter(case: str) -> None:
    """Run a case in a process of its own."""
    command = [sys.executable, __file__, case]
    env = {**os.environ, "TRITON_INTERPRET": "1"}
    run = subprocess.run(command, env=env, capture_output=True, text=True, timeout=300, check=False)
    assert run.returncode == 0, run.stderr


def recurrence(device: str, sizes: list[tuple[int, int, int, int]]) -> None:
    """Values and all gradients, for (B, F, T, K), along each axis."""
    from cplxsep.nn.recurrence.statement import loop
    from cplxsep.nn.recurrence.triton_form import TritonRecurrence

    torch.manual_seed(0)
    for *positions, states in sizes:
        for along in ("bands", "frames", "past frames"):
            for dtype in TOLERANCE:
                maps = torch.randn(*positions, 6 * states, device=device).to(dtype)
                given = (
                    maps.requires_grad_(),
                    torch.randn(6 * states, device=device, requires_grad=True),
                    torch.randn(2, states, device=device, requires_grad=True),
                )
                found, expected = (form(*given, along) for form in (TritonRecurrence.apply, loop))
                compare((found,), (expected,), given, dtype)


def norm(device: str, sizes: list[tuple[int, int, int, int]]) -> None:
    """Values and all gradients, for (B, F, T, C), with a gradient by either result or both."""
    from cplxsep.nn.position_norm.statement import statement
    from cplxsep.nn.position_norm.triton_form import TritonNorm

    torch.manual_seed(0)
    for shape in sizes:
        for dtype in TOLERANCE:
            given = (
                (3 * torch.randn(shape, device=device) + 1).to(dtype).requires_grad_(),
                torch.randn(shape[-1], device=device, requires_grad=True),
                torch.randn(shape[-1], device=device, requires_grad=True),
            )
            for used in (slice(0, 2), slice(1, 2), slice(0, 1)):
                found, expected = (form(*given)[used] for form in (TritonNorm.apply, statement))
                compare(found, expected, given, dtype)


def between(device: str, sizes: list[tuple[int, int, int, int]]) -> None:
    """All functions, for maps (B, H, W, 2C) and such as twice the size with other channels."""
    from cplxsep.nn.between_convolutions.statement import Between, NormWeights
    from cplxsep.nn.between_convolutions.triton_form import TritonBetween

    torch.manual_seed(0)
    for shape in sizes:
        batch, lines, columns, parts = shape
        for dtype in TOLERANCE:
            maps = (3 * torch.randn(shape, device=device) + 5).to(dtype)
            more = torch.randn(shape, device=device).to(dtype)
            large = torch.randn(batch, 2 * lines, 2 * columns, parts + 6, device=device).to(dtype)
            for layer in (False, True):
                results = []
                for form in (TritonBetween(), Between()):
                    torch.manual_seed(1)
                    norms = [
                        NormWeights(
                            torch.randn(3, channels, device=device),
                            torch.randn(2, channels, device=device),
                            layer,
                        )
                        for channels in (parts // 2, parts + 3)
                    ]
                    stats = form.statistics(maps)
                    both = (form.statistics(large), form.upsampled_statistics(maps))
                    found = [stats, *both, form.normalise(maps, stats, norms[0], 1, False)]
                    found.append(form.normalise(maps, stats, norms[0], 2, False))
                    found.append(form.normalise_joined(large, maps, both, norms[1], False))
                    broken = maps.index_fill(3, torch.tensor([0], device=device), torch.nan)
                    told = form.normalise(broken, form.statistics(broken), norms[0], 1, False)
                    assert told[..., 0].isnan().all()
                    total = maps.clone()
                    results.append([*found, form.add(total, more), total])
                for ours, theirs in zip(*results, strict=True):
                    assert ours.dtype == theirs.dtype
                    atol = TOLERANCE[dtype] * theirs.abs().max().item()
                    torch.testing.assert_close(ours, theirs, rtol=0, atol=atol)


def compare(found, expected, given, dtype) -> None:
    """Results, and the gradients of one random weighting of them, agree."""
    weights = [torch.randn_like(result) for result in found]
    results = []
    for outputs in (found, expected):
        gradients = torch.autograd.grad(outputs, given, weights, allow_unused=True)
        results.append([*outputs, *gradients])
    for ours, theirs in zip(*results, strict=True):
        if theirs is None:
            assert ours is None
            continue
        assert ours.dtype == theirs.dtype
        largest = theirs.detach().abs().max().item()
        torch.testing.assert_close(ours, theirs, rtol=0, atol=TOLERANCE[dtype] * largest)


if __name__ == "__main__":
    if sys.argv[1] == "recurrence":
        recurrence("cpu", [(1, 2, 7, 3), (1, 3, 2, 20), (1, 3, 1, 66)])
    elif sys.argv[1] == "between":
        from cplxsep.nn.between_convolutions import triton_form as between_form

        # So that there are several programs, and several tiles of one.
        between_form._VALUES, between_form._PROGRAMS, between_form._CHANNELS = 64, 3, 8
        between("cpu", [(2, 3, 6, 6), (1, 2, 2, 20), (1, 1, 1, 2)])
    else:
        from cplxsep.nn.position_norm import triton_form

        triton_form._PROGRAMS = 2  # so that a program has several tiles of few positions
        norm("cpu", [(1, 3, 5, 20), (2, 5, 11, 96), (1, 1, 2, 3)])
