"""Starting from a trained model's weights: what is taken, what may be new, what is refused."""

import json
import re

import pytest
import torch
from safetensors.torch import load_file, save_file

from cplxsep.config import Config, read_config
from cplxsep.errors import ModelError, UsageError
from cplxsep.model_folder import publish
from cplxsep.model_folder.contents import checksum
from cplxsep.networks.model import SeparationModel
from cplxsep.training import checkpoint, curves, init, run
from cplxsep.training.progress import Progress

TINY = {"outer": 8, "channels": (16,), "blocks": (2,), "states": 4}
DUAL = """
[model]
network = "dual-path"
level = "network"
dual_path = {{ outer = 8, channels = [16], blocks = [1], states = 4 }}
[data]
speech = "{speech}"
train_split = "tr"
valid_split = "cv"
seconds = 0.25
valid_seconds = 0.25
valid_mixtures = 4
[optim]
warmup_steps = 2
ema = 0.9
[train]
steps = 4
batch = 2
loss = "snr"
precision = "fp32"
compile = false
valid_every = 2
"""


def of_shape(**changes):
    return Config(model={"network": "dual-path", "dual_path": {**TINY, **changes}})


def published(folder, config, seed=1, **train):
    """Folder of an untrained model, as a run leaves it."""
    torch.manual_seed(seed)
    model = SeparationModel(config.model)
    config = config.model_copy(update={"train": config.train.model_copy(update=train)})
    publish.publish(folder, model, config, Progress().facts())
    return model.eval()


def started(source, config):
    """A model that starts from a source, what is known of that, and what was said."""
    torch.manual_seed(0)
    model, said = SeparationModel(config.model), []
    facts = init.start(str(source), model, said.append)
    return model.eval(), facts, said


def sound():
    """24 frames: what further levels add at the end of other numbers changes the whole."""
    torch.manual_seed(3)
    return torch.randn(1, 23 * 128)


def test_the_model_gives_what_its_source_gives(tmp_path):
    """From the folder, from its file, and from a file that lies alone."""
    folder = tmp_path / "parent"
    source = published(folder, of_shape())
    alone = tmp_path / "start.safetensors"
    alone.write_bytes((folder / "model.safetensors").read_bytes())
    names = {folder: "parent", folder / "model.safetensors": "parent", alone: "start"}
    for path, name in names.items():
        model, facts, said = started(path, of_shape())
        torch.testing.assert_close(model(sound()), source(sound()), rtol=0, atol=0)
        assert facts == {"name": name, "sha256": checksum(alone), "licence": None}
        assert len(said) == 1
        assert f"--init {path}: {len(source.state_dict())} tensors taken: network." in said[0]


@pytest.mark.parametrize(
    ("grown", "first"),
    [
        ({"heads": 2}, "tensors not there, parts that add nothing at first: network.level."),
        (
            {"correction": True},
            "tensor not there, parts that add nothing at first: network.correction.weight",
        ),
        (
            {"channels": (16, 8), "blocks": (2, 1)},
            "tensors not there, parts that add nothing at first: network.level.",
        ),
        (
            {"channels": (16, 8, 4), "blocks": (2, 1, 1), "heads": 2},
            "tensors not there, parts that add nothing at first: network.level.",
        ),
    ],
    ids=["attention", "a correction", "a level", "levels with attention"],
)
def test_a_grown_network_starts_as_what_it_grew_from(tmp_path, grown, first):
    source = published(tmp_path / "parent", of_shape())
    model, _, said = started(tmp_path / "parent", of_shape(**grown))
    torch.testing.assert_close(model(sound()), source(sound()), rtol=0, atol=1e-6)
    new = len(model.state_dict()) - len(source.state_dict())
    assert f"{new} {first}" in said[1]
    # It can leave that start: the last maps of the new parts have gradients.
    model(sound()).square().mean().backward()
    for last in model.network.grown().values():
        if any(weight.grad is not None and weight.grad.any() for weight in last.parameters()):
            return
    pytest.fail("no new part learns")


def test_masks_half_way_start_as_means_of_what_it_grew_from(tmp_path):
    source = published(tmp_path / "parent", of_shape())
    model, _, said = started(tmp_path / "parent", of_shape(half_hop=True))
    assert "1 tensor not there, parts that add nothing at first: network.midway.weight" in said[1]
    assert not model.network.midway.weight.any()
    fine, plain = (one.estimate(sound()).as_spectra() for one in (model, source))
    torch.testing.assert_close(fine[..., ::2], plain, rtol=0, atol=1e-6)


