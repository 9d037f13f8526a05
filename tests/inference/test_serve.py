"""What the page's controls do, without a browser; and what ends the script before there is a page."""

import socket
from collections.abc import Callable
from copy import deepcopy
from dataclasses import replace
from functools import cache
from pathlib import Path
from types import ModuleType

import pytest
import torch
from omegaconf import DictConfig, OmegaConf
from PIL import Image

pytest.importorskip("captum", reason="needs the extra: make setup EXTRAS=serve")

from fastapi import FastAPI
from fastapi.testclient import TestClient
from starlette.requests import Request

from labbook import experiment
from labbook.cli.commands import serve
from labbook.config.compose import compose_config
from labbook.data.digits import Digits
from labbook.data.mnist import MNIST
from labbook.data.resize import resize_and_convert
from labbook.errors import SettingError
from labbook.inference.serve import page, server
from labbook.inference.serve.explain import METHODS, Explainer
from labbook.inference.trained_model import TrainedModel
from labbook.training import hardware
from tests.conftest import Command

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


def saved(path: Path, ground: int) -> Path:
    image = Image.new("L", (20, 20), ground)
    image.paste(255 - ground, (5, 5, 15, 15))
    image.save(path)
    return path


def test_a_picture_is_judged(explainer: Explainer, tmp_path: Path) -> None:
    light, dark = saved(tmp_path / "a.png", 255), saved(tmp_path / "b.png", 0)
    pixels, inverted = explainer.from_file(light)
    assert inverted
    assert pixels[0, 0, 0, 0] == 0
    as_drawn, inverted = explainer.from_file(dark)
    assert torch.equal(as_drawn, pixels)
    assert not inverted
    assert torch.equal(explainer.from_file(light, False)[0], 255 - explainer.from_file(light, True)[0])
    for method in METHODS:
        answer = explainer.answer(pixels, method)
        assert len(answer[0]) == 5
        assert list(answer[0].values()) == sorted(answer[0].values(), reverse=True)
        assert answer[1].shape == answer[2].shape == (352, 352, 3)
        assert METHODS[method] in answer[3]
    assert explainer.answer(None, "Saliency") == (None, None, None, "")


def test_what_is_no_picture_is_said_as_plain_text(
    explainer: Explainer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "x.png").write_text("<b>")
    with pytest.raises(SettingError, match=r"^this file is no image$"):
        explainer.from_file(tmp_path / "x.png")
    shown: list[str] = []
    monkeypatch.setattr(page.gr, "Warning", lambda text, **_: shown.append(text))
    page.show_error(SettingError("this file is not <b>"))
    assert shown == ["this file is not &lt;b&gt;."]


def test_test_images_are_shown(explainer: Explainer) -> None:
    assert [name for _, name in explainer.samples] == [str(number) for number in range(10) for _ in range(2)]
    assert explainer.samples[19][0].shape == (1, 1, 8, 8)


def test_test_images_that_are_not_at_hand(
    explainer: Explainer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(MNIST, "_obtain", lambda _: pytest.fail("nothing is to be downloaded"))
    config = compose_config("data=mnist", f"data.root={tmp_path / 'data'}", "data.image_size=8")
    explainer.network.config.data.image_size = 9
    with pytest.raises(SettingError, match=r"^the test images are not of the size"):
        _ = explainer.samples
    explainer.network = replace(explainer.network, config=config)
    with pytest.raises(SettingError, match=r"^the test images are not in .*data: use another folder with data\.root="):
        _ = explainer.samples
    assert not (tmp_path / "data").exists()


def test_a_picture_gets_the_resolution_of_the_data_set_first(explainer: Explainer, tmp_path: Path) -> None:
    noise = torch.randint(0, 256, (100, 100), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    Image.fromarray(noise.numpy()).save(tmp_path / "a.png")
    coarse, _ = explainer.from_file(tmp_path / "a.png", False)
    explainer.spec = replace(explainer.spec, size=16)
    seen, _ = explainer.from_file(tmp_path / "a.png", False)
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
