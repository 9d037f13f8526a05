"""Files from the network: from several mirrors, resumed, bounded in time and size, believed only with their sha256."""

import errno
import os
import random
import re
import socket
import ssl
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from http.client import HTTPException, HTTPResponse, InvalidURL
from pathlib import Path
from urllib import request
from urllib.error import HTTPError, URLError
from urllib.parse import urlsplit

from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn, TransferSpeedColumn

from labbook import __version__
from labbook.data.checksums import Published

CHUNK = 2**16  # bytes read at a time
PASSING = (408, 425, 429, 500, 502, 503, 504)  # answers that may be another one soon
UNREACHABLE = (errno.ENETUNREACH, errno.ENETDOWN, errno.EHOSTUNREACH)
WORTH = 1 / 20  # of a file: who brought that much before the connection broke is asked for the rest at once


@dataclass(frozen=True)
class Patience:
    """How long mirrors are waited for: seconds, and bytes a second."""

    silence: float = 15  # until an answer, and between two pieces of a file
    window: float = 10  # over which the pace is measured
    pace: float = 500_000  # in the first round a slower mirror is left for the next one
    slowest: float = 10_000  # in all later rounds: a day for 860 MB
    rounds: int = 3  # over all mirrors
    pause: float = 1  # before the second round, doubled before the next, by up to a half more or less
    longest_pause: float = 30  # that a mirror may ask for


class DownloadError(Exception):
    """No mirror gave the file: why, mirror by mirror."""


class MirrorError(Exception):
    """Why a mirror did not give a file, in a few words."""

    def __init__(self, reason: str, again: bool = True, wait: float = 0) -> None:
        super().__init__(reason)
        self.again = again  # whether it may give the file later
        self.wait = wait  # seconds that it asks for until then


class TooSlowError(MirrorError):
    """Another mirror may be faster."""


def download(file: Published, target: Path, urls: Sequence[str], patience: Patience | None = None) -> None:
    """Get `file` from the first of `urls` that has it, into `target`, which changes only when the file is whole.

    What an earlier try left in `target`.partial is continued, also from another mirror: the sha256 has the last word.

    Raises:
        DownloadError: each mirror's reason.
        OSError: the disk's own.
    """
    patience = patience or Patience()
    begun = target.with_name(f"{target.name}.partial")
    failures: dict[str, MirrorError] = {}
    ready = dict.fromkeys(urls, 0.0)  # when each may be asked
    with shown(file) as show:
        for turn in range(patience.rounds):
            pace = patience.pace if turn == 0 and len(urls) > 1 else patience.slowest
            for url in sorted(ready, key=lambda url: ready[url]):
                time.sleep(max(0.0, ready[url] - time.monotonic()))
                try:
                    persistently(url, file, begun, patience, pace, show)
                except MirrorError as failure:
                    failures[url] = failure
                    ready[url] = time.monotonic() + max(failure.wait, backoff(turn, patience))
                else:
                    begun.replace(target)
                    return
            ready = {url: when for url, when in ready.items() if failures[url].again}
    raise DownloadError("; ".join(f"{urlsplit(url).netloc}: {failures[url]}" for url in urls))


def backoff(turn: int, patience: Patience) -> float:
    """Seconds until a mirror is asked again, of which those who failed together draw different ones."""
    return patience.pause * 2.0**turn * random.uniform(0.5, 1.5)


def persistently(
    url: str, file: Published, begun: Path, patience: Patience, pace: float, show: Callable[[int], None]
) -> None:
    """Fetch from one mirror, again at once for as long as every try brings a good part of the file."""
    while True:
        before = size(begun)
        try:
            fetch(url, file, begun, patience, pace, show)
            return
        except TooSlowError:
            raise
        except MirrorError as failure:
            if not failure.again or size(begun) - before < WORTH * file.size:
                raise


def size(path: Path) -> int:
    """Its bytes; none where there is no such file."""
    return path.stat().st_size if path.exists() else 0


def fetch(url: str, file: Published, begun: Path, patience: Patience, pace: float, show: Callable[[int], None]) -> None:
    """Make `begun` the whole file with one request, which asks only for what is not there yet.

    Raises:
        MirrorError: what went wrong; `begun` keeps what can be continued, and nothing that is wrong.
    """
    if size(begun) > file.size:
        begun.unlink()
    before = size(begun)
    if before < file.size:
        with (
            answered(url, file, before, patience) as answer,
            begun.open("ab" if answer.status == 206 else "wb") as sink,
        ):
            for chunk in chunks(answer, file.size - sink.tell(), patience, pace):
                sink.write(chunk)
                show(sink.tell())
            sink.flush()
            os.fsync(sink.fileno())
    if size(begun) < file.size:
        raise MirrorError(f"broke off after {size(begun):,} of {file.size:,} bytes")
    if not file.is_at(begun):
        begun.unlink()
        raise MirrorError("sends other bytes than were published", again=before > 0)


