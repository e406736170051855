"""What tests of native code share."""

import pytest

from cplxsep.nn.native import build


def needs_compiler() -> None:
    """Skip the test where nothing can be compiled."""
    try:
        build.find_compiler()
    except build.NoCompilerError as error:
        pytest.skip(str(error))
