"""Peers run in processes of their own, on time and the right way up, or are one line."""

import json
import sys
from pathlib import Path

import enhancement
import numpy as np
import peer_child
import peers
import pytest
from noisy_mixtures import RATE, Pair
from peers import CHILD, PEERS, Peer, PeerError
from standins import tiny_model

from cplxsep.metrics.statistics import interval

LATE = 163
# A peer at 48 kHz that talks, delays by LATE samples of 16 kHz, inverts and halves.
LATE_AND_INVERTED = f"""
def start():
    print("loading")
    late = lambda audio: -0.5 * np.concatenate([np.zeros({3 * LATE}), audio])
    return 48000, lambda: late
"""
# Samples too early, as of a peer that leaves out its first window.
EARLY = """
def start():
    return 16000, lambda: lambda audio: audio[40:]
"""


def _script(folder, text):
    """What a child runs; `text` defines `start`."""
    begin = f"import sys\nsys.path.insert(0, {str(CHILD.parent)!r})\nimport numpy as np\n"
    script = folder / "peer.py"
    script.write_text(f"{begin}from peer_child import serve\n{text}\nserve(start)\n")
    return script


@pytest.fixture
def stand_in(tmp_path):
    """Starts a peer whose `start` is given as text."""
    started = []

    def make(text):
        started.append(Peer([sys.executable, "-I", str(_script(tmp_path, text))]))
        return started[-1]

    yield make
    for peer in started:
        peer.close()