@contextmanager
def answered(url: str, file: Published, before: int, patience: Patience) -> Iterator[HTTPResponse]:
    """The answer to a request for the bytes from `before` on, if it can be those, or all of them."""
    headers = {"User-Agent": f"labbook/{__version__}", "Accept-Encoding": "identity"}
    if before:
        headers["Range"] = f"bytes={before}-"
    with in_words(patience):
        answer: HTTPResponse = opener().open(request.Request(url, headers=headers), timeout=patience.silence)
    with answer:
        if answer.headers.get_content_type() == "text/html":
            raise MirrorError("answers with a web page", again=False)
        if answer.status == 206:
            part = re.fullmatch(r"bytes (\d+)-\d+/(\d+|\*)", answer.headers.get("Content-Range", ""))
            if not before or part is None or int(part[1]) != before or part[2] not in ("*", str(file.size)):
                raise MirrorError("sends another part than it was asked for", again=False)
        elif answer.status != 200:
            raise MirrorError(f"answers with status {answer.status}", again=False)
        elif answer.headers.get("Content-Length", str(file.size)) != str(file.size):
            raise MirrorError(f"has {answer.headers['Content-Length']} bytes instead of {file.size}", again=False)
        yield answer


def opener() -> request.OpenerDirector:
    """Follows redirections to http and https alone, through the proxies that the environment names."""
    director = request.OpenerDirector()
    for handler in (
        request.ProxyHandler, request.HTTPHandler, request.HTTPSHandler, request.HTTPRedirectHandler,
        request.HTTPErrorProcessor, request.HTTPDefaultErrorHandler, request.UnknownHandler,
    ):  # fmt: skip
        director.add_handler(handler())
    return director


def chunks(answer: HTTPResponse, left: int, patience: Patience, pace: float) -> Iterator[bytes]:
    """What the mirror sends, as it comes: `left` bytes at most, no slower than `pace`."""
    since, counted = time.monotonic(), 0
    while True:
        with in_words(patience):
            chunk = answer.read1(min(CHUNK, left + 1))
        if not chunk:
            return
        if len(chunk) > left:
            raise MirrorError("sends more than was published", again=False)
        yield chunk
        left -= len(chunk)
        counted += len(chunk)
        seconds = time.monotonic() - since
        if left and seconds >= patience.window:
            if counted < pace * seconds:
                raise TooSlowError(f"sends only {counted / seconds / 1000:,.0f} kB/s")
            since, counted = time.monotonic(), 0


@contextmanager
def in_words(patience: Patience) -> Iterator[None]:
    """What the network did, as a MirrorError."""
    try:
        yield
    except HTTPError as error:
        error.close()
        wait = asked_to_wait(error.headers.get("Retry-After", ""))
        again = error.code in PASSING and wait <= patience.longest_pause
        asks = f" and asks to wait {wait:,.0f} s" if wait else ""
        raise MirrorError(f"answers {error.code} {' '.join(str(error.reason).split())}{asks}", again, wait) from error
    except (OSError, HTTPException, ValueError) as error:
        cause = error.reason if isinstance(error, URLError) else error
        if isinstance(cause, socket.gaierror):
            raise MirrorError("its name cannot be resolved", again=False) from error
        if isinstance(cause, TimeoutError):
            raise MirrorError(f"silent for {patience.silence:g} s") from error
        final = isinstance(cause, ValueError | InvalidURL | ssl.SSLCertVerificationError | str)
        final = final or getattr(cause, "errno", None) in UNREACHABLE
        raise MirrorError(" ".join(str(cause).split()) or type(cause).__name__, again=not final) from error


def asked_to_wait(given: str) -> float:
    """Seconds that a Retry-After asks for, which is a number of them or a date."""
    with suppress(ValueError):
        return max(0.0, float(given))
    with suppress(ValueError, TypeError):
        return max(0.0, (parsedate_to_datetime(given) - datetime.now(UTC)).total_seconds())
    return 0


@contextmanager
def shown(file: Published) -> Iterator[Callable[[int], None]]:
    """A progress bar on the error stream of a terminal: a function that is told the bytes that are there."""
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        DownloadColumn(),
        TransferSpeedColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=Console(stderr=True), disable=not sys.stderr.isatty()) as bar:
        task = bar.add_task(file.name, total=file.size)
        yield lambda there: bar.update(task, completed=there)
