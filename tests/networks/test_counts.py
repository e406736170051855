"""Parameter counts of every published row (SPEC section 1), exactly."""

import pytest
from published_counts import ROWS

from cplxsep.config import ModelConfig
from cplxsep.networks.model import SeparationModel


@pytest.mark.parametrize(("network", "maps", "blocks", "transformations", "count"), ROWS)
def test_count_of_real_parameters(network, maps, blocks, transformations, count):
    config = ModelConfig(
        network=network, start_maps=maps, residual_blocks=blocks, transformations=transformations
    )
    assert sum(parameter.numel() for parameter in SeparationModel(config).parameters()) == count


@pytest.mark.parametrize(
    ("network", "maps", "blocks", "millions"),
    [("real", 64, 1, 7.23), ("real", 64, 2, 12.38), ("complex", 32, 1, 3.62)],
)
def test_the_papers_order_of_blocks_has_fewer_parameters(network, maps, blocks, millions):
    """SPEC section 1: these counts are why the published topology is not the text's."""
    config = ModelConfig(
        network=network, start_maps=maps, residual_blocks=blocks, order="downsample-first"
    )
    count = sum(parameter.numel() for parameter in SeparationModel(config).parameters())
    assert round(count / 1e6, 2) == millions


@pytest.mark.parametrize(
    "options", [{"down": "max"}, {"activation": "zrelu"}, {"norm": "batch"}, {"norm": "layer"}]
)
def test_options_leave_the_count(options):
    def count(**options):
        config = ModelConfig(start_maps=8, levels=2, **options)
        return sum(parameter.numel() for parameter in SeparationModel(config).parameters())

    assert count(**options) == count()
