"""What is read of a recording of which a part is wanted."""

import numpy as np
import pytest

from cplxsep.engine.blocks import Part


def test_no_more_is_read_than_a_part_takes():
    """A pipe may stay open for long after the part has come."""

    def pipe():
        yield np.zeros(10, np.float32)
        yield np.ones(10, np.float32)
        pytest.fail("more was waited for")

    (part,) = Part(start=0.5, duration=0.5).cut(pipe(), 20)
    assert (part == 1).all()
    assert len(part) == 10
