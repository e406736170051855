"""The tangent kernels' benchmark: against other ways to the same figures."""

import pytest
import tangent_kernel as bench
import torch


def test_kernel_is_what_a_small_step_does_to_the_outputs():
    """A step along the gradient of one output moves all by the kernel's column."""
    torch.manual_seed(0)
    inputs, _ = bench.patches(3)
    model = bench.network(3, "modrelu")
    gram = bench.kernel(model, inputs)
    torch.testing.assert_close(gram, gram.T)

    def outputs():
        return model(inputs)[:, :, bench.PATCH // 2, bench.PATCH // 2].flatten()

    before = outputs()
    grads = torch.autograd.grad(before[1], list(model.parameters()))
    with torch.no_grad():
        for parameter, grad in zip(model.parameters(), grads, strict=True):
            parameter += 1e-6 * grad
        moved = (outputs() - before) / 1e-6
    torch.testing.assert_close(moved, gram[:, 1], rtol=1e-3, atol=1e-3 * float(gram.max()))


def test_alignment_is_one_for_scaled_kernels_and_small_for_unrelated_ones():
    torch.manual_seed(0)
    a, b = (torch.randn(60, 300).double() for _ in range(2))
    assert bench.alignment(a @ a.T, 3 * a @ a.T) == pytest.approx(1)
    assert bench.alignment(a @ a.T, 2 + a @ a.T) == pytest.approx(1)
    low, other = a[:, :1], b[:, :1]
    assert bench.alignment(low @ low.T, other @ other.T) < 0.2


def test_twins_have_about_as_many_parameters():
    for width in (4, 16):
        ours = bench.size(bench.network(width, "crelu"))
        theirs = bench.size(bench.network(bench.twin_width(width, "crelu"), None))
        assert theirs == pytest.approx(ours, rel=0.15)


def test_patches_are_of_the_mixture_and_targets_of_their_centres(monkeypatch):
    """With the first talker alone as the mixture, the target is the patch's own centre."""
    import soundfile

    read = soundfile.read
    silent = {"two_talkers_s2.wav": 0.0}
    monkeypatch.setattr(
        bench.soundfile,
        "read",
        lambda path: (read(path)[0] * silent.get(path.name, 1.0), 8000),
    )
    inputs, targets = bench.patches(10)
    assert inputs.shape == (10, 2, bench.PATCH, bench.PATCH)
    half = bench.PATCH // 2
    torch.testing.assert_close(inputs[:, :, half, half], targets)
    assert inputs.square().mean(dim=(1, 2, 3)).allclose(torch.ones(()).double())


def test_a_table_and_a_verdict_come_out():
    inputs, targets = bench.patches(6)
    results = [bench.compare(name, 2, inputs, targets, 2) for name in ("crelu", "modrelu")]
    for result in results:
        assert -1 <= result.complex_real <= 1
        assert -1 <= result.same_prediction <= 1
    assert len(bench.table(results).splitlines()) == 4
    assert bench.verdict(results).count("at width 2") == 2


@pytest.mark.parametrize(
    ("option", "value", "says"),
    [("--starts", "1", "must be at least 2"), ("--activations", "relu", "no activation relu")],
)
def test_what_gives_no_figures_is_refused(monkeypatch, capsys, option, value, says):
    """Regression: one start gave figures that are no numbers, and a verdict from them."""
    monkeypatch.setattr("sys.argv", ["tangent_kernel.py", option, value])
    with pytest.raises(SystemExit) as end:
        bench.main()
    assert end.value.code == 2
    assert says in capsys.readouterr().err
