"""A web server on this machine, which answers as well or as badly as a test wants."""

import re
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, ClassVar

import pytest

Answer = Callable[["Handler", bytes], None]


class Handler(BaseHTTPRequestHandler):
    """Looks up how its server answers at a path."""

    server: "Web"

    def do_GET(self) -> None:
        """Answer in the way that the path has; a client may leave at any time."""
        name = self.path.lstrip("/")
        self.server.asked.append((name, self.headers.get("Range")))
        self.server.headers.append(dict(self.headers))
        answer, content = self.server.answers.get(name, (status(404), b""))
        with suppress(OSError):
            answer(self, content)
        self.close_connection = True

    def start(self, code: int, **headers: object) -> None:
        """The head of an answer; names are written with _ for -."""
        self.send_response(code)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), str(value))
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Says nothing."""


class Web(ThreadingHTTPServer):
    """Counts what it is asked for."""

    daemon_threads = True
    block_on_close = False
    patience: ClassVar[float] = 3  # seconds that a silent answer lasts, unless the client leaves

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.answers: dict[str, tuple[Answer, bytes]] = {}
        self.asked: list[tuple[str, str | None]] = []
        self.headers: list[dict[str, str]] = []
        self.over = threading.Event()

    def handle_error(self, *_: object) -> None:
        """Says nothing."""

    def url(self, name: str = "") -> str:
        """The address of a path."""
        return f"http://127.0.0.1:{self.server_address[1]}/{name}"

    def put(self, name: str, content: bytes, answer: Answer | None = None) -> str:
        """Answer so at this path, whose address is returned."""
        self.answers[name] = (answer or whole, content)
        return self.url(name)


@contextmanager
def serving() -> Iterator[Web]:
    """A server that runs meanwhile."""
    with Web() as web:
        thread = threading.Thread(target=web.serve_forever, args=(0.005,))
        thread.start()
        try:
            yield web
        finally:
            web.over.set()
            web.shutdown()
            thread.join()


def offline(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """No name can be resolved; the names that one tries to."""
    tries: list[str] = []

    def nowhere(host: str, *_: Any, **__: Any) -> Any:
        tries.append(host)
        raise socket.gaierror(socket.EAI_AGAIN, "Temporary failure in name resolution")

    monkeypatch.setattr(socket, "getaddrinfo", nowhere)
    return tries


# Answers -------------------------------------------------------------------------------------------------------------


def begin(handler: Handler, content: bytes) -> bytes:
    """The head of a right answer; returns what is to follow."""
    asked = re.fullmatch(r"bytes=(\d+)-", handler.headers.get("Range", ""))
    if asked is None:
        handler.start(200, Content_Length=len(content))
        return content
    first = int(asked[1])
    handler.start(
        206, Content_Length=len(content) - first, Content_Range=f"bytes {first}-{len(content) - 1}/{len(content)}"
    )
    return content[first:]


def whole(handler: Handler, content: bytes) -> None:
    handler.wfile.write(begin(handler, content))


def ignoring_ranges(handler: Handler, content: bytes) -> None:
    handler.start(200, Content_Length=len(content))
    handler.wfile.write(content)


def cut(after: int) -> Answer:
    """Breaks off after so many bytes."""
    return lambda handler, content: whole_part(handler, begin(handler, content)[:after])


def whole_part(handler: Handler, part: bytes) -> None:
    handler.wfile.write(part)


def stalling(after: int) -> Answer:
    """Sends so many bytes and then nothing, without leaving."""

    def answer(handler: Handler, content: bytes) -> None:
        handler.wfile.write(begin(handler, content)[:after])
        handler.wfile.flush()
        handler.server.over.wait(handler.server.patience)

    return answer


def silent(handler: Handler, content: bytes) -> None:
    handler.server.over.wait(handler.server.patience)


def dripping(piece: int, pause: float) -> Answer:
    """Sends a few bytes at a time."""

    def answer(handler: Handler, content: bytes) -> None:
        rest = begin(handler, content)
        for start in range(0, len(rest), piece):
            handler.wfile.write(rest[start : start + piece])
            handler.wfile.flush()
            time.sleep(pause)

    return answer


def announcing(length: int) -> Answer:
    """Says that the file has another length."""

    def answer(handler: Handler, content: bytes) -> None:
        handler.start(200, Content_Length=length)
        handler.wfile.write(content[:length].ljust(length))

    return answer


def endless(handler: Handler, content: bytes) -> None:
    handler.start(200)
    while not handler.server.over.is_set():
        handler.wfile.write(content)


def status(code: int, **headers: object) -> Answer:
    """An error, with a page about it."""

    def answer(handler: Handler, content: bytes) -> None:
        handler.start(code, Content_Type="text/html", **headers)
        handler.wfile.write(b"<html>no</html>")

    return answer


def page(handler: Handler, content: bytes) -> None:
    """A page to log in, as a hotel's network gives for every address."""
    handler.start(200, Content_Type="text/html; charset=utf-8", Content_Length=len(content))
    handler.wfile.write(b"<html>please log in</html>".ljust(len(content)))


def another_part(handler: Handler, content: bytes) -> None:
    handler.start(206, Content_Length=9, Content_Range=f"bytes 0-8/{len(content)}")
    handler.wfile.write(content[:9])


def no_http(handler: Handler, content: bytes) -> None:
    handler.wfile.write(b"220 ready\r\n")