def test_masks_half_way_are_left_out_of_a_network_that_makes_none(tmp_path):
    source = published(tmp_path / "parent", of_shape(half_hop=True))
    model, _, said = started(tmp_path / "parent", of_shape())
    assert "1 tensor left out" in said[1]
    assert said[1].endswith("(model.dual_path.half_hop): network.midway.weight")
    for name, value in model.state_dict().items():
        assert torch.equal(value, source.state_dict()[name]), name
    plain, fine = (one.estimate(sound()).as_spectra() for one in (model, source))
    torch.testing.assert_close(plain, fine[..., ::2], rtol=0, atol=1e-6)


def test_what_the_source_has_of_a_part_is_kept(tmp_path):
    """A level that was trained keeps its last map when attention is added to it."""
    shape = {"channels": (16, 8), "blocks": (2, 1)}
    source = published(tmp_path / "parent", of_shape(**shape))
    model, _, _ = started(tmp_path / "parent", of_shape(**shape, heads=2))
    assert torch.equal(model.network.level.up.weight, source.network.level.up.weight)
    torch.testing.assert_close(model(sound()), source(sound()), rtol=0, atol=1e-6)


def test_weights_in_half_precision_become_float32(tmp_path):
    published(tmp_path / "parent", of_shape(), weights="float16")
    model, _, _ = started(tmp_path / "parent", of_shape())
    stored = load_file(tmp_path / "parent" / "model.safetensors")
    for name, value in model.state_dict().items():
        assert value.dtype == torch.float32
        assert torch.equal(value, stored[name].float())


def test_options_that_change_no_shape_are_the_runs_own(tmp_path):
    source = of_shape()
    other = source.model.model_copy(update={"level": "network", "rates": (8000, 16000)})
    published(tmp_path / "parent", source)
    model, _, _ = started(tmp_path / "parent", Config(model=other.model_dump()))
    assert model.rates == (8000, 16000)


@pytest.mark.parametrize("options", [{}, {"correction": True}, {"half_hop": True}])
def test_another_number_of_sources_leaves_the_head_alone(tmp_path, options):
    """A trunk that separates talkers is a start for one that enhances."""
    two = of_shape(**options)
    source = published(tmp_path / "parent", two)
    one = Config(model={**two.model.model_dump(), "sources": 1})
    torch.manual_seed(0)
    fresh = SeparationModel(one.model).state_dict()
    model, _, said = started(tmp_path / "parent", one)
    for name, value in model.state_dict().items():
        is_head = name.split(".")[1] in ("head", "head_bias", "correction", "midway")
        assert torch.equal(value, (fresh if is_head else source.state_dict())[name]), name
    assert said[-1].endswith("of another number of sources, so the head begins anew")
    assert model(sound()).shape == (1, 1, 23 * 128)


