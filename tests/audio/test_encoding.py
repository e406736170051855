"""What a container cannot hold is known before the work."""

from contextlib import nullcontext
from pathlib import Path

import numpy as np
import pytest
import soundfile

from cplxsep.audio.encoding import check_rate
from cplxsep.errors import InputError

RATES = (1, 8000, 44100, 65535, 65536, 96000, 123457, 192000, 655340, 655345, 655350, 768000)


@pytest.mark.parametrize("rate", RATES)
def test_rates_of_flac_are_those_that_libsndfile_writes(tmp_path, rate):
    try:
        soundfile.write(tmp_path / "a.flac", np.zeros(100), rate, format="FLAC")
        written = True
    except soundfile.LibsndfileError:
        written = False
    refused = pytest.raises(InputError, match=f"flac has no rate of {rate} Hz; use wav")
    with nullcontext() if written else refused:
        check_rate(Path("a.flac"), "flac", rate)
