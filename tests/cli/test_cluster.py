"""`--cluster`: what a cluster of two nodes, in processes of this machine, does with a corpus."""

import json
import signal
import subprocess
import sys
import threading
import time

import numpy as np
import pytest
import soundfile
from scored import NAMES, arguments, make
from synthetic import make_manifest

ray = pytest.importorskip("ray")
FILES = 500


@pytest.fixture(scope="module")
def nodes():
    """A cluster of two nodes of one core each, and its `auto` address in the environment."""
    from ray.cluster_utils import Cluster

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RAY_worker_niceness", "0")
        patch.setenv("RAY_USAGE_STATS_ENABLED", "0")
        small = {"num_cpus": 1, "object_store_memory": 100 << 20, "include_dashboard": False}
        cluster = Cluster(initialize_head=True, head_node_args=small)
        cluster.add_node(num_cpus=1, object_store_memory=100 << 20)
        patch.setenv("RAY_ADDRESS", cluster.address)
        yield cluster
        cluster.shutdown()


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """The current folder, with many short recordings and one that is none."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "in").mkdir()
    for number in range(FILES):
        audio = 0.1 * np.random.default_rng(number).standard_normal(800)
        soundfile.write(tmp_path / "in" / f"{number:03d}.wav", audio, 8000)
    audio = np.full(800, np.nan, np.float32)
    soundfile.write(tmp_path / "in" / "007.wav", audio, 8000, subtype="FLOAT")
    return tmp_path


def outputs(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_a_node_that_dies_at_work_loses_nothing(folder, command, model, nodes):
    arguments = ("separate", "in", "-m", model, "--json", "--device", "cpu")
    plain = command(*arguments, "-o", "plain")
    killed = []

    def kill():
        while len(list((folder / "far").glob("*.wav"))) < 60:
            time.sleep(0.02)
        (victim,) = [node for node in nodes.list_all_nodes() if not node.head]
        nodes.remove_node(victim, allow_graceful=False)
        killed.append(len(list((folder / "far").glob("*.wav"))))

    killer = threading.Thread(target=kill, daemon=True)
    (folder / "far").mkdir()
    killer.start()
    far = command(*arguments, "-o", "far", "--cluster", "auto")
    killer.join(10)
    nodes.add_node(num_cpus=1, object_store_memory=100 << 20)
    assert killed
    assert killed[0] < 2 * FILES - 100
    assert (far.code, far.err) == (plain.code, plain.err)
    assert far.code == 1
    assert far.err.startswith("error: in/007.wav")
    assert outputs(folder / "far") == outputs(folder / "plain")
    told, found = (json.loads(done.out.replace("plain/", "far/")) for done in (plain, far))
    for entry in told["files"] + found["files"]:
        del entry["elapsed"]
    assert found == told


@pytest.mark.usefixtures("nodes")
def test_an_item_at_which_every_worker_dies():
    from cplxsep.cluster import Cluster
    from cplxsep.errors import LostError
    from cplxsep.parallel import in_order

    def work(number):
        import os

        if number == 3:
            os.kill(os.getpid(), 9)
        return number * number

    def lost(number, error):
        assert isinstance(error, LostError)
        return -number

    with Cluster("auto") as cluster:
        assert [*in_order(cluster, work, range(8), 8, lost)] == [0, 1, 4, -3, 16, 25, 36, 49]


@pytest.mark.usefixtures("nodes")
def test_a_worker_that_fails_as_it_starts():
    """Regression: a time-out of storage was taken for one of a wait: nothing for five minutes."""
    from cplxsep.cluster import Cluster
    from cplxsep.errors import DeviceError
    from cplxsep.parallel import in_order

    class Storage:
        def absolute(self):
            return self

        def exists(self):
            raise TimeoutError("the storage does not answer")

    def work():
        with Cluster("auto", shared=Storage()) as cluster:
            next(in_order(cluster, abs, [-1], 1))

    with pytest.raises(DeviceError, match=r"fails as it starts: the storage does not answer$"):
        work()


@pytest.mark.parametrize("of_model", [True, False])
@pytest.mark.usefixtures("nodes")
def test_scores_are_those_without_a_cluster(tmp_path, command, model, of_model):
    data = make(tmp_path)
    (data / "tt" / "s2" / f"{NAMES[1]}.wav").unlink()
    words = arguments(data, "--json")
    if of_model:
        words = ("eval", "-m", model, "--data", data / "tt", "--metrics", "si-sdr", "--json")
    near, far = command(*words), command(*words, "--cluster", "auto")
    assert (far.code, far.err) == (near.code, near.err)
    assert far.code == 1
    assert json.loads(far.out) == json.loads(near.out)


@pytest.mark.usefixtures("nodes")
def test_prepared_folders_are_those_without_a_cluster(tmp_path, command):
    manifest = make_manifest(tmp_path, per_split=2)
    noise = np.random.default_rng(0).standard_normal(16000)
    for number in range(3):
        (tmp_path / "noise").mkdir(exist_ok=True)
        soundfile.write(tmp_path / "noise" / f"{number}.wav", 0.1 * noise[number:], 8000)
    words = ("prepare", "conversations", "--speech", manifest, "--noise", tmp_path / "noise")
    words += ("--seconds", 2, "--rate", 8000, "--count", 3, "--split", "train")
    assert command(*words, "-o", tmp_path / "near").code == 0
    assert command(*words, "-o", tmp_path / "far", "--cluster", "auto").code == 0
    near, far = (
        {path.relative_to(top): path.read_bytes() for path in top.rglob("*") if path.is_file()}
        for top in (tmp_path / "near", tmp_path / "far")
    )
    assert len(near) > 12
    assert far == near


@pytest.mark.usefixtures("nodes")
def test_an_interruption_ends_all(folder, model):
    child = subprocess.Popen(
        [
            *(sys.executable, "-m", "cplxsep", "separate", "in", "-m", model, "-o", "out"),
            *("--cluster", "auto", "--report", "report.json"),
        ],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert child.stdout.readline() == "out/000_s1.wav\n"
    child.send_signal(signal.SIGINT)
    _, err = child.communicate(timeout=60)
    assert (child.returncode, err.splitlines()[-1]) == (130, "interrupted")
    written = len(list((folder / "out").glob("*.wav")))
    assert written < 2 * FILES
    assert not list((folder / "out").glob(".*"))
    found = json.loads((folder / "report.json").read_text())
    assert len(found["files"]) == FILES
    assert found["error"] == "interrupted"


@pytest.mark.parametrize("address", ["here", "ray://host", "10.0.0.1:6379"])
def test_what_is_no_address(command, address):
    done = command("separate", "a.wav", f"--cluster={address}")
    assert (done.code, len(done.err.splitlines())) == (2, 1)
    assert "write local" in done.err


def test_without_ray_a_line_says_what_to_install(command, monkeypatch):
    monkeypatch.setattr("cplxsep.cluster.address.find_spec", lambda _: None)
    for words in (("separate", "a.wav"), ("eval",), ("prepare", "rooms", "-o", "rooms")):
        done = command(*words, "--cluster", "local")
        assert (done.code, len(done.err.splitlines())) == (2, 1)
        assert "pip install 'cplxsep[cluster]'" in done.err


def test_what_does_not_go_with_a_cluster(tmp_path, command, model):
    for words in (
        ("separate", "-", "-m", model),
        ("eval", "-m", model, "--data", tmp_path, "--workers", 2),
        ("eval", "-m", model, "--data", tmp_path, "--cut"),
        ("prepare", "rooms", "-o", tmp_path / "rooms", "--workers", 2),
    ):
        done = command(*words, "--cluster", "local")
        assert (done.code, len(done.err.splitlines())) == (2, 1)
        assert "does not go with" in done.err
