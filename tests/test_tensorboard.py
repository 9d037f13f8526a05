"""What TensorBoard shows of a sweep and of a single run, in a browser.

`make test-slow ARGS="tests/test_tensorboard.py -n 0 --pictures=docs"` makes the pictures in docs/ again.
"""

import io
import re
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.error import URLError
from urllib.request import urlopen

import pytest
from PIL import Image, ImageChops
from selenium import webdriver

from labbook.reports import sweep_page
from tests.browser import browser, needs_browser

pytestmark = [pytest.mark.slow, needs_browser]

ROOT = Path(__file__).parents[1]
SWEEP = ("-m", "model=mlp", "optimizer=sgd,adam", "epochs=8", "seeds=2", "sweep.name=optimizers")
RUNS = [f"optimizer-{name}_seed-{seed}" for name in ("adam", "sgd") for seed in (42, 43)]
LARGEST = 150_000  # bytes of a picture
PATIENCE = 60  # seconds

# All text that is seen, also in the parts of the page that are closed to its own searches.
TEXT = """
const text = node => [...node.childNodes].map(child =>
    child.nodeType === Node.TEXT_NODE ? child.textContent
    : child.nodeType !== Node.ELEMENT_NODE || ["STYLE", "SCRIPT", "TEMPLATE"].includes(child.tagName) ? ""
    : getComputedStyle(child).display === "none" ? ""
    : (child.shadowRoot ? text(child.shadowRoot) : "") + " " + text(child)).join(" ");
return text(document.body).replace(/\\s+/g, " ");
"""
# Also what is folded away.
ALL_TEXT = TEXT.replace('getComputedStyle(child).display === "none"', "false")
# The pictures of the page IMAGES that have come, as width and height.
IMAGES = """
const images = node => [...node.querySelectorAll("*")].flatMap(each =>
    each.tagName === "IMG" ? [[each.naturalWidth, each.naturalHeight]]
    : each.shadowRoot ? images(each.shadowRoot) : []);
return images(document);
"""


