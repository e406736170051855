"""Configuration: TOML in and out, overrides, one clear line for each mistake."""

import pytest

from cplxsep.config import Config, DataConfig, parse_config, read_config, to_toml, user_path
from cplxsep.errors import UsageError


def write(tmp_path, text):
    path = tmp_path / "run.toml"
    path.write_text(text)
    return path


def test_what_is_written_reads_back_the_same(tmp_path):
    config = read_config(write(tmp_path, "[data]\nspeech = 'a \"b\" \\\\ c'\nsnr = [-3, 2.5]\n"))
    assert read_config(write(tmp_path, to_toml(config))) == config


def test_control_characters_survive_a_round_trip(tmp_path):
    """Regression: what was written of a name with a line end was no TOML."""
    config = Config().model_copy(update={"data": DataConfig(speech='a\nb\x7f"c')})
    assert read_config(write(tmp_path, to_toml(config))) == config


def test_a_byte_order_mark_and_windows_line_ends(tmp_path):
    """Regression: a file that an editor saved with a mark was no valid TOML."""
    path = tmp_path / "run.toml"
    path.write_bytes(b"\xef\xbb\xbf[train]\r\nsteps = 7\r\n")
    assert read_config(path).train.steps == 7


def test_recordings_of_a_noisy_table_of_two_talkers_can_be_named(tmp_path):
    """Regression: they were taken for the task to enhance one talker."""
    text = "[data]\nmixtures = 'libri2mix'\nspeech = 'speech'\n[noise]\nrecordings = 'wham'\n"
    assert read_config(write(tmp_path, text)).model.sources == 2


def test_no_speed_change_survives_a_round_trip(tmp_path):
    config = read_config(write(tmp_path, "[data]\nspeed = [1.0, 1.0]\n"))
    assert read_config(write(tmp_path, to_toml(config))).data.speed == (1.0, 1.0)


OLD = """[model]
start_maps = 16
transformations = 3
head_init = "rayleigh"
tasnet_filters = 64
"""


def test_keys_of_older_versions_are_read_in_their_sections(tmp_path):
    (tmp_path / "old.toml").write_text(OLD)
    model = read_config(tmp_path / "old.toml").model
    assert (model.unet.start_maps, model.unet.init) == (16, "rayleigh")
    assert (model.extractor.transformations, model.extractor.init) == (3, "rayleigh")
    assert model.tasnet.filters == 64
    (tmp_path / "new.toml").write_text(to_toml(Config(model=model)))
    assert read_config(tmp_path / "new.toml").model == model


@pytest.mark.parametrize("key", ["start_maps", "unet.start_maps"])
def test_a_change_holds_for_files_of_older_and_of_newer_versions(tmp_path, key):
    (tmp_path / "old.toml").write_text(OLD)
    (tmp_path / "new.toml").write_text(to_toml(read_config(tmp_path / "old.toml")))
    for name in ("old.toml", "new.toml"):
        assert read_config(tmp_path / name, [f"model.{key}=8"]).model.unet.start_maps == 8


def test_overrides_are_toml_values_or_bare_words(tmp_path):
    path = write(tmp_path, "[model]\nstart_maps = 8\n")
    config = read_config(
        path,
        ["model.start_maps=16", "train.loss=csim", "data.snr=[1,2]", "model.drop_nyquist=true"],
    )
    assert (config.model.unet.start_maps, config.train.loss) == (16, "csim")
    assert config.data.snr == (1, 2)
    assert config.model.unet.drop_nyquist


