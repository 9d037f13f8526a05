"""What the page's controls do, without a browser; and what ends the script before there is a page."""

import inspect
import os
import socket
from collections.abc import Callable
from copy import deepcopy
from dataclasses import replace
from functools import cache
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import torch
from omegaconf import DictConfig, OmegaConf
from PIL import Image

pytest.importorskip("captum", reason="needs the extra: make setup EXTRAS=serve")

from fastapi import FastAPI
from fastapi.testclient import TestClient
from markupsafe import escape
from starlette.requests import Request

from labbook import experiment
from labbook.cli.commands import serve
from labbook.config.compose import compose_config
from labbook.data.digits import Digits
from labbook.data.mnist import MNIST
from labbook.data.resize import resize_and_convert
from labbook.errors import SettingError
from labbook.inference.serve import explain, page, server
from labbook.inference.serve.explain import METHODS, Explainer
from labbook.inference.trained_model import TrainedModel
from labbook.training import hardware
from tests.conftest import Command
from tests.inference.test_serve_images import drawing

pytestmark = pytest.mark.extra


@cache
def small() -> DictConfig:
    return compose_config("model=mlp", "model.width=8", "trainer=cpu", "trainer.precision=32", "data.image_size=8")


@pytest.fixture
def explainer(tmp_path: Path) -> Explainer:
    """Of a small network that knows nothing."""
    config = deepcopy(small())
    (tmp_path / "metrics.json").write_text('{"test/acc": 0.25}')
    model = experiment.build_model(config, Digits(image_size=8).spec).eval()
    choice = hardware.choose_for_run(config, model)
    return Explainer(TrainedModel(tmp_path, config, model, choice, 3))


def saved(path: Path, ground: int) -> dict[str, str]:
    image = Image.new("L", (20, 20), ground)
    image.paste(255 - ground, (5, 5, 15, 15))
    image.save(path)
    return {"path": str(path)}


def test_a_picture_is_judged(explainer: Explainer, tmp_path: Path) -> None:
    pixels, complaint, inverted = explainer.from_file(saved(tmp_path / "a.png", 255))
    assert (complaint, inverted) == ("", True)
    assert pixels is not None
    assert pixels[0, 0, 0, 0] == 0
    as_drawn, _, inverted = explainer.from_file(saved(tmp_path / "b.png", 0))
    assert as_drawn is not None
    assert torch.equal(as_drawn, pixels)
    assert not inverted
    for method in METHODS:
        answer = explainer.answer(pixels, method)
        assert len(answer[0]) == 5
        assert list(answer[0].values()) == sorted(answer[0].values(), reverse=True)
        assert answer[1].shape == answer[2].shape == (352, 352, 3)
        assert METHODS[method] in answer[3]
    assert explainer.answer(None, "Saliency") == (None, None, None, "")


def test_the_box_inverts(explainer: Explainer, tmp_path: Path) -> None:
    file = saved(tmp_path / "a.png", 255)
    inverted, plain = (explainer.from_file(file, invert)[0] for invert in (True, False))
    assert inverted is not None
    assert plain is not None
    assert torch.equal(plain, 255 - inverted)
    assert explainer.from_file(None) == (None, "", False)


def test_what_is_no_picture_is_said_as_plain_text(
    explainer: Explainer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "x.png").write_text("<b>")
    assert explainer.from_file({"path": str(tmp_path / "x.png")}) == (None, "This file is no image.", None)
    assert explainer.from_file({"path": "nowhere.png"})[1].startswith("This file cannot be read (")
    monkeypatch.chdir(tmp_path)
    pixels, complaint, _ = explainer.from_file({"path": "<script>"})
    assert pixels is None
    assert "<script>" in complaint
    assert "&lt;script&gt;" in page.text().postprocess(complaint)
    assert "<" not in page.text().postprocess(complaint)


def test_a_drawing_is_judged(explainer: Explainer) -> None:
    pixels = explainer.from_drawing({"composite": drawing((100, 50, 130, 200))}, True, True)
    assert pixels is not None
    assert pixels.max() > 200
    for empty in (None, {"composite": None}, {"composite": np.full((280, 280, 3), 255, np.uint8)}):
        assert explainer.from_drawing(empty, True, True) is None


