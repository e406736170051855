"""The waveform baseline through the same commands, on prepared mixtures."""

import json

import pytest
import soundfile
from synthetic import babble

from cplxsep.cli import common
from cplxsep.cli.app import app

CONFIG = """
[model]
network = "conv-tasnet"
tasnet_filters = 32
tasnet_bottleneck = 16
tasnet_hidden = 32
tasnet_layers = 3
tasnet_stacks = 1
[data]
mixtures = "mixtures"
train_split = "tr"
valid_split = "cv"
seconds = {seconds}
valid_seconds = 0
valid_mixtures = 3
[train]
steps = 4
batch = 2
precision = "fp32"
compile = false
"""


@pytest.fixture(scope="module")
def workplace(tmp_path_factory):
    folder = tmp_path_factory.mktemp("tasnet")
    for split, count in (("tr", 4), ("cv", 3), ("tt", 2)):
        for number in range(count):
            sources = [babble(0.6 + 0.1 * number, 8000, 10 * number + n) for n in range(2)]
            for sub, audio in zip(("mix", "s1", "s2"), (sum(sources), *sources), strict=True):
                file = folder / "mixtures" / split / sub / f"{number}.wav"
                file.parent.mkdir(parents=True, exist_ok=True)
                soundfile.write(file, audio, 8000, subtype="FLOAT")
    return folder


@pytest.fixture
def command(capsys, monkeypatch, workplace):
    """Run a command in this process: what it prints on stdout and on stderr."""
    monkeypatch.chdir(workplace)

    def run(*arguments):
        code = common.run(lambda: app(list(map(str, arguments)), standalone_mode=False))
        out, err = capsys.readouterr()
        assert code == 0, err
        return out, err

    return run


@pytest.mark.parametrize("seconds", [0, 0.5])
def test_from_prepared_mixtures_to_scores(workplace, command, seconds):
    config = workplace / f"tasnet{seconds:.0f}.toml"
    config.write_text(CONFIG.format(seconds=seconds))
    run = ("train", "--config", config, "--run-dir", f"run{seconds}")
    command(*run, "--max-steps", 2)
    out, err = command(*run)
    assert "resumed at step 2" in err
    model = workplace / out.strip()
    assert 'mixtures = "mixtures"' in (model / "config.toml").read_text()
    mixture = next((workplace / "mixtures" / "tt" / "mix").glob("*.wav"))
    out, _ = command("separate", mixture, "-m", model, "-o", f"out{seconds}")
    assert len(out.split()) == 2
    for file in out.split():
        assert soundfile.info(file).frames == soundfile.info(mixture).frames
    out, _ = command("eval", "--model", model, "--data", "mixtures/tt", "--json")
    assert json.loads(out)
