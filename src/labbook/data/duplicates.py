"""Files with the same content: in two classes, in training and test, or in one class; and digests of files."""

import json
import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from labbook.data.image_cache import Labelled, Photographs, file_digest
from labbook.errors import printable
from labbook.files import make_folder, read_json, write_whole


class Duplicates(NamedTuple):
    """Lines with the names of two files with the same bytes."""

    contradictions: list[str]  # with different labels
    leaks: list[str]  # in training and test
    copies: list[str]  # in one part, with the same label
    seen_in_training: list[str]  # in the folders for training and validation
    doubtful: set[str]  # digests of the contradictions


def find_duplicates(train: Photographs, test: Photographs) -> Duplicates:
    found = Duplicates([], [], [], [], set())
    seen: dict[str, tuple[int, Labelled]] = {}
    for number, part in enumerate((train, test)):
        for digest, file in zip(part.images.digests, part.files, strict=True):
            part_of_first, first = seen.setdefault(digest, (number, file))
            if first is file:
                continue
            line = f"{printable(file.path)} and {printable(first.path)}"
            if file.label != first.label:
                found.contradictions.append(line)
                found.doubtful.add(digest)
            elif part_of_first != number:
                found.leaks.append(line)
            elif first.validation != file.validation:
                found.seen_in_training.append(line)
            else:
                found.copies.append(line)
    return found


def image_count(images: Sequence[str]) -> str:
    """For example `1 image is` or `1,200 images are`."""
    return "1 image is" if len(images) == 1 else f"{len(images):,} images are"


def file_digests(paths: Sequence[Path], memory: Path) -> list[str]:
    """The digest of each file; the name of an unreadable one. `memory` is a file with digests of unchanged files."""
    known = read_json(memory)
    stamps = {str(path.absolute()): stamp_of(path) for path in paths}
    new = [name for name, stamp in stamps.items() if not stamp or known.get(name, [None])[:-1] != stamp]
    with ThreadPoolExecutor(max_workers=os.cpu_count()) as pool:
        read = dict(zip(new, pool.map(lambda name: file_digest(Path(name)) if stamps[name] else "", new), strict=True))
    found = {name: read[name] if name in read else str(known[name][-1]) for name in stamps}
    if new or len(known) != len(stamps):
        with suppress(OSError):  # read again next time
            make_folder(memory.parent)
            write_whole(memory, json.dumps({name: [*stamps[name], found[name]] for name in stamps if found[name]}))
    return [found[str(path.absolute())] or f"unreadable {path.name}" for path in paths]


def stamp_of(path: Path) -> list[object]:
    """Values that change when a file changes; empty if it is not a file."""
    try:
        status = path.stat()
    except OSError:
        return []
    return [status.st_size, status.st_mtime_ns, status.st_ctime_ns, status.st_ino] if path.is_file() else []
