"""Outputs on their way: what is left open, or not, where one of them fails."""

import pytest
import soundfile

from cplxsep.engine.writing import SourceWriter


def test_an_output_that_cannot_be_opened_closes_those_before_it(tmp_path, monkeypatch):
    """Where open files cannot be removed, their drafts would stay."""
    opened = []

    class Kept(soundfile.SoundFile):
        def __init__(self, *given, **options):
            opened.append(self)
            super().__init__(*given, **options)

    monkeypatch.setattr(soundfile, "SoundFile", Kept)
    with pytest.raises(soundfile.LibsndfileError):
        SourceWriter([tmp_path / "a.wav", tmp_path / "missing" / "b.wav"], 8000, 10)
    assert opened[0].closed