REFUSED = {
    "another width": ({}, {"outer": 16}, r"network.\S+ is \(\d+.*\) there and \(\d+.*\) in this"),
    "another head": ({"heads": 2}, {}, r"attention.\S+ is \(.*\) there and missing in this"),
    "more blocks": (
        {},
        {"blocks": (3,)},
        r"blocks.2.\S+ is missing there and \(.*, and \d+ more differ",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_another_shape_is_one_line(tmp_path, case):
    theirs, ours, message = REFUSED[case]
    published(tmp_path / "parent", of_shape(**theirs))
    with pytest.raises(UsageError, match=message) as caught:
        started(tmp_path / "parent", of_shape(**ours))
    assert str(caught.value).endswith("to the shape of these weights, or choose others")
    assert "\n" not in str(caught.value)


def test_half_of_a_new_part_is_refused(tmp_path):
    """It is no network that this one grew from."""
    grown = of_shape(heads=2)
    published(tmp_path / "parent", grown)
    path = tmp_path / "parent" / "model.safetensors"
    weights = {k: v for k, v in load_file(path).items() if not k.endswith("attention.key.weight")}
    save_file(weights, path)
    with pytest.raises(UsageError, match=r"attention.key.weight is missing there"):
        started(tmp_path / "parent", grown)


def test_another_kind_of_network_is_one_line(tmp_path):
    published(tmp_path / "parent", Config(model={"start_maps": 4, "levels": 1}))
    with pytest.raises(UsageError, match="its network is complex, this run's is dual-path"):
        started(tmp_path / "parent", of_shape())


def test_a_missing_or_corrupt_source_is_one_line(tmp_path):
    with pytest.raises(ModelError, match="unknown model 'nothing-here'"):
        started("nothing-here", of_shape())
    bad = tmp_path / "bad.safetensors"
    bad.write_bytes(b"no weights")
    with pytest.raises(ModelError, match=r"cannot read .*bad.safetensors"):
        started(bad, of_shape())


def test_licence_and_parents_of_the_source_are_passed_on(tmp_path):
    folder = tmp_path / "run" / "model"
    published(folder, of_shape())
    known = json.loads((folder / "metrics.json").read_text())
    older = {"name": "older", "sha256": "00", "licence": "CC-BY-4.0"}
    (folder / "metrics.json").write_text(json.dumps({**known, "licence": "MIT", "parent": older}))
    _, facts, _ = started(folder, of_shape())
    assert facts == {"name": "run", "sha256": known["sha256"], "licence": "MIT", "parent": older}


@pytest.fixture
def dual_config(tmp_path, tiny_speech):
    path = tmp_path / "dual.toml"
    path.write_text(DUAL.format(speech=tiny_speech))
    return path


@pytest.fixture
def no_pictures(monkeypatch):
    monkeypatch.setattr(curves, "draw", lambda *_: None)


def train(config, folder, **options):
    said = []
    run.train(config, run.Options(folder, device="cpu", **options), None, said.append)
    return said


@pytest.mark.usefixtures("no_pictures")
def test_a_run_starts_where_its_parent_is_and_names_it_also_after_a_resume(dual_config, tmp_path):
    """In its validation before the first step, in metrics.json and on its card."""
    config = read_config(dual_config)
    train(config, tmp_path / "first")
    parent = tmp_path / "first" / "model"
    metrics = json.loads((parent / "metrics.json").read_text())
    folder = tmp_path / "second"
    grown = read_config(dual_config, ["model.dual_path.heads=2"])
    options = {"init": str(parent)}
    said = train(grown, folder, **options, max_steps=1)
    assert [line.startswith(f"--init {parent}: ") for line in said[:2]] == [True, True]
    log = [json.loads(line) for line in (folder / "log.jsonl").read_text().splitlines()]
    assert log[0]["step"] == 0
    assert log[0]["valid_si_sdr_i"] == pytest.approx(metrics["valid"]["si_sdr_i"], abs=2e-3)
    assert checkpoint.load(folder / checkpoint.NAME)["progress"]["history"][0][0] == 0
    said = train(grown, folder, **options)
    assert f"--init {parent} has no effect: the run goes on from its checkpoint" in said
    assert "resumed at step 1" in said
    state = checkpoint.load(folder / checkpoint.NAME)
    assert state["parent"]["name"] == "first"
    # A removed model is published again, by a run that was told nothing of a parent.
    for path in (folder / "model").iterdir():
        path.unlink()
    (folder / "model").rmdir()
    train(grown, folder)
    found = json.loads((folder / "model" / "metrics.json").read_text())["parent"]
    assert found == {"name": "first", "sha256": metrics["sha256"], "licence": None}
    card = (folder / "model" / "README.md").read_text()
    assert f"from the weights of `first` (SHA-256 `{metrics['sha256']}`, licence: not" in card
    assert str(tmp_path) not in card


@pytest.mark.usefixtures("no_pictures")
def test_a_run_in_pieces_from_a_parent_is_that_in_one(dual_config, tmp_path):
    config = read_config(dual_config)
    published(tmp_path / "parent", config)
    options = {"init": str(tmp_path / "parent")}
    train(config, tmp_path / "whole", **options)
    whole = checkpoint.load(tmp_path / "whole" / checkpoint.NAME)
    train(config, tmp_path / "parts", **options, max_steps=3)
    train(config, tmp_path / "parts", **options)
    parts = checkpoint.load(tmp_path / "parts" / checkpoint.NAME)
    for part in ("model", "average"):
        assert all(torch.equal(value, parts[part][name]) for name, value in whole[part].items())
    assert [step for step, _ in whole["progress"]["history"]] == [0, 2, 4]


def test_a_checkpoint_from_before_parents_were_kept_is_loaded(tmp_path):
    checkpoint.save(tmp_path, {key: {} for key in checkpoint.KEYS} | {"step": 3})
    assert checkpoint.load(tmp_path / checkpoint.NAME)["step"] == 3
    checkpoint.save(tmp_path, {key: {} for key in checkpoint.KEYS} | {"step": 4, "other": 1})
    with pytest.raises(UsageError, match="not of a training run"):
        checkpoint.load(tmp_path / checkpoint.NAME)


def test_the_command(run_cli, dual_config, tmp_path):
    """Step 0 has the parent's score; another shape is one line and exit 2."""
    parent = tmp_path / "parent"
    published(parent, read_config(dual_config))
    arguments = ("train", "--config", dual_config, "--device", "cpu", "--init", parent)
    folder = tmp_path / "run"
    done = run_cli(*arguments, "--run-dir", folder, "--max-steps", 1)
    assert done.returncode == 0, done.stderr
    lines = done.stderr.splitlines()
    assert lines[0].startswith(f"--init {parent}: ")
    assert lines[1].startswith("step 0: valid SI-SDR improvement")
    wider = read_config(dual_config, ["model.dual_path.outer=16"])
    options = run.Options(tmp_path / "wider", device="cpu", init=str(parent))
    why = rf"^--init {re.escape(str(parent))}: network\..*$"
    with pytest.raises(UsageError, match=why) as told:
        run.train(wider, options, None, print)
    assert told.value.exit_code == 2
    assert not options.folder.exists()
