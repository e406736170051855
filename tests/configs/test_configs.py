"""Shipped configurations: every row of the paper's tables, exactly, in both readings."""

import subprocess
import sys

import pytest
from published_counts import ROWS

from cplxsep.config import parse_config, shipped
from cplxsep.config.shipped import paper
from cplxsep.config.shipped.readings import readings
from cplxsep.errors import UsageError

# Table 1 as printed: network, k, maps, parameters, transformations, dropout, loss, SDR.
TABLE_1 = """
real 1 64 8.45 0 0 l2freq 4.59
real 2 64 14.76 0 0 l2freq 7.92
complex 1 32 4.29 0 0 l2freq 9.61
complex 2 32 7.4 0 0 l2freq 9.70
complex 2 40 11.67 15 0 l2freq 10.93
complex 2 40 11.67 15 0 csim 10.91
complex 2 40 11.61 10 0 l2time 10.86
complex 2 40 11.67 15 0 costime 10.74
complex 2 44 13.97 0 0 l2freq 9.88
complex 2 44 13.97 0 0 csim 9.87
complex 2 44 14.09 15 0.1 l2freq 10.91
complex 2 44 14.03 10 0.1 csim 11.34
"""


def table_1():
    for line in TABLE_1.split("\n"):
        if line:
            network, k, maps, count, transformations, dropout, loss, sdr = line.split()
            yield (
                *(network, int(k), int(maps), int(transformations), float(dropout), loss),
                *(count, float(sdr)),
            )


def test_every_row_of_table_1_is_there():
    known = {
        (r.network, r.blocks, r.maps, r.transformations, r.dropout, r.loss, r.parameters, r.sdr)
        for r in paper.rows()
    }
    wanted = set(table_1())
    assert len(wanted) == 12
    assert wanted <= known


def test_tables_2_and_3_are_complete():
    rows = list(paper.rows())
    assert [sum(row.table == table for row in rows) for table in (2, 3)] == [20, 32]
    combinations = {(row.transformations, row.dropout, row.loss) for row in rows if row.table == 3}
    expected = {(0, 0.0, loss) for loss in ("l2freq", "csim")} | {
        (count, dropout, loss)
        for count in (5, 10, 15)
        for dropout in (0.0, 0.1, 0.2, 0.3, 0.4)
        for loss in ("l2freq", "csim")
    }
    assert combinations == expected
    assert len({row.name for row in rows}) == 52
    # Sums of the printed columns, against slips in single figures.
    sums = {(2, "l2freq"): 74.22, (2, "csim"): 42.89, (2, "l2time"): 41.14, (2, "costime"): 40.69}
    sums |= {(3, "l2freq"): 169.43, (3, "csim"): 176.33}
    for (table, loss), total in sums.items():
        figures = [row.sdr for row in rows if (row.table, row.loss) == (table, loss)]
        assert round(sum(figures), 2) == total


@pytest.mark.parametrize("family", ["paper", "paper-code"])
def test_each_row_is_the_network_it_says(family):
    counts = {row[:4]: row[4] for row in ROWS}
    for row in paper.rows():
        config = shipped.load(f"{family}/{row.name}")
        model, train = config.model, config.train
        found = (
            model.network,
            model.unet.start_maps,
            model.unet.residual_blocks,
            model.extractor.transformations,
        )
        assert found == (row.network, row.maps, row.blocks, row.transformations)
        assert model.extractor.dropout == row.dropout
        assert train.loss.removesuffix("-code") == paper.LOSSES[row.loss]
        assert train.batch == {2: 40, 3: 24}[row.table]
        assert train.steps == 200 * train.epoch_steps
        assert (config.optim.optimizer, config.optim.momentum, config.optim.clip) == ("sgd", 0.9, 1)
        assert config.data.seconds == 0
        exact = counts[found]
        if row.parameters != "4.29":  # not what its network has: an error of the paper
            assert abs(exact / 1e6 - float(row.parameters)) < 0.01


def test_the_two_readings_of_the_best_row():
    text, code = (shipped.load(f"{f}/complex-unet-k2-f44-c10-d10-csim") for f in shipped.CODE)
    assert (text.model.unet.norm, code.model.unet.norm) == ("layer", "channel")
    assert (text.model.extractor.film_offset, code.model.extractor.film_offset) == ("0", "1+1i")
    assert (text.model.extractor.dropout_of, code.model.extractor.dropout_of) == ("mask", "mixture")
    assert (text.model.unet.init, code.model.unet.init) == ("rayleigh", "rayleigh-unscaled")
    assert (text.model.extractor.init_of, code.model.extractor.init_of) == ("first", "all")
    assert (text.train.loss, code.train.loss) == ("csim", "csim-code")
    assert (text.train.pit, code.train.pit) == ("mixture", "batch")
    assert (text.optim.schedule, code.optim.schedule) == ("paper", "paper-code")
    assert (text.optim.weight_decay, code.optim.weight_decay) == (0, 1e-4)


def test_what_is_shown_says_the_readings_and_reads_back_the_same():
    import tomllib

    name = "paper/complex-unet-k2-f44-c10-d10-csim"
    config = shipped.load(name)
    text = shipped.text(name, config)
    assert parse_config(tomllib.loads(text), "shown") == config
    comments = [line for line in text.splitlines() if line.startswith("#")]
    assert "Table 3: 14.03 M parameters, SDR 11.34 dB" in comments[0]
    for line in readings(config):
        assert any(line in comment for comment in comments)
    changed = shipped.load(name, ["model.start_maps=8"])
    assert "Changed here" in shipped.text(name, changed)


def test_readings_name_what_follows_neither():
    config = shipped.load("paper/complex-unet-k2-f40-c5-csim", ["optim.weight_decay=0.5"])
    line = next(line for line in readings(config) if line.startswith("optim.weight_decay"))
    assert line.endswith("neither the text's, 0.0, nor the code's, 0.0001")


def test_an_unknown_name_gets_the_nearest():
    with pytest.raises(UsageError, match="did you mean 'paper/complex-unet-k2-f44-c15-csim'"):
        shipped.load("paper/complex-unet-k2-f44-c16-csim")
    with pytest.raises(UsageError, match="no shipped config 'paper/zzz'"):
        shipped.load("paper/zzz")


def test_every_name_loads_and_is_described():
    for name in shipped.names():
        of_paper = name.startswith(shipped.FAMILIES)
        assert bool(shipped.load(name).data.mixtures) == of_paper
        assert ("dB there" in shipped.describe(name)) == of_paper


def test_listing_needs_no_torch():
    load = "import sys; from cplxsep.config.shipped import names; names()"
    code = f"{load}; assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_commands_list_and_show(run_cli, tmp_path):
    listed = run_cli("train", "--list")
    assert listed.returncode == 0
    assert [line.split()[0] for line in listed.stdout.splitlines()][:106] == shipped.names()
    name = "paper-code/complex-unet-k2-f44-c10-csim"
    shown = run_cli("train", "--config", name, "--show", "--set", "train.seed=3")
    assert shown.returncode == 0
    file = tmp_path / "mine.toml"
    file.write_text(shown.stdout)
    again = run_cli("train", "--config", file, "--show")
    wanted = shipped.load(name, ["train.seed=3"])
    assert again.stdout == shipped.to_toml(wanted)
    for arguments, message in (
        (["--config", "paper/none"], "there is no shipped config 'paper/none'"),
        ([], "name a TOML file or a shipped config"),
    ):
        failed = run_cli("train", *arguments, cwd=tmp_path)
        assert failed.returncode == 2
        assert message in failed.stderr
        assert failed.stderr.count("\n") == 1
