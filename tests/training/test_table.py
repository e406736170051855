"""Training from the table of a preparation without files: the same examples as from the files."""

import numpy as np
import pytest

from cplxsep.config import read_config
from cplxsep.errors import UsageError
from cplxsep.training.examples import load_examples


@pytest.fixture
def prepared(run_cli, tiny_speech, tmp_path):
    def prepare(name, *options):
        done = run_cli(
            *("prepare", "mix", "--speech", tiny_speech, "--split", "tr,cv", "--count", 4),
            *("-o", tmp_path / name, *options),
        )
        assert done.returncode == 0, done.stderr
        return tmp_path / name

    return prepare


def test_a_table_trains_as_its_files_do(prepared, tiny_config, tmp_path):
    files, table = prepared("files"), prepared("table", "--manifest-only")
    assert not (table / "tr" / "mix").exists()
    sets = [
        load_examples(read_config(tiny_config, [f"data.mixtures={folder}"]), tmp_path, print)
        for folder in (files, table)
    ]
    for from_files, from_table in zip(*sets, strict=True):
        for index in range(9):
            for one, other in zip(
                from_files.example(index), from_table.example(index), strict=True
            ):
                np.testing.assert_array_equal(one, other)


def test_a_table_needs_its_recordings(prepared, tiny_config, tmp_path):
    changes = [f"data.mixtures={prepared('table', '--manifest-only')}", "data.speech="]
    with pytest.raises(UsageError, match=r"set data\.speech to what it was made from"):
        load_examples(read_config(tiny_config, changes), tmp_path, print)