@dataclass
class Board:
    """TensorBoard on a folder, and a browser to look at it."""

    driver: webdriver.Chrome
    port: int

    def text(self, dashboard: str, *awaited: str, script: str = TEXT) -> str:
        """What a dashboard shows as soon as all that is awaited is there."""
        self.driver.get("about:blank")
        self.driver.get(f"http://localhost:{self.port}/?darkMode=false&smoothing=0#{dashboard}&_smoothingWeight=0")
        end = time.monotonic() + PATIENCE
        while not all(re.search(each, text := str(self.driver.execute_script(script))) for each in awaited):
            assert time.monotonic() < end, f"no {awaited} in {text}"
            time.sleep(0.3)
        return text


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder in which the program made a sweep of four runs and one run by itself."""
    folder = tmp_path_factory.mktemp("home")
    for settings in (SWEEP, ("model=mlp", "epochs=2", "logger.log_graph=true")):
        command = [sys.executable, str(ROOT / "train.py"), *settings, "trainer.precision=32"]
        subprocess.run(command, cwd=folder, check=True, capture_output=True)
    return folder


@pytest.fixture(scope="module")
def sweep(home: Path) -> Path:
    return home / "logs" / "sweeps" / "optimizers"


def boards(home: Path, folder: str) -> Iterator[Board]:
    with socket.socket() as free:
        free.bind(("localhost", 0))
        port = free.getsockname()[1]
    words = (
        Path(sys.executable).parent / "tensorboard",
        "--logdir",
        folder,
        "--host",
        "localhost",
        "--port",
        str(port),
    )
    with (home / "log").open("w") as log, subprocess.Popen(words, cwd=home, stdout=log, stderr=log) as server:
        try:
            wait_for(port, server)
            with browser(1700, 1000) as driver:
                yield Board(driver, port)
        finally:
            server.terminate()


def wait_for(port: int, server: subprocess.Popen[bytes]) -> None:
    """Until the server answers and has read what there is."""
    end = time.monotonic() + PATIENCE
    while True:
        try:
            with urlopen(f"http://localhost:{port}/data/plugins_listing") as answer:
                if b'"hparams": {"disable_reload": false, "enabled": true' in answer.read():
                    return
        except URLError:
            assert server.poll() is None
        assert time.monotonic() < end
        time.sleep(0.3)


@pytest.fixture(scope="module")
def board(home: Path) -> Iterator[Board]:
    yield from boards(home, "logs/sweeps/optimizers")


@pytest.fixture(scope="module")
def single(home: Path) -> Iterator[Board]:
    yield from boards(home, "logs/runs")


@pytest.fixture
def keep(request: pytest.FixtureRequest) -> Iterator[webdriver.Chrome]:
    """What is seen at the end of the test is kept as a picture of its name, if pictures were asked for."""
    board = request.getfixturevalue("board")
    yield
    if folder := request.config.getoption("--pictures"):
        time.sleep(2)  # until everything has faded in
        shrink(
            board.driver.get_screenshot_as_png(),
            Path(folder) / f"tensorboard-{request.node.name.removeprefix('test_')}.png",
        )


def shrink(screen: bytes, file: Path) -> None:
    """Write a picture with as few colours as it can do with."""
    with Image.open(io.BytesIO(screen)) as picture:
        whole = picture.convert("RGB")
    below = whole.getpixel((whole.width // 3, whole.height - 1))
    used = ImageChops.difference(whole, Image.new("RGB", whole.size, below)).getbbox()
    bottom = min(used[3] + 20, whole.height) if used else whole.height
    drawn = whole.crop((0, 0, whole.width, bottom))
    drawn.quantize(128, dither=Image.Dither.NONE).save(file, optimize=True)
    assert file.stat().st_size < LARGEST


def shown_in(text: str, *names: str) -> list[str]:
    """Those of the names that a text has, in its order."""
    return sorted((name for name in names if name in text), key=text.index)


def test_only_pages_with_something_on_them_are_offered(board: Board) -> None:
    board.text("timeseries", "TEXT|text")
    with urlopen(f"http://localhost:{board.port}/data/plugins_listing") as answer:
        listing = answer.read().decode()
    enabled = set(re.findall(r'"(\w+)": \{"disable_reload": \w+, "enabled": true', listing))
    assert enabled == {"timeseries", "scalars", "custom_scalars", "images", "text", "hparams"}


def test_timeseries(board: Board) -> None:
    """The curves of a quantity are in one group, accuracy and loss come first, and runs have names that tell them."""
    text = board.text("timeseries", "acc ?/train", "loss", *RUNS)
    assert shown_in(text, "acc ", "loss ", "progress ") == ["acc ", "loss ", "progress "]
    assert not re.search(r"\b(train|val) \d+ cards", text)


@pytest.mark.usefixtures("keep")
def test_scalars(board: Board) -> None:
    text = board.text("scalars", "acc/train", "acc/val", r"loss \d", r"progress \d", *RUNS)
    assert text.index("acc/train") < text.index("acc/val") < text.index("loss")
    assert "tag: train/" not in text


@pytest.mark.usefixtures("keep")
def test_custom_scalars(board: Board) -> None:
    """Training and validation of all runs are in one chart, for accuracy and for loss."""
    text = board.text("custom_scalars", r"Matches \(8\).*Matches \(8\)", script=ALL_TEXT)
    assert shown_in(text, "training and validation", " accuracy ", " loss ")[0] == "training and validation"
    for run in RUNS:
        for tag in ("acc/train", "acc/val", "loss/train", "loss/val"):
            assert re.search(rf"{tag} \({run}-\w{{8}}\)", text), (run, tag)


def test_images(board: Board) -> None:
    text = board.text("images", "test_confusion_matrix", "test_mistakes", "training_curves", "training_images")
    assert all(run in text for run in RUNS)
    sizes = board.text("images", r"\d{3,}.*\d{3,}", script=IMAGES)
    assert "[0, 0]" not in sizes


def test_text(board: Board) -> None:
    text = board.text("text", "python train.py", "_target_: labbook.models.mlp.MLP", *RUNS)
    assert text.count("python train.py -m model=mlp optimizer=sgd,adam epochs=8 seeds=2") == len(RUNS)
    assert "lr: 0.01" in text


@pytest.mark.usefixtures("keep")
def test_hparams(board: Board) -> None:
    """What differs between the runs comes first, with figures of each."""
    text = board.text("hparams", *RUNS, "Show Metrics.*acc/test")
    settings, table = text.split("Show Metrics")
    assert re.findall(r"optimizer\.lr|Optimizer|seed|Callbacks", settings)[:4] == [
        "Optimizer", "optimizer.lr", "seed", "Callbacks",
    ]  # fmt: skip
    assert len(re.findall(r"optimizer-\w+-42-|optimizer-\w+-43-", table)) >= len(RUNS)
    assert len(re.findall(r"\b0\.[89]\d+", table)) >= 3 * len(RUNS)


def test_a_single_run_has_its_graph_too(single: Board) -> None:
    text = single.text("scalars", "acc/train", r"\d{4}-\d\d-\d\d_\d\d-\d\d-\d\d_mlp_digits")
    assert "acc/val" in text
    single.text("graphs", "Auto-extract|Trace inputs|Fit")


def test_report(sweep: Path, request: pytest.FixtureRequest) -> None:
    """The report of the same sweep, as a picture for the README."""
    with browser(1280, 1400) as driver:
        driver.get((sweep / sweep_page.PAGE).as_uri())
        assert "adam" in driver.execute_script(TEXT)
        if folder := request.config.getoption("--pictures"):
            shrink(driver.get_screenshot_as_png(), Path(folder) / "report.png")
