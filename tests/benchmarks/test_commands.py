"""Memory is measured of the command alone, not of the process that measures."""

import sys

import numpy as np
import pytest
from commands import measure


@pytest.mark.skipif(sys.platform != "linux", reason="other systems count memory otherwise")
def test_peak_memory_is_that_of_the_command():
    held = np.ones(40 * 2**20)  # 320 MiB here must not count
    taken = measure([sys.executable, "-S", "-c", "print(len(bytearray(b'1' * (100 << 20))))"])
    assert taken.output.split() == [str(100 << 20)]
    assert 100 < taken.peak_mib < 280 < held.nbytes / 2**20
    assert taken.seconds > 0


def test_a_command_that_fails_is_no_measurement():
    with pytest.raises(RuntimeError, match="oh no"):
        measure([sys.executable, "-S", "-c", "import sys; sys.exit('oh no')"])
