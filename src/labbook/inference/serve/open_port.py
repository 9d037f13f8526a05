"""What the page's server needs before torch and Gradio are imported: a port, and that Gradio keeps to itself."""

import errno
import os
import socket
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from labbook.errors import SettingError, missing_package_message, printable

HOST, PORT = "127.0.0.1", 7860
KEPT, KEPT_BYTES, KEPT_SECONDS = 100, 256 * 2**20, 600  # pictures: the browser has loaded them long before
HERE = (HOST, "localhost", "::1", "", None)


def check_installed() -> None:
    """Refuse to go on without what the page is made with.

    Raises:
        SettingError: the extra `serve` is not installed.
    """
    for package in ("gradio", "captum"):
        if find_spec(package) is None:
            raise SettingError(missing_package_message(package, "serve"))


def opened(port: int) -> socket.socket:
    """A socket that listens on this port of this machine, or for 0 on one that is free.

    Raises:
        SettingError: naming the port, where it cannot be had.
    """
    if not 0 <= port < 2**16:
        raise SettingError(f"--port={port} must be from 0 (a free one) to 65535")
    listener = socket.socket()
    if os.name == "posix":  # elsewhere it would let two programs have the port
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((HOST, port))
        listener.listen()
    except OSError as error:
        listener.close()
        why = "in use" if error.errno == errno.EADDRINUSE else f"not to be had ({error.strerror})"
        raise SettingError(f"port {port} is {why}: give another with --port N, or a free one with --port 0") from error
    return listener


@contextmanager
def alone() -> Iterator[None]:
    """Gradio keeps to itself within this: it reports to nobody, and what it stores is gone at the end.

    Has to be entered before Gradio is imported. What a shell has set for other pages of Gradio's is left out.
    """
    for name in [name for name in os.environ if name.startswith("GRADIO_")]:
        del os.environ[name]
    os.environ |= {"GRADIO_ANALYTICS_ENABLED": "False", "HF_HUB_OFFLINE": "1", "HF_HUB_DISABLE_TELEMETRY": "1"}
    with tempfile.TemporaryDirectory(prefix="labbook-serve-", ignore_cleanup_errors=True) as folder:
        os.environ["GRADIO_TEMP_DIR"] = folder
        yield


def remove_old(folder: Path) -> None:
    """Remove the pictures that Gradio has stored below a folder and nobody needs any more.

    The newest `KEPT` of the last `KEPT_SECONDS` stay, as far as they have `KEPT_BYTES` together.
    """
    stored = []
    for file in folder.rglob("*"):
        with suppress(FileNotFoundError):
            status = file.lstat()
            stored += [] if file.is_dir() else [(status.st_mtime, status.st_size, file)]
    left = KEPT_BYTES
    for place, (written, size, file) in enumerate(sorted(stored, reverse=True)):
        left -= size
        if place >= KEPT or left < 0 or time.time() - written > KEPT_SECONDS:
            with suppress(OSError):  # the folder has other files, or is the one for all
                file.unlink(missing_ok=True)
                file.parent.rmdir()


def keep_here(event: str, arguments: tuple[Any, ...]) -> None:
    """Refuse all connections from this process to other machines: one of Python's audit hooks, which stay for good.

    Gradio would fetch what a message to it names by an address in place of a file.
    """
    if event == "socket.getaddrinfo":
        host = arguments[0]
    elif event == "socket.connect" and isinstance(arguments[1], tuple):  # else a socket in the file system
        host = arguments[1][0]
    else:
        return
    name = host.decode("ascii", "replace") if isinstance(host, bytes) else host
    if name not in HERE:
        raise PermissionError(f"no connection to {printable(name)}: this page works on its machine alone")
