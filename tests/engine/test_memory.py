"""The memory of a separation, measured from outside: it must not grow with the recording."""

import os
import subprocess
import sys

import numpy as np
import pytest
import soundfile
from standins import tiny_model

RATE = 96000
ALLOWED = 32  # MiB; the 100 s by which the files differ take 37 as float mono

SEPARATE = """
import resource, sys
from pathlib import Path
from cplxsep.audio import io
from cplxsep.engine.batch import Settings, separate_file
from cplxsep.engine.inputs import Naming, expand
from cplxsep.engine.separator import Separator

separator = Separator.load(sys.argv[1], device="cpu")
naming = Naming(Path("out"), "{stem}_{source}.{ext}", 2, "wav")
for name in ("short.wav", "long.wav"):
    (job,) = naming.jobs(*expand(name, Path("out")), io.probe(Path(name)))
    separate_file(separator, job, Settings("wav", "pcm16", sum_to_mix=True))
    print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="other systems count memory otherwise")
def test_six_times_the_length_takes_no_more_memory(tmp_path):
    noise = np.random.default_rng(0).integers(-3000, 3000, 20 * RATE, np.int16)
    soundfile.write(tmp_path / "short.wav", noise, RATE)
    soundfile.write(tmp_path / "long.wav", np.tile(noise, 6), RATE)
    model = tiny_model(tmp_path / "model")
    done = subprocess.run(
        [sys.executable, "-c", SEPARATE, model],
        cwd=tmp_path,
        # What is freed goes back at once: fragments of the heap would blur the measure.
        env={**os.environ, "MALLOC_MMAP_THRESHOLD_": "65536"},
        capture_output=True,
        text=True,
        check=True,
    )
    short, long = (int(line) / 1024 for line in done.stdout.split())
    assert soundfile.info(tmp_path / "out/long_s2.wav").frames == 120 * RATE
    assert long - short < ALLOWED
