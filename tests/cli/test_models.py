import json

import pytest
from standins import TWO_RATES, checkpoint, tiny_model

from cplxsep.errors import DeviceError
from cplxsep.model_folder import catalogue, defaults


@pytest.fixture
def models(tmp_path, monkeypatch):
    """A catalogue of two models."""
    facts = {"parameters": 1234, "licence": "CC BY 4.0", "test": {"si_sdr_i": {"mean": 7.5}}}
    tiny_model(tmp_path / "one", **facts)
    tiny_model(tmp_path / "two")
    (tmp_path / "no-model").mkdir()
    monkeypatch.setattr(catalogue, "root", lambda: tmp_path)
    return tmp_path


@pytest.mark.usefixtures("models")
def test_list(command):
    done = command("models", "list")
    assert done.code == 0
    header, one, two = done.out.splitlines()
    assert header.startswith("name")
    assert one.split()[:6] == ["one", "separation", "2", "8000", "1234", "7.50"]
    assert two.split()[-1] == "-"
    found = json.loads(command("models", "list", "--json").out)
    assert [entry["name"] for entry in found["models"]] == ["one", "two"]
    assert found["models"][0]["si_sdr_i"] == 7.5


def test_the_rates_and_the_window_are_told(models, command):
    checkpoint(models / "rates", TWO_RATES)
    header, _, rates, _ = command("models", "list").out.splitlines()
    assert "rates Hz" in header
    assert "  8000, 16000  " in rates
    shown = command("models", "info", "rates").out
    assert "# Runs at 8000, 16000 Hz; window 32 ms, hop 16 ms\n" in shown
    found = json.loads(command("models", "info", "rates", "--json").out)
    assert (found["sample_rate"], found["rates"]) == (8000, [8000, 16000])
    assert (found["window"], found["hop"]) == (0.032, 0.016)
    assert json.loads(command("models", "info", "one", "--json").out)["rates"] == [8000]


def test_info(models, command):
    done = command("models", "info", "one")
    assert "# A tiny model" in done.out
    assert "start_maps = 4" in done.out
    found = json.loads(command("models", "info", str(models / "one"), "--json").out)
    assert found["config"]["model"]["unet"]["start_maps"] == 4
    assert found["metrics"]["licence"] == "CC BY 4.0"


@pytest.mark.usefixtures("models")
def test_unknown_names_tell_the_known_ones(command):
    done = command("models", "info", "on")
    assert done.code == 3
    assert "did you mean 'one'" in done.err
    assert "shipped: one, two" in done.err
    assert len(done.err.splitlines()) == 1


def test_verify(models, command):
    done = command("models", "verify")
    assert (done.code, done.out.splitlines()) == (0, ["one: ok", "two: ok"])
    weights = models / "two/model.safetensors"
    content = bytearray(weights.read_bytes())
    content[-5] ^= 1
    weights.write_bytes(content)
    done = command("models", "verify")
    assert done.code == 3
    assert done.out.splitlines() == ["one: ok"]
    assert "two" in done.err
    assert len(done.err.splitlines()) == 1
    found = json.loads(command("models", "verify", "two", "--json").out)
    assert found["models"][0]["ok"] is False
    assert command("models", "verify", "one").code == 0


def test_verify_says_what_it_could_not_check(models, command):
    (models / "one/metrics.json").unlink()
    assert "no sha256" in command("models", "verify", "one").out
    (models / "one/metrics.json").write_text("{")
    assert command("models", "verify", "one").code == 3


@pytest.mark.usefixtures("models")
def test_verify_goes_on_where_memory_does_not_suffice(command, monkeypatch):
    def check(folder):
        if folder.name == "one":
            raise DeviceError("out of memory")

    monkeypatch.setattr("cplxsep.engine.check.check", check)
    done = command("models", "verify", "--json")
    assert (done.code, done.err) == (4, "error: out of memory\n")
    assert [entry["ok"] for entry in json.loads(done.out)["models"]] == [False, True]


def test_numbers_that_json_does_not_have(models, command):
    (models / "one/metrics.json").write_text('{"test": {"si_sdr_i": {"mean": NaN}}}')
    for arguments in (("info", "one"), ("list",)):
        assert command("models", *arguments).code == 0
        done = command("models", *arguments, "--json")
        assert (done.code, done.out) == (3, "")
        assert "metrics.json holds NaN or infinity" in done.err
        assert len(done.err.splitlines()) == 1


def test_empty_catalogue(tmp_path, monkeypatch, command):
    monkeypatch.setattr(catalogue, "root", lambda: tmp_path)
    assert command("models", "list").code == 0
    assert json.loads(command("models", "list", "--json").out)["models"] == []
    assert command("models", "verify").code == 3


def test_a_shipped_name_comes_before_a_folder_of_that_name(models, tmp_path, monkeypatch):
    elsewhere = tmp_path / "elsewhere"
    (elsewhere / "one").mkdir(parents=True)
    monkeypatch.chdir(elsewhere)
    assert catalogue.resolve("one") == models / "one"
    assert catalogue.resolve("./one").resolve() == elsewhere / "one"


@pytest.fixture
def renamed(models, monkeypatch):
    """The catalogue, where `two` is what once was `former`."""
    monkeypatch.setattr(catalogue, "ALIASES", {"former": "two", "later": "not-there-yet"})
    return models


def test_an_alias_is_the_model_that_took_its_place(renamed, command):
    assert catalogue.resolve("former") == renamed / "two"
    assert catalogue.names() == ["one", "two"]
    assert json.loads(command("models", "info", "former", "--json").out)["name"] == "two"
    done = command("train", "--config", "former", "--show")
    assert (done.code, done.out) == (0, command("train", "--config", "two", "--show").out)
    tiny_model(renamed / "former")  # left behind by an earlier version
    assert catalogue.resolve("former") == renamed / "two"
    assert catalogue.names() == ["one", "two"]


def test_an_alias_of_what_is_not_there_means_nothing(renamed, command):
    assert command("models", "info", "later").code == 3
    tiny_model(renamed / "later")
    assert catalogue.resolve("later") == renamed / "later"
    assert catalogue.names() == ["later", "one", "two"]


def test_models_that_commands_take_by_default_are_shipped():
    assert {defaults.DEFAULT_MODEL, defaults.DEFAULT_ENHANCER} <= set(catalogue.names())
