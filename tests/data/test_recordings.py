import shutil

import numpy as np
import pytest
import soundfile
from synthetic import make_speech

from cplxsep.data.manifest import scan_folder
from cplxsep.data.recordings import CLIPPED_SHARE, check_clipping, usable, without_copies
from cplxsep.errors import InputError


def test_copies_are_told_and_dropped(tmp_path):
    speech = make_speech(tmp_path / "in", speakers=3)
    shutil.copy(speech / "spk00" / "utt1.wav", speech / "spk02" / "again.wav")
    other = (speech / "spk01" / "utt0.wav").read_bytes()
    # As long, but another in its last byte.
    (speech / "spk01" / "utt9.wav").write_bytes(other[:-1] + bytes([other[-1] ^ 1]))
    told = []
    kept = without_copies(recordings := scan_folder(speech), told.append)
    assert len(kept) == len(recordings) - 1 == 7
    assert told == [f"{speech}/spk02/again.wav is a copy of {speech}/spk00/utt1.wav"]


def test_a_missing_file_is_no_copy(tmp_path):
    speech = make_speech(tmp_path / "in", speakers=2)
    recordings = scan_folder(speech)
    for item in recordings[:2]:
        item.path.unlink()
    assert without_copies(recordings, pytest.fail) == recordings


@pytest.mark.parametrize("channel", [0, 1])
def test_clipped_in_any_channel(tmp_path, channel):
    audio = np.zeros((2, 10000), np.float32)
    audio[:, ::7] = 0.5
    audio[channel, : round(CLIPPED_SHARE * 10000)] = -1.0
    check_clipping(tmp_path, audio)
    audio[channel, 9990] = 32767 / 32768
    with pytest.raises(InputError, match=r"is clipped: 0\.1% of its samples"):
        check_clipping(tmp_path, audio)


@pytest.mark.parametrize(
    ("audio", "says"),
    [
        (np.zeros(8000), "is silent"),
        (np.full(1999, 0.1), "shorter than 0.25 s"),
        (np.clip(3 * np.sin(np.arange(8000) / 9), -1, 1), "is clipped"),
    ],
)
def test_unusable(tmp_path, audio, says):
    soundfile.write(tmp_path / "a.wav", audio, 8000)
    with pytest.raises(InputError, match=says):
        usable(tmp_path / "a.wav", 8000)
