"""The page in headless Chromium: it loads without errors, plays, sorts, and fits a phone."""

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from page_cases import Synthetic, compared, evaluated

from cplxsep.metrics.names import DEFAULT_METRICS
from cplxsep.report.html.page import write_page

FLAGS = """
--headless --no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking
--disable-component-update --disable-sync --autoplay-policy=no-user-gesture-required --mute-audio
"""
NAMES = ["file 10", "file 9", "quiet", "<b>file 1</b>"]

PLAY = """
const done = arguments[0];
const player = document.querySelectorAll("audio")[INDEX];
player.play().then(() => setTimeout(() => done([player.currentTime, player.duration]), 400))
  .catch((error) => done(String(error)));
"""


@pytest.fixture(scope="module")
def browser(tmp_path_factory) -> Iterator[Any]:
    webdriver = pytest.importorskip("selenium.webdriver", reason="selenium is not installed")
    program = shutil.which("chromium") or shutil.which("google-chrome")
    driver = shutil.which("chromedriver")
    if program is None or driver is None:
        pytest.skip("no Chromium with its chromedriver here")
    options = webdriver.ChromeOptions()
    options.binary_location = program
    for flag in (*FLAGS.split(), f"--user-data-dir={tmp_path_factory.mktemp('profile')}"):
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    service = webdriver.ChromeService(executable_path=driver)
    started = webdriver.Chrome(options=options, service=service)
    yield started
    started.quit()


@pytest.fixture(scope="module", params=["one", "two"])
def page(browser, request, tmp_path_factory) -> Any:
    """The browser with a page of one system, and with one of two."""
    path: Path = tmp_path_factory.mktemp("pages") / "page.html"
    cases, other = Synthetic(names=NAMES), Synthetic(0.1, names=NAMES)
    if request.param == "one":
        write_page(path, evaluated(cases), [cases], 12)
    else:
        write_page(path, compared(cases, other), [cases, other], 12)
    browser.get_log("browser")
    browser.get(path.as_uri())
    return browser


def names(page: Any) -> list[str]:
    script = "return [...document.querySelectorAll('#all-files tbody th')].map(e => e.textContent)"
    return page.execute_script(script)


def values(page: Any, column: int) -> list[float | None]:
    script = (
        "return [...document.querySelectorAll('#all-files tbody tr')]"
        f".map(row => row.cells[{column}].dataset.v)"
    )
    return [float(text) if text else None for text in page.execute_script(script)]


def test_it_loads_without_errors_and_asks_nobody(page):
    assert page.get_log("browser") == []
    asked = page.execute_script(
        "return performance.getEntriesByType('resource').map(entry => entry.name)"
    )
    assert [address for address in asked if not address.startswith("data:")] == []
    loaded = "return [...document.images].every(image => image.complete && image.naturalWidth > 0)"
    assert page.execute_script(loaded)


@pytest.mark.parametrize("index", [0, 2])
def test_players_play_one_at_a_time(page, index):
    position, duration = page.execute_async_script(PLAY.replace("INDEX", str(index)))
    assert position > 0
    assert duration == pytest.approx(1.5, abs=0.05)
    playing = "return [...document.querySelectorAll('audio')].map(player => player.paused)"
    assert page.execute_script(playing).count(False) == 1


def test_a_click_in_the_spectrogram_moves_its_player(page):
    page.execute_script(
        "document.querySelectorAll('audio').forEach(player => player.pause());"
        "document.querySelector('.picture').scrollIntoView({block: 'center', behavior: 'instant'})"
    )
    page.find_element("css selector", ".picture").click()  # in its middle
    position = page.execute_script("return document.querySelector('audio').currentTime")
    assert position == pytest.approx(0.75, abs=0.05)


def test_sorting_by_click(page):
    heads = page.find_elements("css selector", "#all-files thead th")
    column = len(heads) - 1
    button = heads[column].find_element("css selector", "button")
    for way, reverse in (("ascending", False), ("descending", True), ("ascending", False)):
        page.execute_script(
            "arguments[0].scrollIntoView({block: 'center', inline: 'center', behavior: 'instant'})",
            button,
        )
        if heads[column].get_attribute("aria-sort") == way:
            continue
        button.click()
        assert heads[column].get_attribute("aria-sort") == way
        found = values(page, column)
        known = [value for value in found if value is not None]
        assert known == sorted(known, reverse=reverse)
        assert found[: len(known)] == known  # what is missing stays last
    others = [head.get_attribute("aria-sort") for head in heads[:-1]]
    assert set(others) == {"none"}
    status = page.find_element("css selector", "#files .status")
    assert "lowest first" in status.text


