"""Every option of a network learns, and comes back from its folder as it was."""

import pytest
import torch
from model_options import each

from cplxsep.config import Config, ModelConfig, to_toml
from cplxsep.losses import MIXTURE_AWARE, SPECTRAL, WAVEFORM
from cplxsep.model_folder.contents import CONFIG, WEIGHTS
from cplxsep.model_folder.load import load_model
from cplxsep.model_folder.publish import weights_bytes
from cplxsep.networks.model import Estimates, SeparationModel
from cplxsep.nn.stft import STFT
from cplxsep.training.objective import Objective

SMALL = {"unet": {"start_maps": 4, "levels": 1}}
TASNET = {
    "network": "conv-tasnet",
    "tasnet": {"filters": 16, "bottleneck": 8, "hidden": 16, "layers": 2, "stacks": 1},
}
EXTRACTOR = {"transformations": 2, "dropout": 0.3, "gain": 0.3}


def variants():
    """Each value of each option that is not its default, with what it needs to have an effect."""
    tasnet = {key: value for key, value in TASNET["tasnet"].items() if key != "stacks"}
    needed = {"unet": SMALL["unet"], "extractor": EXTRACTOR}
    for section, key, value, is_default in each():
        given = {}
        if is_default or key in ("level", "drop_nyquist") or section == "dual_path":
            continue
        if key == "network":
            given = {"network": value, **({"tasnet": tasnet} if value == "conv-tasnet" else {})}
        else:
            given = {section: {**needed[section], key: value}}
            given |= {"network": "real"} if key == "real_norm" else {}
        yield pytest.param(given, id=f"{key}-{value}")


def mixtures():
    torch.manual_seed(3)
    sources = torch.randn(2, 2, 1500)
    return sources.sum(1), sources


def value_of(model, autocast=None, **train):
    return Objective(Config(train=train).train)(model, *mixtures(), autocast)


