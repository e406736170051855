"""Shards of a preparation together write what one run writes."""

import pickle
from concurrent.futures import Executor, Future

import numpy as np
import pytest
import soundfile
from corpora import make_librimix
from synthetic import make_manifest

from cplxsep.data.recipes.librimix import prepare_librimix
from cplxsep.data.recipes.mix import MixSettings, prepare_mix
from cplxsep.errors import InputError
from cplxsep.parallel import WHOLE, Shard


@pytest.fixture(scope="module")
def manifest(tmp_path_factory):
    """With a silent utterance in the test split, which is found out when it is read."""
    found = make_manifest(tmp_path_factory.mktemp("corpus"))
    silent = sorted((found.parent / "speech" / "spk06").iterdir())[0]
    soundfile.write(silent, np.zeros(8000), 8000)
    return found


class Far(Executor):
    """Sends what a method belongs to once, as a cluster does."""

    owner = None

    def submit(self, function, item):
        self.owner = self.owner or pickle.loads(pickle.dumps(function.__self__))
        future = Future()
        future.set_result(getattr(self.owner, function.__name__)(item))
        return future


def prepare(manifest, out, shard=WHOLE, workers=1, **settings):
    told = []
    (done,) = prepare_mix(
        manifest,
        out,
        MixSettings(**settings),
        splits=["test"],
        workers=workers,
        shard=shard,
        report=told.append,
    )
    return done, told


def contents(folder):
    return {
        file.relative_to(folder).as_posix(): file.read_bytes()
        for file in sorted(folder.rglob("*"))
        if file.is_file()
    }


@pytest.mark.parametrize("amount", [{"count": 12}, {"hours": 0.003}])
def test_they_write_what_one_run_writes(manifest, tmp_path, amount):
    whole, told = prepare(manifest, tmp_path / "whole", **amount)
    assert len(told) == 1  # the silent one
    made, tables = 0, []
    for number in (2, 3, 1):
        done, _ = prepare(manifest, tmp_path / "parts", Shard(number, 3), **amount)
        tables.append(done.metadata.is_file())
        made += 0 if done.complete else done.mixtures
        audio = len(list((tmp_path / "parts" / "tt" / "mix").iterdir()))
        assert audio == (done.mixtures if done.complete else made)
    assert tables == [False, False, True]
    assert done == whole.__class__(
        tmp_path / "parts" / "tt" / "metadata.csv", whole.mixtures, whole.seconds, whole.left_out
    )
    assert contents(tmp_path / "parts") == contents(tmp_path / "whole")


@pytest.mark.parametrize(("seed", "last"), [(2, 2), (4, 1)])
def test_what_was_left_out_is_told_in_the_order_of_one_run(tmp_path, seed, last):
    """With these seeds the last shard meets another silent recording first."""
    manifest = make_manifest(tmp_path, per_split=5)
    recordings = sorted(path for path in tmp_path.rglob("*.wav") if path.parent.name >= "spk10")
    for at in (0, 3, 6, 9):  # none a copy of another
        soundfile.write(recordings[at], np.zeros(8000 + 100 * at), 8000)
    whole, _ = prepare(manifest, tmp_path / "whole", count=4, seed=seed)
    for number in (3 - last, last):
        done, _ = prepare(manifest, tmp_path / "parts", Shard(number, 2), count=4, seed=seed)
    assert len(whole.left_out) > 1
    assert done.left_out == whole.left_out


def test_a_run_of_the_whole_takes_what_shards_have_made(manifest, tmp_path):
    prepare(manifest, tmp_path / "whole", count=10)
    prepare(manifest, tmp_path / "parts", Shard(1, 2), count=10)
    before = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("parts/tt/*/*.wav")}
    prepare(manifest, tmp_path / "parts", count=10)
    assert before
    assert all(path.stat().st_mtime_ns == time for path, time in before.items())
    assert contents(tmp_path / "parts") == contents(tmp_path / "whole")


def test_the_last_shard_on_a_cluster_makes_only_its_own(manifest, tmp_path):
    """Regression: its workers did not know what other shards had made, and made all again."""
    prepare(manifest, tmp_path, Shard(1, 2), count=6)
    before = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("tt/*/*.wav")}
    assert prepare(manifest, tmp_path, Shard(2, 2), Far(), count=6)[0].complete
    assert before
    assert all(path.stat().st_mtime_ns == time for path, time in before.items())


def test_a_shard_twice_is_no_other(manifest, tmp_path):
    for _ in range(2):
        done, _ = prepare(manifest, tmp_path, Shard(1, 2), count=6)
        assert not done.complete
    assert prepare(manifest, tmp_path, Shard(2, 2), count=6)[0].complete


def test_another_preparation_in_the_folder(manifest, tmp_path):
    prepare(manifest, tmp_path, Shard(1, 2), count=6)
    with pytest.raises(InputError, match="different preparation"):
        prepare(manifest, tmp_path, Shard(2, 2), count=7)


def test_of_a_published_list(tmp_path):
    metadata, speech, noise = make_librimix(tmp_path / "in")
    (speech / "dev-clean" / "10" / "7" / "10-7-0001.flac").unlink()
    told = {}
    for name, shards in (("whole", [WHOLE]), ("parts", [Shard(2, 2), Shard(1, 2)])):
        for shard in shards:
            told[name] = []
            folders = list(
                prepare_librimix(
                    metadata,
                    speech,
                    tmp_path / name,
                    noise=noise,
                    rates=[8000],
                    modes=["min"],
                    shard=shard,
                    report=told[name].append,
                )
            )
            assert [done.complete for done in folders] == [shard.number == 1] * 2
    assert contents(tmp_path / "parts") == contents(tmp_path / "whole")
    assert [text.replace("parts", "whole") for text in told["parts"]] == told["whole"]