def test_sorting_by_keyboard(page):
    """Tab goes to each title, Enter and the space bar sort; names by the numbers in them."""
    webdriver = pytest.importorskip("selenium.webdriver")
    keys = webdriver.common.keys.Keys
    page.execute_script("document.querySelector('#all-files').closest('.scroll').focus()")
    active = page.switch_to.active_element
    active.send_keys(keys.TAB)
    first = page.switch_to.active_element
    assert (first.tag_name, first.text.split()[0]) == ("button", "file")
    first.send_keys(keys.ENTER)
    ordered = ["<b>file 1</b>", "file 9", "file 10", "quiet"]
    assert names(page) == ordered
    first.send_keys(keys.SPACE)
    assert names(page) == ordered[::-1]
    first.send_keys(keys.TAB)
    assert page.switch_to.active_element.text.startswith("SI-SDR")


@pytest.mark.parametrize("width", [320, 390, 1280])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_it_fits_the_width_and_has_contrast(page, width, scheme):
    metrics = {"width": width, "height": 844, "deviceScaleFactor": 1, "mobile": width < 500}
    page.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
    media = {"features": [{"name": "prefers-color-scheme", "value": scheme}]}
    page.execute_cdp_cmd("Emulation.setEmulatedMedia", media)
    try:
        assert page.execute_script("return document.documentElement.scrollWidth") <= width
        ratios = page.execute_script(CONTRAST)
        assert min(ratios.values()) >= 4.5, ratios
    finally:
        page.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})
        page.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": []})


LONG = [f"{number}-294811-0012_1.9083_1188-133604-00{number}_-1.9083" for number in (24, 25)]


@pytest.mark.parametrize("systems", [1, 2])
def test_all_scores_fit_a_screen_and_one_fits_a_phone(browser, tmp_path, systems):
    """With the default scores and names as long as those of wsj0-2mix nothing scrolls sideways."""
    path, cases = tmp_path / "page.html", Synthetic(names=LONG)
    if systems == 1:
        write_page(path, evaluated(cases, metrics=DEFAULT_METRICS), [cases], 0)
    else:
        other = Synthetic(0.1, names=LONG)
        write_page(path, compared(cases, other, DEFAULT_METRICS), [cases, other], 0)
    browser.get(path.as_uri())
    try:
        for width, selector, shown in ((1280, ".scroll th", "all"), (390, "#all-files .n", "one")):
            metrics = {"width": width, "height": 844, "deviceScaleFactor": 1, "mobile": width < 500}
            browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
            cells = (
                f"return [...document.querySelectorAll('{selector}')].map((cell) =>"
                "cell.getBoundingClientRect().right"
                " <= cell.closest('.scroll').getBoundingClientRect().right)"
            )
            seen = browser.execute_script(cells)
            assert all(seen) if shown == "all" else seen[0]
    finally:
        browser.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})


CONTRAST = """
const light = (text) => {
  const [r, g, b] = text.match(/[0-9.]+/g).slice(0, 3).map((v) => {
    const c = v / 255;
    return c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4;
  });
  return 0.2126 * r + 0.7152 * g + 0.0722 * b;
};
const behind = (element) => {
  for (let at = element; at; at = at.parentElement) {
    const colour = getComputedStyle(at).backgroundColor;
    if (!colour.startsWith("rgba(0, 0, 0, 0")) return colour;
  }
};
const found = {};
for (const selector of ["h1", ".note", "nav a", ".card .between", "thead th", "td", "th button",
                        "svg text", "figcaption span", ".scores", "footer"]) {
  const element = document.querySelector(selector);
  const style = getComputedStyle(element);
  const colour = element.namespaceURI.endsWith("svg") ? style.fill : style.color;
  const [a, b] = [light(colour), light(behind(element))].sort((x, y) => y - x);
  found[selector] = (a + 0.05) / (b + 0.05);
}
return found;
"""