def test_test_images_are_shown(explainer: Explainer) -> None:
    gallery, complaint = explainer.test_images()
    assert complaint == ""
    assert [name for _, name in gallery] == [str(number) for number in range(10) for _ in range(2)]
    assert explainer.samples[19][0].shape == (1, 1, 8, 8)


def test_test_images_that_are_not_at_hand(
    explainer: Explainer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(MNIST, "_obtain", lambda _: pytest.fail("nothing is to be downloaded"))
    config = compose_config("data=mnist", f"data.root={tmp_path / 'data'}", "data.image_size=8")
    with pytest.raises(SettingError, match=r"^the test images are not in .*data: use another folder with data\.root="):
        explain.sample_images(replace(explainer.network, config=config))
    assert not (tmp_path / "data").exists()
    explainer.network.config.data.image_size = 9
    assert explainer.test_images()[1].startswith("No test images: the test images are not of the size")


def test_few_of_many_classes() -> None:
    assert explain.spread_over_classes([2, 2, 0, 1, 0]) == [2, 4, 3, 0, 1]
    assert explain.spread_over_classes([0] * 50 + list(range(50))) == [0, *range(51, 70)]


def test_a_picture_gets_the_resolution_of_the_data_set_first(explainer: Explainer, tmp_path: Path) -> None:
    noise = torch.randint(0, 256, (100, 100), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    Image.fromarray(noise.numpy()).save(tmp_path / "a.png")
    coarse, _, _ = explainer.from_file({"path": str(tmp_path / "a.png")}, False)
    explainer.spec = replace(explainer.spec, size=16)
    seen, _, _ = explainer.from_file({"path": str(tmp_path / "a.png")}, False)
    assert coarse is not None
    assert seen is not None
    assert torch.equal(seen, resize_and_convert(coarse, 16, 1))


def test_the_head_of_the_page(explainer: Explainer) -> None:
    assert explainer.title.startswith("MLP of ")
    assert "test accuracy 0.2500; 10 classes; input 1 x 8 x 8 pixels; weights of epoch 3; device cpu" in (
        explainer.about
    )


@pytest.fixture
def started(script: Callable[[ModuleType], Command]) -> Command:
    return script(serve)


def test_refusals(started: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert "nowhere is not a run folder" in started("nowhere").sentence
    kept = {key: value for key, value in small().items() if key not in ("sweep", "seeds")}
    (tmp_path / "config.yaml").write_text(OmegaConf.to_yaml(kept, resolve=True))
    run = str(tmp_path)
    assert started(run, "--port", "70000").sentence == "--port=70000 must be from 0 (any free port) to 65535"
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        ended = started(run, "--port", str(port))
    assert ended.code == 2
    assert ended.sentence == (
        f"port {port} cannot be used (Address already in use): use another with --port N, or any free port with"
        " --port 0"
    )
    monkeypatch.setattr(server, "find_spec", lambda _: None)
    assert started(run).sentence == "gradio is not installed: make setup EXTRAS=serve, or pip install -e '.[serve]'"


@pytest.mark.parametrize(
    ("event", "arguments"),
    [
        ("socket.getaddrinfo", ("example.com", 443, 0, 0, 0)),
        ("socket.getaddrinfo", (b"example.com", 443, 0, 0, 0)),
        ("socket.connect", (None, ("93.184.215.14", 443))),
        ("socket.connect", (None, ("2606:2800::1", 443, 0, 0))),
    ],
)
def test_other_machines_are_not_spoken_to(event: str, arguments: tuple[object, ...]) -> None:
    with pytest.raises(PermissionError, match=r"^no connection to \S+: this page works only on this machine$"):
        server.refuse_other_hosts(event, arguments)


def test_this_machine_is_spoken_to() -> None:
    server.refuse_other_hosts("socket.connect", (None, ("127.0.0.1", 80)))
    server.refuse_other_hosts("socket.connect", (None, "/run/socket"))
    server.refuse_other_hosts("socket.getaddrinfo", (b"localhost", 80, 0, 0, 0))
    server.refuse_other_hosts("open", ("file", "r", 0))


@pytest.mark.parametrize("foreign", ["<img src=x onerror=alert(1)>", "</script><script>alert(1)</script>"])
def test_no_text_of_the_page_is_html(explainer: Explainer, foreign: str) -> None:
    spec = replace(explainer.network.spec, class_names=(foreign,) * 10)
    explainer.spec = spec
    pixels = torch.zeros(1, 1, 8, 8, dtype=torch.uint8)
    meaning = explainer.answer(pixels, "Saliency")[3]
    assert foreign in meaning
    assert page.text().postprocess(meaning) == str(escape(meaning))
    assert inspect.getsource(page).count("gr.HTML(") == 1  # there is no other place


OWN = "http://127.0.0.1:7860"


@pytest.mark.parametrize(
    ("method", "headers", "refused"),
    [
        ("GET", {}, False),
        ("POST", {}, False),  # of a program that is no browser
        ("POST", {"origin": OWN, "sec-fetch-site": "same-origin"}, False),
        ("GET", {"sec-fetch-site": "none", "sec-fetch-mode": "navigate"}, False),  # a typed address
        ("GET", {"sec-fetch-site": "cross-site", "sec-fetch-mode": "navigate"}, False),  # a link
        ("POST", {"origin": "https://example.com"}, True),
        ("POST", {"origin": "null"}, True),
        ("POST", {"origin": "http://127.0.0.1:8888"}, True),  # another program of this machine
        ("POST", {"sec-fetch-site": "cross-site", "sec-fetch-mode": "navigate"}, True),  # a form
        ("GET", {"sec-fetch-site": "cross-site", "sec-fetch-mode": "no-cors"}, True),
        ("GET", {"sec-fetch-site": "same-site", "sec-fetch-mode": "cors", "origin": "http://127.0.0.1:80"}, True),
    ],
)
def test_requests_of_other_pages(method: str, headers: dict[str, str], refused: bool) -> None:
    assert server.is_from_another_page(request(method, "/", headers)) == refused


def test_other_pages_may_link_to_the_page_alone() -> None:
    link = {"sec-fetch-site": "cross-site", "sec-fetch-mode": "navigate"}
    assert not server.is_from_another_page(request("GET", "/", link))
    assert server.is_from_another_page(request("GET", "/gradio_api/queue/data", link))


def request(method: str, path: str, headers: dict[str, str]) -> Request:
    raw = [(key.encode(), value.encode()) for key, value in {"host": "127.0.0.1:7860", **headers}.items()]
    return Request({"type": "http", "method": method, "path": path, "headers": raw, "query_string": b""})


def test_uploads_of_other_pages_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GRADIO_TEMP_DIR", str(tmp_path))
    app = FastAPI()
    app.middleware("http")(server.guard)
    taken: list[bytes] = []

    @app.post("/gradio_api/upload")
    async def upload(asked: Request) -> None:
        taken.append(await asked.body())

    client = TestClient(app, base_url=OWN)
    refused = client.post("/gradio_api/upload", content=b"x", headers={"Origin": "https://example.com"})
    assert (refused.status_code, taken) == (403, [])
    answered = client.post("/gradio_api/upload", content=b"x", headers={"Origin": OWN})
    assert (answered.status_code, taken) == (200, [b"x"])
    assert "script-src-attr 'none'" in answered.headers["Content-Security-Policy"]


@pytest.mark.parametrize(
    ("sizes", "left"),
    [
        ([10] * 5, [0, 1, 2]),  # too many
        ([10, 80, 20], [0, 1]),  # too large together
    ],
)
def test_few_files_are_kept(sizes: list[int], left: list[int], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server, "FILES", 3)
    monkeypatch.setattr(server, "TOTAL", 100)
    for number, size in enumerate(sizes):
        (tmp_path / str(number)).mkdir()
        file = tmp_path / str(number) / ("image.png" if number % 2 else "image")
        file.write_bytes(b"x" * size)
        os.utime(file, (1000 - number,) * 2)
    server.remove_old(tmp_path)
    assert sorted(int(file.parent.name) for file in tmp_path.glob("*/*")) == left
