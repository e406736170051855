"""The page of `cplxsep eval --html`, as text: self-contained, escaped, complete."""

import base64
import io
from html.parser import HTMLParser

import numpy as np
import pytest
import soundfile
from page_cases import NAMES, Synthetic, compared, evaluated
from PIL import Image

from cplxsep.errors import InputError
from cplxsep.report.html import media
from cplxsep.report.html.markup import Markup, tag, text
from cplxsep.report.html.page import write_page
from cplxsep.report.html.view import chosen, view

VOID = {"meta", "img"}


class Page(HTMLParser):
    """Elements of a page with their attributes; checks that each is closed."""

    def __init__(self, source: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[str] = []
        self._open: list[str] = []
        self.feed(source)
        assert self._open == []

    def handle_starttag(self, name, attributes):
        self.elements.append((name, dict(attributes)))
        if name not in VOID:
            self._open.append(name)

    def handle_endtag(self, name):
        assert self._open.pop() == name

    def handle_data(self, data):
        self.texts.append(data)

    def all(self, name: str) -> list[dict[str, str | None]]:
        return [attributes for found, attributes in self.elements if found == name]


@pytest.fixture(scope="module")
def pages(tmp_path_factory) -> dict[str, Page]:
    folder = tmp_path_factory.mktemp("pages")
    cases = Synthetic()
    write_page(folder / "one.html", evaluated(cases), [cases], 12)
    other = Synthetic(noise=0.05)
    write_page(folder / "two.html", compared(cases, other), [cases, other], 12)
    return {path.stem: Page(path.read_text("utf-8")) for path in folder.iterdir()}


@pytest.mark.parametrize("kind", ["one", "two"])
def test_nothing_is_loaded_from_elsewhere(pages, kind):
    for _, attributes in pages[kind].elements:
        for name in ("src", "href", "data", "poster", "action", "srcset"):
            value = attributes.get(name) or "#"
            assert value.startswith(("#", "data:image/jpeg;base64,", "data:audio/flac;base64,"))
        assert not any(name.startswith("on") for name in attributes)
    assert "default-src 'none'" in str(pages[kind].all("meta"))


@pytest.mark.parametrize("kind", ["one", "two"])
def test_names_are_text(pages, kind):
    """One of the names is a script, another no valid text."""
    page = pages[kind]
    assert len(page.all("script")) == 1
    assert any("<script>alert" in piece for piece in page.texts)
    assert page.all("i") == [{"class": "cursor"}] * len(page.all("audio"))


@pytest.mark.parametrize(("kind", "signals"), [("one", 5), ("two", 7)])
def test_each_example_has_its_players(pages, kind, signals):
    page = pages[kind]
    assert len(page.all("audio")) == signals * (len(NAMES) - 1)
    assert len(page.all("img")) == len(page.all("audio"))
    assert all(audio["aria-label"] and "controls" in audio for audio in page.all("audio"))
    assert all(image["alt"] for image in page.all("img"))
    anchors = {attributes["id"] for attributes in page.all("article")}
    links = {link["href"][1:] for link in page.all("a") if link["href"].startswith("#example")}
    assert anchors == links != set()


@pytest.mark.parametrize("kind", ["one", "two"])
def test_every_file_is_there_with_its_scores_or_its_reason(pages, kind):
    texts = "\n".join(pages[kind].texts)
    for name in NAMES:
        assert name.replace("\udcff", "?") in texts
    assert "broken.wav is empty" in texts
    assert "silent estimate" in texts


def test_the_table_has_every_score(pages):
    page = pages["one"]
    keys = ["SI-SDR dB", "SI-SDRi dB"]
    values = [cell["data-v"] for cell in page.all("td") if "data-v" in cell]
    assert len(values) == len(keys) * (len(NAMES) - 1)
    heads = [head for head in page.all("th") if "aria-sort" in head]
    assert [head["aria-sort"] for head in heads].count("ascending") == 1
    assert all(float(value) for value in values if value)


def test_a_page_without_anything_scored(tmp_path):
    cases = Synthetic()
    result = evaluated(cases, names=[NAMES[-1]])
    write_page(tmp_path / "page.html", result, [cases], 12)
    assert Page((tmp_path / "page.html").read_text("utf-8")).all("audio") == []


def test_files_that_are_gone_are_said_to_be(tmp_path):
    cases = Synthetic()
    result = evaluated(cases)

    def gone(name):
        raise InputError(f"{name}.wav does not exist")

    cases.load = gone
    write_page(tmp_path / "page.html", result, [cases], 12)
    assert "a.wav does not exist" in (tmp_path / "page.html").read_text("utf-8")


@pytest.mark.parametrize("count", [0, 1, 2, 3, 7, 12, 30, 40])
def test_the_worst_the_median_and_the_best_are_heard(count):
    entries = [
        {"name": f"f{n:02}", "groups": {}, "sources": [{"sdr": float(n)}]} for n in range(30)
    ]
    shown = view(
        {
            "summary": {"sdr": {}},
            "by": {},
            "inputs": {"est": "e"},
            "worst": {"by": "sdr"},
            "per_example": entries[::-1],
        }
    )
    names = chosen(shown, count)
    assert len(names) == min(count, 30)
    if count == 7:
        assert list(names) == ["f00", "f01", "f02", "f14", "f15", "f28", "f29"]
        assert set(names.values()) == {"among the worst", "about the median", "among the best"}


def test_markup_escapes_all_but_markup():
    made = tag("a", "<b>", Markup("<i></i>"), href='"x"', class_="c", hidden=True, title=None)
    assert made == '<a href="&quot;x&quot;" class="c" hidden>&lt;b&gt;<i></i></a>'
    assert text("\udcff") == "?"


@pytest.mark.parametrize("rate", [8000, 48000])
def test_sound_is_what_it_was(rate):
    signal = np.random.default_rng(0).uniform(-0.4, 0.4, 3000)
    data = base64.b64decode(media.sound(signal, rate, 2.0).partition(",")[2])
    read, own_rate = soundfile.read(io.BytesIO(data))
    np.testing.assert_allclose(read, 2 * signal, atol=2**-15)
    assert own_rate == rate
    long = base64.b64decode(media.sound(np.zeros(rate * 30), rate, 1.0).partition(",")[2])
    assert soundfile.info(io.BytesIO(long)).duration == media.SECONDS


@pytest.mark.parametrize("length", [1, 100, 5000, 500_000])
def test_spectrograms_of_any_length(length):
    tone = np.sin(2 * np.pi * 1000 / 8000 * np.arange(length))
    data = base64.b64decode(media.spectrogram(tone, 8000).partition(",")[2])
    image = np.asarray(Image.open(io.BytesIO(data)).convert("L"))
    assert image.shape[0] <= 129
    assert image.shape[1] <= media.COLUMNS * 1.1
    if length > 1000:
        # 1 kHz of 4: the brightest row is a quarter from the bottom.
        row = image.mean(axis=1).argmax()
        assert 1 - row / len(image) == pytest.approx(0.25, abs=0.03)


def test_the_scatter_shows_each_talker_or_the_two_systems(pages):
    """The mean of two talkers in a mixture is about 0 dB in every file: it tells nothing."""
    about = {kind: [plot["aria-label"] for plot in page.all("svg")] for kind, page in pages.items()}
    # Of four files that could be scored one has a silent estimate.
    assert "SI-SDRi dB against SI-SDR dB of each talker in the mixture, 7 points" in about["one"]
    assert "SI-SDR dB B against SI-SDR dB A, 4 points" in about["two"]
    dots = [mark for mark in pages["one"].all("circle") if mark["class"] == "dot"]
    assert len(dots) == 7
