"""The page as a browser shows it, served by the script itself."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from pathlib import Path
from urllib import error, request

import pytest
from PIL import Image
from selenium import webdriver
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.action_chains import ActionChains
from selenium.webdriver.common.by import By
from selenium.webdriver.remote.webelement import WebElement

ROOT = Path(__file__).parents[2]
BROWSER, DRIVER = (shutil.which(name) for name in ("chromium", "chromedriver"))

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not (BROWSER and DRIVER), reason="chromium and chromedriver are not installed"),
    pytest.mark.skipif(not find_spec("gradio"), reason="needs the extra: make setup EXTRAS=serve"),  # slow to import
]


HOSTILE = "<img src=x onerror=alert(1)>"  # the name of a folder


class Server:
    """`python scripts/serve.py RUN --port 0` on a run of a second."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.environment = {key: value for key, value in os.environ.items() if not key.startswith("LABBOOK_")}
        self.environment |= {"OMP_NUM_THREADS": "1", "TMPDIR": str(home), "GRADIO_SHARE": "True"}
        self.environment |= {"GRADIO_SERVER_NAME": "0.0.0.0", "http_proxy": "http://127.0.0.1:9"}
        trained = self.python("train.py", "model=mlp", "epochs=2", "callbacks=none", "logger=none", "trainer=cpu")
        out, err = trained.communicate(timeout=300)
        assert trained.returncode == 0, err
        run = Path(out.splitlines()[-1].removeprefix("run: "))
        (home / run).rename(home / run.parent / HOSTILE)
        self.process = self.python("scripts/serve.py", str(run.parent / HOSTILE), "--port", "0")
        assert self.process.stdout
        self.told = [self.process.stdout.readline() for _ in range(2)]
        self.address = re.findall(r"page: (http://127\.0\.0\.1:\d+)", self.told[1])[0]

    def python(self, script: str, *arguments: str) -> subprocess.Popen[str]:
        command = [sys.executable, str(ROOT / script), *arguments]
        return subprocess.Popen(
            command, cwd=self.home, env=self.environment, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE
        )


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with tempfile.TemporaryDirectory() as home:
        started = Server(Path(home))
        yield started
        if started.process.poll() is None:
            started.process.kill()
        started.process.communicate()


@pytest.fixture(scope="module")
def driver(server: Server) -> Iterator[webdriver.Chrome]:
    options = webdriver.ChromeOptions()
    options.binary_location = str(BROWSER)
    for argument in ("--headless=new", "--no-sandbox", "--disable-gpu", "--window-size=1180,900", "--no-proxy-server"):
        options.add_argument(argument)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    browser = webdriver.Chrome(options=options, service=Service(str(DRIVER)))
    browser.get(server.address)
    yield browser
    browser.quit()


