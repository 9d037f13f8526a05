"""The digests of files before they are decoded, remembered from run to run."""

import json
import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

from labbook.data.decoding import file_digest
from labbook.files import make_folder, write_whole


def file_digests(paths: Sequence[Path], memory: Path) -> list[str]:
    """The digest of each file's bytes; of one that cannot be read its name.

    `memory` is a file with those of before, which are taken where a file has not changed since.
    """
    known: dict[str, list[object]] = {}
    with suppress(OSError, ValueError):
        content = json.loads(memory.read_text(encoding="utf-8"))
        known = content if isinstance(content, dict) else {}
    stamps = {str(path.absolute()): stamp_of(path) for path in paths}
    new = [name for name, stamp in stamps.items() if not stamp or known.get(name, [None])[:-1] != stamp]
    with ThreadPoolExecutor(max_workers=os.cpu_count()) as pool:
        read = dict(zip(new, pool.map(lambda name: file_digest(Path(name)) if stamps[name] else "", new), strict=True))
    found = {name: read[name] if name in read else str(known[name][-1]) for name in stamps}
    if new or len(known) != len(stamps):
        with suppress(OSError):  # to be read again next time
            make_folder(memory.parent)
            write_whole(memory, json.dumps({name: [*stamps[name], found[name]] for name in stamps if found[name]}))
    return [found[str(path.absolute())] or f"unreadable {path.name}" for path in paths]


def stamp_of(path: Path) -> list[object]:
    """What changes when a file does; nothing of what is no file."""
    try:
        status = path.stat()
    except OSError:
        return []
    return [status.st_size, status.st_mtime_ns, status.st_ctime_ns, status.st_ino] if path.is_file() else []
