"""Download a file from the first mirror that has it, continue partial files, and verify the checksum."""

import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from http.client import HTTPException
from pathlib import Path
from socket import gaierror
from urllib import request
from urllib.error import HTTPError, URLError
from urllib.parse import urlsplit

from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn, TransferSpeedColumn

from labbook import __version__
from labbook.data.archives import Published
from labbook.files import replace_file

TIMEOUT = 15.0  # seconds to an answer, and between two parts of a file
ROUNDS = 2  # over all mirrors
CHUNK = 2**16  # bytes


class DownloadError(Exception):
    """No mirror has the file; the reason of each mirror."""


class MirrorError(Exception):
    """The reason why a mirror failed."""


def download_file(file: Published, target: Path, urls: Sequence[str]) -> None:
    """Download `file` from the first of `urls` that has it. `target` changes only when the file is complete.

    `target`.partial is continued, also from another mirror and in a later call.

    Raises:
        DownloadError: the last error of each mirror.
        OSError: an error of the disk.
    """
    partial = target.with_name(f"{target.name}.partial")
    failures: dict[str, str] = {}
    with progress_bar(file) as show:
        for url in [*urls] * ROUNDS:
            try:
                fetch_once(url, file, partial, show)
            except MirrorError as failure:
                failures[url] = str(failure)
            else:
                replace_file(partial, target)
                return
    raise DownloadError("; ".join(f"{urlsplit(url).netloc}: {reason}" for url, reason in failures.items()))


def fetch_once(url: str, file: Published, partial: Path, show: Callable[[int], None]) -> None:
    """Complete `partial` with one request for the rest of the file.

    Raises:
        MirrorError: the reason. `partial` can be continued, or is deleted.
    """
    start = partial.stat().st_size if partial.exists() else 0
    if start >= file.size and not file.is_at(partial):
        partial.unlink()
        start = 0
    if start < file.size:
        headers = {"User-Agent": f"labbook/{__version__}"} | ({"Range": f"bytes={start}-"} if start else {})
        with network_errors():
            answer = request.build_opener().open(request.Request(url, headers=headers), timeout=TIMEOUT)
        with answer:
            if answer.headers.get_content_type() == "text/html":
                raise MirrorError("answers with a web page")
            continued = answer.headers.get("Content-Range", "").startswith(f"bytes {start}-")
            with partial.open("ab" if continued else "wb") as sink:
                while sink.tell() <= file.size:
                    with network_errors():
                        chunk = answer.read1(CHUNK)
                    if not chunk:
                        break
                    sink.write(chunk)
                    show(sink.tell())
    size = partial.stat().st_size
    if size < file.size:
        raise MirrorError(f"broke off after {size:,} of {file.size:,} bytes")
    if not file.is_at(partial):
        partial.unlink()
        if start:  # the first bytes, from another mirror, can be wrong
            fetch_once(url, file, partial, show)
            return
        raise MirrorError("sends other bytes than published")


@contextmanager
def network_errors() -> Iterator[None]:
    """Raise errors of the network as MirrorError."""
    try:
        yield
    except HTTPError as error:
        error.close()
        raise MirrorError(f"answers {error.code} {' '.join(str(error.reason).split())}") from error
    except (OSError, HTTPException, ValueError) as error:
        cause = error.reason if isinstance(error, URLError) else error
        if isinstance(cause, gaierror):
            raise MirrorError("its name cannot be resolved") from error
        if isinstance(cause, TimeoutError):
            raise MirrorError(f"silent for {TIMEOUT:g} s") from error
        raise MirrorError(" ".join(str(cause).split()) or type(cause).__name__) from error


@contextmanager
def progress_bar(file: Published) -> Iterator[Callable[[int], None]]:
    """A progress bar on standard error of a terminal; call the result with the number of bytes so far."""
    columns = (
        TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TransferSpeedColumn(), TimeRemainingColumn()
    )  # fmt: skip
    with Progress(*columns, console=Console(stderr=True), disable=not sys.stderr.isatty()) as bar:
        task = bar.add_task(file.name, total=file.size)
        yield lambda there: bar.update(task, completed=there)
