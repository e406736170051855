"""The groups of a separator's published figures."""

import separation_quality


def test_pairs_of_one_sex_stand_beside_the_corpora():
    scores = {"si_sdr_i": {"mean": 1.0}}
    by = {"condition": {"mixed": scores}, "sexes": {"same": scores, "(none)": scores}}
    found = separation_quality.groups({"summary": scores, "by": by})
    assert list(found) == ["all", "mixed", "one sex"]