def until(found: Callable[[], object], seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    while not found():
        assert time.monotonic() < deadline, found
        time.sleep(0.1)


def text(driver: webdriver.Chrome, name: str) -> str:
    return " ".join(each.text for each in driver.find_elements(By.ID, name))


def meaning(driver: webdriver.Chrome) -> str:
    return str(driver.find_element(By.CSS_SELECTOR, "#meaning textarea").get_property("value"))


def tab(driver: webdriver.Chrome, name: str) -> WebElement:
    def tabs() -> list[WebElement]:
        return [each for each in driver.find_elements(By.CSS_SELECTOR, "button[role=tab]") if each.text == name]

    until(tabs)
    assert len(tabs()) == 1
    return tabs()[0]


def test_what_the_script_says(server: Server) -> None:
    assert re.match(
        r"MLP of logs/runs/<img .+>: test accuracy 0\.\d{4}; 10 classes; input 1 x 28 x 28 pixels", server.told[0]
    )


def test_a_picture_is_dropped(driver: webdriver.Chrome, tmp_path: Path) -> None:
    tab(driver, "Picture")
    until(lambda: driver.find_elements(By.CSS_SELECTOR, "input[type=file]"))
    said = driver.find_element(By.TAG_NAME, "body").text
    assert re.search(r"test accuracy 0\.\d{4}", said)
    assert HOSTILE in said
    image = Image.new("L", (40, 40), 255)
    image.paste(0, (15, 5, 25, 35))
    image.save(tmp_path / "one.png")
    driver.find_element(By.CSS_SELECTOR, "input[type=file]").send_keys(str(tmp_path / "one.png"))
    until(lambda: "%" in text(driver, "prediction"))
    assert len(re.findall(r"\d+%", text(driver, "prediction"))) == 5
    until(lambda: len(driver.find_elements(By.CSS_SELECTOR, "#seen img, #mattered img")) == 2)
    until(lambda: "how much each pixel adds" in meaning(driver))
    occlusion = next(each for each in driver.find_elements(By.CSS_SELECTOR, "#method label") if "Occ" in each.text)
    occlusion.click()
    until(lambda: "is covered" in meaning(driver))


def test_a_digit_is_drawn(driver: webdriver.Chrome) -> None:
    tab(driver, "Drawing").click()
    until(lambda: driver.find_elements(By.CSS_SELECTOR, "#paper canvas"))
    until(lambda: "%" not in text(driver, "prediction"))  # the paper is empty
    time.sleep(2)  # until the editor listens
    canvas = driver.find_element(By.CSS_SELECTOR, "#paper canvas")
    stroke = ActionChains(driver, duration=30).move_to_element_with_offset(canvas, 0, -80).click_and_hold()
    stroke.move_by_offset(5, 80).move_by_offset(-5, 80).release().perform()
    until(lambda: "%" in text(driver, "prediction"))
    assert not driver.find_elements(By.CSS_SELECTOR, ".toast-body")


def test_a_test_image_is_chosen(driver: webdriver.Chrome) -> None:
    before = driver.find_element(By.CSS_SELECTOR, "#seen img").get_attribute("src")
    tab(driver, "Test images").click()
    until(lambda: len(driver.find_elements(By.CSS_SELECTOR, "#samples button img")) == 20)
    tab(driver, "Test images")
    driver.find_elements(By.CSS_SELECTOR, "#samples button")[0].click()
    until(lambda: driver.find_element(By.CSS_SELECTOR, "#seen img").get_attribute("src") != before)


def test_everything_comes_from_this_machine(driver: webdriver.Chrome, server: Server) -> None:
    messages = [json.loads(entry["message"])["message"] for entry in driver.get_log("performance")]
    sent = [each["params"]["request"]["url"] for each in messages if each["method"] == "Network.requestWillBeSent"]
    assert len(sent) > 20
    assert [url for url in sent if not url.startswith((f"{server.address}/", "data:", f"blob:{server.address}/"))] == []
    assert [entry for entry in driver.get_log("browser") if entry["level"] == "SEVERE"] == []


def answer(url: str, body: bytes | None = None, **headers: str) -> tuple[int, str]:
    try:
        opener = request.build_opener(request.ProxyHandler({}))
        with opener.open(request.Request(url, body, headers), timeout=30) as answered:
            return answered.status, answered.read().decode(errors="replace")
    except error.HTTPError as refusal:
        return refusal.code, refusal.read().decode(errors="replace")


def asked(server: Server, file: str) -> str:
    """What comes of a message that says `file` was dropped."""
    picture = {"path": file, "meta": {"_type": "gradio.FileData"}}
    message = {"data": [picture], "fn_index": 0, "session_hash": "stranger"}
    url = f"{server.address}/gradio_api/queue"
    assert answer(f"{url}/join", json.dumps(message).encode(), **{"Content-Type": "application/json"})[0] == 200
    return answer(f"{url}/data?session_hash=stranger")[1]


def test_strangers_are_not_answered(server: Server) -> None:
    assert answer(server.address, Host="elsewhere.example")[0] == 400
    assert answer(f"{server.address}/gradio_api/file=/etc/passwd")[0] == 403
    Image.new("L", (9, 9)).save(server.home / "own.png")
    for file in (str(server.home / "own.png"), "http://example.com/x.png"):
        assert '"success":false' in asked(server, file)
    assert (
        "frame-ancestors 'none'"
        in request.build_opener(request.ProxyHandler({})).open(server.address).headers["Content-Security-Policy"]
    )


def test_ctrl_c_ends_it(server: Server) -> None:
    server.process.send_signal(signal.SIGINT)
    out, _ = server.process.communicate(timeout=30)
    assert (server.process.returncode, out) == (130, "")
    assert not list(server.home.glob("labbook-serve-*"))
