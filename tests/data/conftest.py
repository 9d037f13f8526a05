"""Servers that have what real ones would."""

import gzip
import io
import tarfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from torchvision import datasets

from labbook.data.cifar import CIFAR10, CIFAR100
from labbook.data.mnist import MNIST, FashionMNIST
from tests.data.mirror import Web, serving
from tests.data.samples import images, write_cifar, write_mnist
from tests.data.small_sets import TEST, TRAIN, archive_of, published


@pytest.fixture(scope="module")
def server() -> Iterator[Web]:
    with serving() as web:
        yield web


@pytest.fixture
def web(server: Web, monkeypatch: pytest.MonkeyPatch) -> Web:
    """A server that has been asked for nothing, reached without a proxy."""
    for name in ("http_proxy", "https_proxy", "all_proxy", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)
    server.answers.clear()
    server.asked.clear()
    server.headers.clear()
    return server


@pytest.fixture
def _mirrors(web: Web, monkeypatch: pytest.MonkeyPatch) -> None:
    """No test reaches the network: the mirrors of all sets are on this machine, and have nothing."""
    for kind in (MNIST, FashionMNIST, CIFAR10, CIFAR100):
        monkeypatch.setattr(kind, "mirrors", (web.url(), web.url("second/")))


@pytest.fixture
def mnist(web: Web, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, bytes]:
    """A small MNIST on the server, as if it were the published one; the unpacked files."""
    write_mnist(tmp_path / "server", TRAIN, TEST)
    files = {path.name: path.read_bytes() for path in sorted((tmp_path / "server").iterdir())}
    packed = {f"{name}.gz": gzip.compress(content, mtime=0) for name, content in files.items()}
    for name, content in packed.items():
        web.put(name, content)
    monkeypatch.setattr(MNIST, "archives", tuple(published(*item) for item in packed.items()))
    monkeypatch.setattr(MNIST, "contents", {f"{name}.gz": published(name, files[name]) for name in files})
    return files


@pytest.fixture
def cifar(web: Web, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> bytes:
    """A small CIFAR-10 on the server, as if it were the published one; the archive."""
    write_cifar(datasets.CIFAR10, tmp_path / "server", images(20, 3, 32, 10), images(10, 3, 32, 10), monkeypatch)
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as archive:
        archive.add(tmp_path / "server" / CIFAR10.folder, CIFAR10.folder)
    return archive_of(web, monkeypatch, packed.getvalue())