@pytest.mark.parametrize("variant", list(variants()))
def test_it_learns_and_comes_back(variant, tmp_path):
    torch.manual_seed(0)
    config = Config(model={**SMALL, **variant})
    model = SeparationModel(config.model).train()
    before = {name: value.clone() for name, value in model.named_parameters()}
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3)
    values = []
    for step in range(4):
        torch.manual_seed(step // 4)  # the same dropout in every step
        loss = value_of(model)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        values.append(loss.item())
    assert values[-1] < values[0]
    same = [name for name, value in model.named_parameters() if torch.equal(value, before[name])]
    assert same == []
    (tmp_path / WEIGHTS).write_bytes(weights_bytes(model))
    (tmp_path / CONFIG).write_text(to_toml(config))
    mixture = mixtures()[0]
    torch.testing.assert_close(load_model(tmp_path)(mixture), model.eval()(mixture), rtol=0, atol=0)


@pytest.mark.parametrize("loss", [*SPECTRAL, *WAVEFORM, *MIXTURE_AWARE])
@pytest.mark.parametrize("magnitude", [0.0, 1.0])
@pytest.mark.parametrize("autocast", [None, torch.bfloat16])
def test_conv_tasnet_takes_every_loss(loss, magnitude, autocast):
    torch.manual_seed(0)
    model = SeparationModel(ModelConfig(**TASNET))
    value = value_of(model, autocast, loss=loss, magnitude=magnitude)
    value.backward()
    assert value.dtype == torch.float32
    assert all(p.grad is not None and p.grad.isfinite().all() for p in model.parameters())


@pytest.mark.parametrize(
    "variant",
    [
        *({"activation": name} for name in ("modrelu", "cardioid", "clip-modulus")),
        *({"down": name} for name in ("max", "average", "spectral")),
        {"norm": "batch"},
        {"front": "clip-modulus"},
        {"dropout_of": "mask", "combine": "learned", **EXTRACTOR},
    ],
    ids=lambda v: "-".join(map(str, v.values())),
)
def test_bfloat16_is_near_float32(variant):
    """As near as the jumps of the maximum allow; zReLU jumps at every axis, layer after layer."""
    torch.manual_seed(0)
    section = "extractor" if "combine" in variant else "unet"
    sizes = {"start_maps": 16, "levels": 1}
    options = {"unet": sizes, section: {**(sizes if section == "unet" else {}), **variant}}
    model = SeparationModel(ModelConfig(**options)).eval()
    mixture = mixtures()[0]
    exact = model.estimate(mixture).as_audio()
    with torch.autocast("cpu", torch.bfloat16):
        rough = model.estimate(mixture).as_audio()
    assert rough.dtype == torch.float32
    assert torch.cosine_similarity(rough.flatten(), exact.flatten(), dim=0) > 0.85


def test_losses_of_sources_are_averaged_or_summed():
    torch.manual_seed(0)
    model = SeparationModel(ModelConfig(**SMALL))
    mean, total = (
        Objective(Config(train={"loss": "csim", "over_sources": over}).train)(
            model, *mixtures(), None
        )
        for over in ("mean", "sum")
    )
    assert total == 2 * mean


def test_pit_of_the_batch_gives_a_higher_loss_where_mixtures_disagree():
    torch.manual_seed(0)
    model = SeparationModel(ModelConfig(**SMALL))
    mixture, sources = mixtures()
    # A network that finds the first mixture's talkers in order, and the second's in the other.
    given = sources.clone()
    given[1] = given[1].flip(0)
    found = model.estimate(mixture)
    found.audio, found.spectra = given, None
    model.estimate = lambda _: found
    losses = {
        per: Objective(Config(train={"loss": "l2-time", "pit": per}).train)(
            model, mixture, sources, None
        )
        for per in ("mixture", "batch")
    }
    assert losses["mixture"] < 0.5 * losses["batch"]


@pytest.mark.parametrize("form", ["audio", "spectra"])
@pytest.mark.parametrize("loss", [*SPECTRAL, *WAVEFORM, *MIXTURE_AWARE])
def test_what_a_network_makes_of_fillings_does_not_count(loss, form):
    """Regression: losses of complete mixtures were of the zeros after the shorter ones too."""
    mixture, sources = mixtures()
    mixture[1, 700:] = sources[1, :, 700:] = 0
    stft = STFT()
    given = sources + 0.3 * torch.randn_like(sources)
    noisy = stft.of_sources(given) if form == "spectra" else given
    quiet = noisy.clone()
    # Frames whose window begins behind the mixture's end, 700 samples of 1500.
    quiet[1, ..., 7 if form == "spectra" else 700 :] = 0
    objective = Objective(Config(train={"loss": loss}).train, filled=True)

    def value(estimate):
        model = SeparationModel(ModelConfig(**SMALL))
        model.estimate = lambda _: Estimates(stft, 1500, **{form: estimate.clone()})
        return objective(model, mixture, sources, None)

    torch.testing.assert_close(value(noisy), value(quiet))


def test_sa_sdr_and_the_floored_snr_are_of_the_best_order_and_know_level():
    """Through the objective, which brings every mixture to unit level first."""
    mixture, sources = mixtures()
    for loss in ("sa-sdr", "floored-snr"):
        objective = Objective(Config(train={"loss": loss}).train)

        def value(estimate, level=1.0, objective=objective):
            model = SeparationModel(ModelConfig(**SMALL))
            model.estimate = lambda _: Estimates(STFT(), 1500, audio=estimate)
            return objective(model, level * mixture, level * sources, None)

        unit = sources / mixture.square().mean(-1).sqrt()[:, None, None]
        near = unit + 0.1 * torch.randn_like(unit)
        torch.testing.assert_close(value(near), value(near.flip(1)))
        torch.testing.assert_close(value(near), value(near, 0.01), rtol=0, atol=1e-3)
        assert value(near) < value(0.5 * near) - 5
