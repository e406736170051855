import dataclasses
import os

import pytest
import soundfile
from synthetic import make_manifest, make_speech

from cplxsep.data.manifest import (
    assign_splits,
    by_speaker,
    check_disjoint,
    fingerprint,
    load_speech,
    read_manifest,
    scan_folder,
)
from cplxsep.errors import InputError

HEAD = "path,corpus,speaker,split,sample_rate,seconds\n"


def test_manifest(tmp_path):
    utterances = read_manifest(make_manifest(tmp_path))
    assert len(utterances) == 18
    assert {item.split for item in utterances} == {"train", "valid", "test"}
    assert all(item.path.is_absolute() and item.path.is_file() for item in utterances)
    assert {item.talker for item in utterances} == {f"babble/spk{i:02d}" for i in range(9)}
    check_disjoint(utterances)


def test_byte_order_mark_and_more_columns(tmp_path):
    path = tmp_path / "a.csv"
    path.write_text("\ufeff" + HEAD.strip() + ",text\na.wav,c,s,,8000,1.5,hello\n", "utf-8")
    (item,) = read_manifest(path)
    assert item.path == tmp_path / "a.wav"
    assert item.split == ""


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("path,corpus,speaker\n", "no column split, sample_rate, seconds"),
        ("", "no column path"),
        (HEAD, "lists no utterance"),
        (HEAD + "a.wav,c,s,train,8000,1.0\n,c,s,train,8000,1.0\n", "line 3: column path is empty"),
        (HEAD + "a.wav,c,,train,8000,1.0\n", "line 2: column speaker is empty"),
        (HEAD + "a.wav,c,s,train,8000,long\n", "line 2: column seconds is no number: 'long'"),
        (HEAD + "a.wav,c,s,train,-1,1.0\n", "line 2: column sample_rate must be above zero"),
        (HEAD + "a.wav,c,s,train,8000,nan\n", "line 2: column seconds must be above zero"),
        (HEAD + "a.wav,c,s\n", "line 2: column sample_rate is empty"),
        ("\xff\xfe binary", "has no column path"),
    ],
)
def test_bad_manifests(tmp_path, text, says):
    path = tmp_path / "a.csv"
    path.write_text(text, encoding="latin-1")
    with pytest.raises(InputError, match=says) as error:
        read_manifest(path)
    assert str(path) in str(error.value)
    assert "\n" not in str(error.value)


def test_a_path_that_is_no_valid_text(tmp_path):
    (tmp_path / "a.csv").write_bytes(HEAD.encode() + b"\xff.wav,c,s,train,8000,1.0\n")
    (item,) = read_manifest(tmp_path / "a.csv")
    assert os.fsencode(item.path.name) == b"\xff.wav"


def test_missing_source(tmp_path):
    with pytest.raises(InputError, match="cannot read"):
        load_speech(tmp_path / "none.csv")


def test_folder_reports_bad_files_and_goes_on(tmp_path):
    make_speech(tmp_path, speakers=2)
    (tmp_path / "spk00" / "chapter").mkdir()
    (tmp_path / "spk00" / "utt0.wav").rename(tmp_path / "spk00" / "chapter" / "utt0.WAV")
    (tmp_path / "spk01" / "utt1.wav").write_bytes(b"")
    (tmp_path / "spk01" / "notes.txt").write_text("hello")
    (tmp_path / "spk01" / "._utt0.wav").write_text("another program's side file")
    (tmp_path / ".trash").mkdir()
    (tmp_path / ".trash" / "utt0.wav").write_text("hidden too")
    told = []
    utterances = scan_folder(tmp_path, told.append)
    assert len(utterances) == 3
    assert [str(error) for error in told] == [f"{tmp_path}/spk01/utt1.wav is empty (0 bytes)"]
    assert {name: len(own) for name, own in by_speaker(utterances).items()} == {
        f"{tmp_path.name}/spk00": 2,
        f"{tmp_path.name}/spk01": 1,
    }


def test_linked_speakers_are_found_and_closed_ones_told(tmp_path, close):
    """Corpora on a cluster are often folders of links."""
    far = make_speech(tmp_path / "far", speakers=2)
    near = make_speech(tmp_path / "near", speakers=2)
    (near / "linked").symlink_to(far / "spk01")
    (near / "spk00" / "more").symlink_to(far / "spk00")
    (near / "again").symlink_to(near / "spk00")
    close(near / "spk01")
    told = []
    speakers = by_speaker(scan_folder(near, told.append))
    assert {name: len(own) for name, own in speakers.items()} == {
        "near/linked": 2,
        "near/spk00": 4,
    }
    assert [str(error) for error in told] == [
        f"cannot read the folder {near}/spk01: Permission denied"
    ]


def test_folder_without_speech(tmp_path):
    with pytest.raises(InputError, match="sub-folders"):
        load_speech(tmp_path)


def test_splits_of_a_folder_are_disjoint(tmp_path):
    utterances = scan_folder(make_speech(tmp_path, speakers=30, utterances=1))
    split = assign_splits(utterances)
    check_disjoint(split)
    sizes = [
        len({u.talker for u in split if u.split == name}) for name in ("train", "test", "valid")
    ]
    assert sizes == [24, 3, 3]
    by_path = {item.path: item.split for item in split}
    # Whatever the order of the files: training and preparations must agree on who is who.
    for item in assign_splits(utterances[::-1]):
        assert item.split == by_path[item.path]


@pytest.mark.parametrize(("speakers", "held"), [(2, 0), (5, 0), (6, 2), (12, 2)])
def test_few_speakers(tmp_path, speakers, held):
    split = assign_splits(scan_folder(make_speech(tmp_path, speakers=speakers, utterances=1)))
    for name in ("valid", "test"):
        assert sum(item.split == name for item in split) == held


def test_given_splits_stay(tmp_path):
    utterances = read_manifest(make_manifest(tmp_path))
    assert assign_splits(utterances) == utterances


def test_a_speaker_in_two_splits(tmp_path):
    utterances = read_manifest(make_manifest(tmp_path))
    utterances[0] = dataclasses.replace(utterances[0], split="valid")
    with pytest.raises(InputError, match="spk00 of babble is in two splits"):
        check_disjoint(utterances)


def test_fingerprint_stays_when_all_is_moved(tmp_path):
    before = fingerprint(read_manifest(make_manifest(tmp_path / "a")))
    (tmp_path / "a").rename(tmp_path / "b")
    after = read_manifest(tmp_path / "b" / "speech.csv")
    assert before == fingerprint(after)
    assert before != fingerprint(after[:-1])


def test_fingerprint_knows_other_recordings_of_the_same_names(tmp_path):
    utterances = read_manifest(make_manifest(tmp_path))
    prints = {fingerprint(utterances)}
    audio, rate = soundfile.read(utterances[0].path)
    soundfile.write(utterances[0].path, audio[:-1], rate)
    prints.add(fingerprint(utterances))
    utterances[0].path.unlink()
    prints.add(fingerprint(utterances))
    assert len(prints) == 3
