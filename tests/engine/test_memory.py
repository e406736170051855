"""The memory of the command, measured from outside: it must not grow with the recording."""

import os
import subprocess
import sys

import numpy as np
import pytest
import soundfile
from standins import tiny_model

RATE = 44100


def peak(folder, name, *options) -> float:
    """Peak resident memory in MiB of separating a file."""
    command = [sys.executable, "-P", "-m", "cplxsep", "separate", name, "-m", "model", *options]
    process = subprocess.Popen(command, cwd=folder, stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    assert status == 0
    return usage.ru_maxrss / 1024


@pytest.mark.skipif(sys.platform != "linux", reason="other systems count memory otherwise")
@pytest.mark.parametrize("options", [[], ["--subtype", "pcm16", "--sum-to-mix", "--json"]])
def test_ten_times_the_length_takes_no_more_memory(tmp_path, options):
    # What the files differ by takes 121 MiB as float stereo, a fifth of all.
    noise = np.random.default_rng(0).integers(-3000, 3000, (40 * RATE, 2), np.int16)
    for name, times in (("short.wav", 1), ("long.wav", 10)):
        with soundfile.SoundFile(tmp_path / name, "w", RATE, 2, "PCM_16") as file:
            for _ in range(times):
                file.write(noise)
    tiny_model(tmp_path / "model")
    short, long = (peak(tmp_path, name, *options) for name in ("short.wav", "long.wav"))
    assert long < 1.05 * short
    assert soundfile.info(tmp_path / "separated/long_s2.wav").frames == 400 * RATE
