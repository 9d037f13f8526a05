"""The page of a sweep as a browser shows it."""

from collections.abc import Iterator

import pytest
from selenium import webdriver
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.remote.webelement import WebElement

from labbook.reports import images, sweep_page
from tests.browser import browser, needs_browser
from tests.reports.made_sweeps import add_run, make_grid

pytestmark = needs_browser


@pytest.fixture(scope="module")
def driver(tmp_path_factory: pytest.TempPathFactory) -> Iterator[webdriver.Chrome]:
    """A browser that has opened the page from a file."""
    sweep = make_grid(tmp_path_factory.mktemp("sweeps"))
    add_run(sweep, "waiting", {"model.depth": 16})
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(images, "write_images", lambda *_: None)  # which the page does not show
        sweep_page.write_report(sweep)
    with browser() as opened:
        opened.get((sweep / sweep_page.PAGE).as_uri())
        yield opened


TITLES = "[...document.querySelectorAll('th')].map(each => each.innerText.trim())"


def heading(driver: webdriver.Chrome, title: str) -> WebElement:
    titles = [text.split("\n")[0] for text in driver.execute_script(f"return {TITLES}")]
    assert titles.count(title) == 1, title
    return driver.find_elements(By.CSS_SELECTOR, "th")[titles.index(title)]


def column(driver: webdriver.Chrome, title: str) -> list[str]:
    """The cells under a heading, as they are sorted now."""
    titles = driver.execute_script(f"return {TITLES}")
    cells = "[...document.querySelectorAll('tbody tr')].map(row => row.cells[arguments[0]].innerText.trim())"
    found: list[str] = driver.execute_script(f"return {cells}", titles.index(title))
    return found


def test_nothing_goes_wrong_and_nothing_is_requested(driver: webdriver.Chrome) -> None:
    assert driver.get_log("browser") == []
    requests = [entry["message"] for entry in driver.get_log("performance")]
    sent = [message for message in requests if '"Network.requestWillBeSent"' in message]
    assert sent
    assert all('"url":"file:' in message or '"url":"data:' in message for message in sent)


def test_pictures_are_seen(driver: webdriver.Chrome) -> None:
    pictures = driver.find_elements(By.CSS_SELECTOR, "figure > svg")
    assert len(pictures) == 13
    assert all(picture.size["width"] > 300 and picture.size["height"] > 100 for picture in pictures)


def test_a_click_sorts_by_number(driver: webdriver.Chrome) -> None:
    button = heading(driver, "depth").find_element(By.TAG_NAME, "button")
    button.click()
    assert column(driver, "depth") == ["16", "4", "4", "2", "2", "1", "1"]
    assert heading(driver, "depth").get_attribute("aria-sort") == "descending"
    button.click()
    assert column(driver, "depth") == ["1", "1", "2", "2", "4", "4", "16"]
    assert heading(driver, "depth").get_attribute("aria-sort") == "ascending"


def test_the_keyboard_sorts_too(driver: webdriver.Chrome) -> None:
    button = heading(driver, "activation").find_element(By.TAG_NAME, "button")
    driver.execute_script("document.querySelector('.scroll').focus()")
    for _ in range(2):  # from the table over the first heading
        driver.switch_to.active_element.send_keys(Keys.TAB)
    assert driver.switch_to.active_element == button
    button.send_keys(Keys.ENTER)
    assert column(driver, "activation") == ["relu"] * 4 + ["sigmoid"] * 3
    button.send_keys(Keys.SPACE)
    assert column(driver, "activation") == ["sigmoid"] * 3 + ["relu"] * 4
    assert len(driver.find_elements(By.CSS_SELECTOR, "th[aria-sort]")) == 1


def test_what_has_no_figure_stays_at_the_end(driver: webdriver.Chrome) -> None:
    button = heading(driver, "val acc").find_element(By.TAG_NAME, "button")
    for _ in range(2):
        button.click()
        cells = column(driver, "val acc")
        numbers = [float(cell.split()[0]) for cell in cells if cell]
        assert cells.index("") == len(numbers) == 6
        ascending = heading(driver, "val acc").get_attribute("aria-sort") == "ascending"
        assert numbers == sorted(numbers, reverse=not ascending)


@pytest.mark.parametrize("width", [1280, 420])
@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.slow
def test_it_fits_the_screen_and_can_be_read(driver: webdriver.Chrome, width: int, scheme: str) -> None:
    media = {"features": [{"name": "prefers-color-scheme", "value": scheme}]}
    driver.execute_cdp_cmd("Emulation.setEmulatedMedia", media)
    size = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": False}
    driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
    assert driver.execute_script("return document.documentElement.scrollWidth") <= width
    ink, paper = (
        driver.execute_script(f"return getComputedStyle(document.body).{name}") for name in ("color", "backgroundColor")
    )
    lighter, darker = (brightness(paper), brightness(ink))[:: 1 if scheme == "light" else -1]
    assert lighter - darker > 0.7
    label = driver.find_element(By.CSS_SELECTOR, "figure > svg text")
    assert label.value_of_css_property("fill") == ink.replace("rgba", "rgb").replace(", 1)", ")")


def brightness(colour: str) -> float:
    """Of rgb(...), from 0 to 1."""
    numbers = [float(part) for part in colour[colour.index("(") + 1 : -1].split(",")[:3]]
    return sum(numbers) / 3 / 255


@pytest.mark.slow
def test_every_series_is_seen_in_its_colour(driver: webdriver.Chrome) -> None:
    strokes = {
        sample.value_of_css_property("stroke") for sample in driver.find_elements(By.CSS_SELECTOR, ".legend path")
    }
    assert len(strokes) >= 6
    assert "none" not in strokes
