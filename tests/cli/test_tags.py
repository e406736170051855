"""Title and artist of a recording stay with what is made of it."""

import numpy as np
import pytest
import soundfile

NAMES = {"title": "Gespräch über ♫", "artist": "Anna & Bert", "date": "2026", "album": "Talks"}


@pytest.fixture
def tagged(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    noise = 0.1 * np.random.default_rng(0).standard_normal(8000)
    with soundfile.SoundFile("a.flac", "w", 8000, 1) as file:
        for name, text in NAMES.items():
            setattr(file, name, text)
        file.write(noise)
    return tmp_path


@pytest.mark.parametrize(
    "options",
    [
        ("--format", "wav"),
        ("--format", "wav", "--subtype", "pcm16"),
        ("--format", "flac"),
        ("--format", "ogg"),
        ("--format", "mp3"),
    ],
)
def test_outputs_are_called_what_the_input_is(tagged, model, command, options):
    done = command("separate", "a.flac", "-m", model, "--device", "cpu", *options)
    assert done.code == 0, done.err
    for path in done.out.split():
        with soundfile.SoundFile(tagged / path) as file:
            assert file.frames == 8000
            assert {name: getattr(file, name) for name in NAMES} == NAMES


def test_a_file_without_tags_gets_none(tagged, model, command):
    soundfile.write("b.flac", np.full(8000, 0.1), 8000)
    done = command("separate", "b.flac", "-m", model, "--device", "cpu", "--format", "flac")
    with soundfile.SoundFile(tagged / done.out.split()[0]) as file:
        assert not any(getattr(file, name) for name in NAMES)


def test_titles_of_an_mp3_are_of_any_script(tagged, model, command):
    names = {"title": "Küche 会議", "comment": "für 会", "tracknumber": "3", "genre": "Rede"}
    with soundfile.SoundFile("b.flac", "w", 8000, 1) as file:
        for name, text in names.items():
            setattr(file, name, text)
        file.write(np.full(8000, 0.1))
    options = ("-m", model, "--device", "cpu", "--format", "mp3")
    first = command("separate", "b.flac", *options).out.split()[0]
    again = command("separate", first, *options, "-o", "again").out.split()[0]
    for path in (first, again):
        data = (tagged / path).read_bytes()
        assert b"TIT2" in data
        assert "Küche 会議".encode("utf-16-le") in data  # and not as Latin-1
        assert "Küche".encode() not in data
        with soundfile.SoundFile(tagged / path) as file:
            assert {name: getattr(file, name) for name in names} == names