@pytest.fixture(scope="module")
def speech():
    """Noise without its upper band, which a change of rate would take away."""
    spectrum = np.fft.rfft(np.random.default_rng(0).standard_normal((2, 2 * RATE)))
    spectrum[:, spectrum.shape[1] // 2 :] = 0
    return list((0.05 * np.fft.irfft(spectrum)).astype(np.float32))


def test_delay_polarity_and_gain_are_taken_out(stand_in, speech):
    peer = stand_in(LATE_AND_INVERTED)
    assert not np.allclose(peer(speech[0]), speech[0], atol=0.01)
    peer.calibrate(speech)
    assert (peer.rate, peer.delay) == (48000, LATE)
    assert peer.gain == pytest.approx(-0.5, abs=0.001)
    made = peer(speech[0])
    assert made.shape == speech[0].shape
    assert made.dtype == np.float32
    # The end is there too: it came out of what was put in after it.
    assert np.abs(made - speech[0])[200:-200].max() < 0.001
    assert np.abs(made - speech[0]).max() < 0.02
    assert len(peer.seconds) == 4
    assert all(0 < seconds < 10 for seconds in peer.seconds)


def test_a_peer_that_is_early(stand_in, speech):
    peer = stand_in(EARLY)
    peer.calibrate(speech)
    assert peer.delay == -40
    made = peer(speech[0])
    assert np.abs(made - speech[0])[40:].max() < 0.001
    assert made.shape == speech[0].shape


def test_speed_is_that_in_the_child(stand_in, speech):
    slow = "def start():\n    import time\n"
    slow += "    return 16000, lambda: time.sleep(0.5) or (lambda audio: audio)"
    rates = enhancement.speeds([Pair(*speech)], {"them": stand_in(slow)}, repeats=1)
    assert rates["them"]["n"] == 1
    assert rates["them"]["median"] > 30 / 0.5


def test_a_peer_that_fails_says_why(stand_in, speech):
    with pytest.raises(PeerError, match=r"^ImportError: no library$"):
        stand_in("def start(): raise ImportError('no library')")
    peer = stand_in("def start(): return 16000, lambda: lambda audio: audio[{}]")
    with pytest.raises(PeerError, match=r"^IndexError"):
        peer(speech[0])


@pytest.mark.filterwarnings("ignore:Use of fft convolution:RuntimeWarning")
@pytest.mark.parametrize("factor", ["0", "np.nan"])
def test_no_sound_for_speech_is_no_peer(stand_in, speech, factor):
    peer = stand_in(f"def start(): return 16000, lambda: lambda audio: {factor} * audio")
    with pytest.raises(PeerError, match="no sound"):
        peer.calibrate(speech)


def test_a_peer_that_is_not_there_is_one_line(tmp_path, speech, capsys, monkeypatch):
    monkeypatch.setattr(peers, "PEERS", {name: PEERS[name] for name in list(PEERS)[:2]})
    here, gone = peers.PEERS
    python = tmp_path / here / "bin" / "python"
    python.parent.mkdir(parents=True)
    python.symlink_to(sys.executable)
    child = _script(tmp_path, "def start(): return 16000, lambda: lambda audio: audio")
    monkeypatch.setattr(peers, "CHILD", child)
    found, facts = peers.start(tmp_path, speech)
    found[here].close()
    assert list(found) == [here]
    assert facts[here]["delay_ms"] == 0
    assert facts[gone]["left_out"] == "not installed"
    assert capsys.readouterr().err == f"{gone} is left out: not installed\n"


def test_no_peer_at_all(tmp_path, speech):
    with pytest.raises(SystemExit, match=r"no peer in .*peers\.py"):
        peers.start(tmp_path, speech)


def test_a_peer_that_cannot_be_installed_is_one_line(tmp_path, capsys, monkeypatch):
    broken = tmp_path / "not-a-package"
    monkeypatch.setitem(PEERS, "pyrnnoise", {"requires": [str(broken)]})
    monkeypatch.setattr(sys, "argv", ["peers.py", str(tmp_path / "all"), "pyrnnoise"])
    with pytest.raises(SystemExit) as end:
        peers.main()
    assert end.value.code == 1
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.startswith("pyrnnoise cannot be installed: ")
    assert "not-a-package" in said.err
    assert "ERROR" not in said.err
    assert said.err.count("\n") == 1


def test_every_peer_is_pinned_and_has_its_function():
    assert list(peer_child.PEERS) == list(PEERS)
    for name, facts in PEERS.items():
        assert facts["requires"][0].startswith(f"{name}==")
        assert all("==" in line for line in facts["requires"])
        assert facts["licence"]


def _scores(ours, theirs):
    """Two mixtures at two ratios; theirs has no PESQ once."""
    rows = []
    for one, other in zip(ours, theirs, strict=True):
        values = {"ours": one, "noisy": 0.0, "theirs": other}
        rows.append({n: dict.fromkeys(enhancement.METRICS, v) for n, v in values.items()})
    rows[1]["theirs"]["pesq"] = None
    return rows


def test_differences_are_of_the_same_mixture():
    scores = {"0": _scores((1.0, 20.0), (0.5, 17.5)), "5": _scores((3.0, 22.0), (1.5, 20.5))}
    found = enhancement.differences(scores, "ours")
    assert list(found) == ["theirs"]
    # Means over the ratios: 1.0 in the first mixture, 2.0 in the second.
    figure = found["theirs"]["si_sdr"]
    assert figure["mean"] == 1.5
    assert figure["ci"] == list(interval([1.0, 2.0]))
    assert figure["n"] == 2
    assert found["theirs"]["pesq"]["mean"] == 1.0
    assert found["theirs"]["pesq"]["null"] == 1


def test_card_and_metrics_say_what_the_peers_are(tmp_path):
    model = tiny_model(tmp_path / "ours")
    marks = "<!-- figures: begin -->\n<!-- figures: end -->\n"
    (model / "README.md").write_text(marks)
    figure = {"mean": 1.0, "ci": [0.5, 1.5], "n": 2, "null": 0}
    by_snr = {snr: dict.fromkeys(enhancement._keys(), figure) for snr in ("0", "all")}
    facts = {"network": "Net", "licence": "MIT", "requires": ["them==1.0", "numpy==2"]}
    result = {
        "setup": {},
        "ours": "ours",
        "snrs": ["0", "all"],
        "scores": dict.fromkeys(("noisy", "ours", "them"), by_snr),
        "differences": {"them": dict.fromkeys(enhancement.METRICS, figure)},
        "peers": {"them": facts, "gone": facts | {"left_out": "not installed"}},
        "extremes": {"ours": {}},
    }
    enhancement.write(model, result)
    known = json.loads((model / "metrics.json").read_text())
    assert known["test_peers"]["them"] == by_snr["all"]
    assert known["test_differences"] == result["differences"]
    card = (model / "README.md").read_text().splitlines()
    assert [line.split(" | ")[:2] for line in card if line.startswith(("| 0 ", "| all "))] == [
        ["| 0", "noisy"],
        ["| 0", "ours"],
        ["| all", "noisy"],
        ["| all", "ours"],
        ["| all", "them"],
    ]
    assert "| them | 1.00 (0.50 to 1.50) | 1.00 (0.50 to 1.50) | 1.000 (0.500 to 1.500) |" in card
    assert "- them: Net, them==1.0, licence MIT." in card
    assert "- gone: Net, them==1.0, licence MIT; left out: not installed." in card
    assert peers.UNKNOWN in card
    assert Path(model / "README.md").read_text().endswith("<!-- figures: end -->\n")
