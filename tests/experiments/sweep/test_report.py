"""report.html, as text and in a real browser."""

import base64
import io
import json
import re
import shutil

import numpy as np
import pytest
from PIL import Image
from selenium import webdriver
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys

from experiments.sweep import results
from lib.pictures.images import image_grid

EVIL = "<script>alert(1)</script>&\"'"
CHROMIUM, DRIVER = shutil.which("chromium"), shutil.which("chromedriver")
OPTIONS = ["headless", "no-sandbox", "disable-gpu", "disable-quic", "no-first-run", "disable-sync"]
OPTIONS += ["disable-background-networking", "disable-component-update", "window-size=1400,900"]


@pytest.fixture
def page(sweep):
    """Writes the report of six runs, one of which failed before it had a metric."""
    for seed, value in ((1, 10.0), (2, 1e-3), (3, None), (4, 9.0), (5, 0.02), (6, 1e-6)):
        if value is None:
            sweep.run({"a.b": EVIL, "seed": seed}, status="failed", error=f"no such thing: {EVIL}")
        else:
            train = [{"step": 10, "loss": 2 * value}, {"step": 20, "loss": value}]
            sweep.run({"a.b": "adam", "seed": seed}, step=20, train=train, samples=True)
    results.show(sweep.folder)
    return sweep.folder / "report.html"


def test_the_report_holds_everything_itself(page):
    html = page.read_text()
    assert EVIL not in html
    assert "no such thing: &lt;script&gt;alert(1)&lt;/script&gt;&amp;&quot;&#x27;" in html
    picture = r'src="data:image/webp;base64,([^"]+)"'
    pictures, rest = re.findall(picture, html), re.sub(picture, "", html)
    assert re.findall(r"<(?:link|iframe|object|embed|base)\b|\bsrc=|url\(|@import|//\w", rest) == []
    assert len(pictures) == 1 + 5  # the curve of the loss, and a sample of each run that has one
    for picture in pictures:
        with Image.open(io.BytesIO(base64.b64decode(picture))) as image:
            assert np.asarray(image.convert("L")).std() > 5  # not blank
    captions = re.findall(r"<figcaption>(.*?)</figcaption>", html)
    assert captions == ["train/loss", *(f"b=adam,<wbr>seed={n}" for n in (1, 2, 4, 5, 6))]


def test_samples_are_the_newest_picture_that_is_no_curve(page, sweep):
    figures = next(sweep.folder.glob("*seed=1")) / "figures"
    image_grid(np.ones((1, 8, 8, 1)), figures / "samples_0000020.png")
    image_grid(-np.ones((1, 8, 8, 1)), figures / "train.png")
    results.show(sweep.folder)
    first = re.findall(r'src="data:image/webp;base64,([^"]+)"', page.read_text())[1]
    with Image.open(io.BytesIO(base64.b64decode(first))) as image:
        assert np.asarray(image).min() == 255


@pytest.fixture
def browser(tmp_path):
    """Opens Chromium without a window; it logs what it says and asks for."""
    missing = [name for name, path in (("chromium", CHROMIUM), ("chromedriver", DRIVER)) if not path]
    if missing:
        pytest.skip(f"no {' and no '.join(missing)} on the PATH")
    options = webdriver.ChromeOptions()
    options.binary_location = CHROMIUM
    for option in (*OPTIONS, f"user-data-dir={tmp_path / 'profile'}"):
        options.add_argument(f"--{option}")
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    driver = webdriver.Chrome(options=options, service=Service(executable_path=DRIVER))
    yield driver
    driver.quit()


def column(browser, title: str) -> list[str]:
    """Returns the cells' texts of a column of the first table, from top to bottom."""
    table = browser.find_element(By.TAG_NAME, "table")
    titles = [th.text.strip() for th in table.find_elements(By.TAG_NAME, "th")]
    rows = table.find_elements(By.CSS_SELECTOR, "tbody tr")
    return [row.find_elements(By.TAG_NAME, "td")[titles.index(title)].text for row in rows]


@pytest.mark.program
def test_the_report_opens_and_sorts_without_network(page, browser):
    browser.get(page.as_uri())

    def header(title):
        return browser.find_element(By.XPATH, f"(//table)[1]//th[contains(., '{title}')]")

    def click(title):
        header(title).find_element(By.TAG_NAME, "button").click()

    assert column(browser, "seed") == ["1", "2", "3", "4", "5", "6"]
    assert header("train/loss").get_attribute("aria-sort") is None
    click("train/loss")
    up = ["1e-06", "0.001", "0.02", "9", "10"]
    assert column(browser, "train/loss") == [*up, ""]
    assert column(browser, "seed") == ["6", "2", "5", "4", "1", "3"]
    assert header("train/loss").get_attribute("aria-sort") == "ascending"
    click("train/loss")
    assert column(browser, "train/loss") == [*up[::-1], ""]
    assert header("train/loss").get_attribute("aria-sort") == "descending"
    header("status").find_element(By.TAG_NAME, "button").send_keys(Keys.ENTER)
    assert column(browser, "status") == [f"failed\nno such thing: {EVIL}", *["finished"] * 5]
    assert header("status").get_attribute("aria-sort") == "ascending"
    assert header("train/loss").get_attribute("aria-sort") is None

    images = browser.find_elements(By.TAG_NAME, "img")
    assert len(images) == 6
    assert all(image.get_property("naturalWidth") > 0 for image in images)
    assert [entry for entry in browser.get_log("browser") if entry["level"] == "SEVERE"] == []
    events = [json.loads(entry["message"])["message"] for entry in browser.get_log("performance")]
    asked = [e["params"]["request"]["url"] for e in events if e["method"] == "Network.requestWillBeSent"]
    assert page.as_uri() in asked
    assert [url for url in asked if url.startswith(("http", "ws", "ftp"))] == []


def brightness(colour: str) -> int:
    return sum(map(int, re.findall(r"\d+", colour)[:3]))


@pytest.mark.program
def test_the_report_follows_the_colour_scheme(page, browser):
    browser.get(page.as_uri())
    seen = []
    for scheme in ("light", "dark"):
        features = [{"name": "prefers-color-scheme", "value": scheme}]
        browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": features})
        root = browser.find_element(By.TAG_NAME, "html")
        seen += [[root.value_of_css_property(name) for name in ("background-color", "color")]]
    (light, dark_text), (dark, light_text) = seen
    assert brightness(light) > 700 > 150 > brightness(dark_text)
    assert brightness(light_text) > 600 > 150 > brightness(dark)
