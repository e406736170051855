"""`--cluster`: what a cluster of two nodes, in processes of this machine, does with a corpus."""

import json
import threading
import time

import numpy as np
import pytest
import soundfile

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