@pytest.mark.parametrize(
    ("text", "changes", "message"),
    [
        (
            "[model]\nstart_map = 8",
            [],
            r"unknown key 'model.start_map'; did you mean 'model.unet.start_maps'",
        ),
        ("[model]\nlevels = 2\n[model.unet]\nlevels = 3", [], "levels is unet.levels now: leave"),
        ("", ["model.levels=x"], r"--set model.levels=x: 'model.unet.levels': must be a whole"),
        ("[modle]\nx = 8", [], r"unknown key 'modle'; did you mean 'model'"),
        ("[train]\nloss = 'mse'", [], r"'train.loss': .*si-sdr.*is 'mse'"),
        ("[train]\nbatch = 0", [], r"'train.batch': .*greater than or equal to 1.*is 0"),
        ("[data]\nsnr = [5, 0]", [], r"snr must be \[low, high\]"),
        ("[model]\nhop = 200", [], "hop must be at most half the window"),
        ("[model]\nnetwork='real'\ntransformations=2", [], "real network has no extractor"),
        ("[model]\nnetwork='conv-tasnet'\ntransformations=2", [], "conv-tasnet network has no ex"),
        ("[model]\nnetwork='real'\nactivation='modrelu'", [], "modrelu is of the complex network"),
        ("[model]\nmixture_candidate=false", [], "transformations must be at least 1"),
        ("[data]\nseconds=0", [], "for prepared mixtures only"),
        ("[train]\nloss = 'sisdr'", [], r"is 'sisdr'\); did you mean 'si-sdr'\?"),
        ("[train]\nbatch = 'eight'", [], "'train.batch': must be a whole number .is 'eight'"),
        ("[train]\nbatch = 2.5", [], "'train.batch': must be a whole number .is 2.5"),
        # Regressions: true was taken for 1.
        (
            "",
            ["train.steps=true"],
            r"--set train.steps=true: 'train.steps': must be a number .is T",
        ),
        ("[data]\nsnr = [false, 5]", [], "'data.snr': must be a number"),
        ("[data]\nspeech = true", [], "'data.speech': must be text in quotes"),
        ("[train]\ncompile = 'maybe'", [], "'train.compile': must be true or false"),
        ("[data]\nspeech = 3", [], "'data.speech': must be text in quotes .is 3"),
        ("[data]\nsnr = 3", [], "'data.snr': must be a list .is 3"),
        ("[data]\nsnr = [3]", [], "'data.snr.1': a value is missing there"),
        ("train = 3", [], r"'train' is a section: write its keys under \[train\]"),
        ("lr = 3", [], "unknown key 'lr'; did you mean 'optim.lr'"),
        ("[train]\nbatch = 0\nsteps = 0", [], "is 0.; 1 more after it"),
        ("[train]\nbatch = 8\naccumulate = 3", [], "'train': batch must be a multiple of accu"),
        ("[train]\nloss = 'sa-sdr'\nover_sources = 'sum'", [], "set over_sources to 'mean'"),
        ("[optim]\noptimizer = 'prodigy'", [], "'optim': optimizer prodigy .* set lr to 1.0"),
        ("[optim]\noptimizer = 'schedulefree'", [], "goes with schedule = 'constant'"),
        (
            "[optim]\noptimizer = 'schedulefree'\nschedule = 'constant'\nema = 0.9",
            [],
            "set ema to 0",
        ),
        ("[optim]\nschedule = 'paper'", [], "for optimizer sgd only"),
        ("[optim]\ndecay_share = 0.2", [], "'optim': .* go with schedule = 'trapezoid'"),
        (
            "[optim]\nschedule = 'trapezoid'\nwarmup_share = 0.7\ndecay_share = 0.4",
            [],
            "together exceed 1",
        ),
        ("[train]\nminutes = 3", [], "schedule cosine goes by steps, train.minutes by the clock"),
        ("[data]\npauses = 1.5", [], "'data.pauses': .*less than or equal to 1"),
        ("[optim]\nbetas = [0.9, 1.0]", [], r"'optim.betas.1': .*less than 1"),
        ("[train]\nseed = -3", [], "'train.seed'"),
        ("[data]\nspeed = [0, 1]", [], "'data.speed.0'"),
        ("[data]\ngain = [-inf, 0]", [], "'data.gain.0'"),
        ("[data]\nsnr = [nan, nan]", [], "'data.snr.0'"),
        ("[data]\nseconds = inf", [], "'data.seconds': .*finite"),
        ("[data]\nvalid_seconds = 1e-9", [], r"data.valid_seconds is shorter than the .*, 0.032 s"),
        ("[data]\nmix = 'mix_both'", [], "'data': mix is a choice within mixtures"),
        ("[train]\nseed = 100000000000000000000", [], "'train.seed'"),
        ("[train]\ncsim_real = nan", [], "'train.csim_real'"),
        ("[noise]\nrecordings = 'x'", [], "loss si-sdr cannot .*: set noise.noise_only to 0, or"),
        ("[conversation]\nshare = 0.5", [], "loss si-sdr cannot .*: set conversation.share to 0,"),
        (
            "[model]\nsources = 1\n[conversation]\nshare = 0.5",
            [],
            "conversation.share is of talkers that are mixed here: set it to 0, or model.sources",
        ),
        ("[noise]\nhum = 0.1", [], "noise.hum is of talkers in noise, in rooms or in conversation"),
        (
            "[train]\nloss = 'snr'\n[data]\npauses = 0.1\n[conversation]\nshare = 0.5",
            [],
            "data.pauses is of talkers without noise, rooms or turns: set it to 0, and convers",
        ),
        (
            "[train]\nloss = 'sa-sdr'\n[noise]\nrecordings = 'x'",
            [],
            "sa-sdr needs somebody who talks: set noise.noise_only to 0",
        ),
        ("[conversation]\nturns = [4, 2]", [], r"turns must be \[low, high\]"),
        ("[noise]\nsnr = [4, 2]", [], r"'noise': snr must be \[low, high\]"),
        ("[data]\nrates = [16000]", [], "data.rates 16000 is none of the model's, 8000"),
        ("nonsense", [], "not valid TOML"),
        ("", ["model.start_maps"], "section.key=value"),
        ("", ["model.nothing=1"], "unknown key 'model.nothing'; known: "),
        ("[optim]\nclip = inf", [], r"optim.clip.*finite"),
        (
            *("data.mixtures = 'x'", ["data.train_split=tt,cv"]),
            "of mixtures, train_split and valid_split are one split each",
        ),
    ],
)
def test_mistakes_name_file_and_key(tmp_path, text, changes, message):
    with pytest.raises(UsageError, match=message) as caught:
        read_config(write(tmp_path, text), changes)
    assert "\n" not in str(caught.value)


def test_a_missing_file(tmp_path):
    with pytest.raises(UsageError, match="No such file"):
        read_config(tmp_path / "none.toml")


def test_an_unknown_home_folder():
    with pytest.raises(UsageError, match="~nobody-here/x: there is no such home folder"):
        user_path("~nobody-here/x")


def test_defaults_are_valid():
    assert Config().model.sources == 2


def test_pauses_go_with_losses_that_take_silence():
    pauses = {"data": {"pauses": 0.2}}
    with pytest.raises(UsageError, match=r"si-sdr cannot take .*data\.pauses to 0, or train\.loss"):
        parse_config(pauses | {"train": {"loss": "si-sdr"}}, "a.toml")
    for loss in ("snr", "floored-snr", "sa-sdr"):
        assert parse_config(pauses | {"train": {"loss": loss}}, "a.toml").data.pauses
