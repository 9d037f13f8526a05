"""List or delete the decoded images that runs keep on the disk: `python scripts/cache.py [FOLDER]`.

FOLDER is data.cache_dir (default: data/cache). A cache is old if images of its folder were changed, moved or deleted
since, or if another version wrote it. It is also old if a run was killed while it decoded (for an hour: incomplete). A
run decodes again what is missing.
"""

from pathlib import Path

from labbook.cli.command_line import exit_with_message
from labbook.config import invocation
from labbook.console import plain_table, wide_enough
from labbook.data.cache_records import CacheEntry, list_caches, remove_caches
from labbook.errors import SettingError, list_first, printable


def select_caches(entries: list[CacheEntry], words: list[str], folder: Path) -> list[CacheEntry]:
    unknown = set(words) - {"old", "all"} - {entry.name for entry in entries}
    if unknown:
        known = list_first(entry.name for entry in entries) or "none"
        raise SettingError(
            f"--remove {printable(sorted(unknown)[0])}: choose old, all or the name of a cache in {folder} ({known})"
        )
    states = {"old", "current"} if "all" in words else {"old"} & set(words)
    return [entry for entry in entries if entry.name in words or entry.state in states]


def print_caches(entries: list[CacheEntry]) -> None:
    heads = ("Cache", "Size", "Images", "Pixels", "Written", "State", "Images from")
    rows = []
    for entry in entries:
        images, pixels, source = "", "", ""
        if record := entry.record:
            images, source = f"{record.images:,}", record.folder
            pixels = f"{record.size} x {record.size} x {record.channels}"
        written = f"{entry.written:%Y-%m-%d %H:%M}"
        rows.append((entry.name, in_megabytes(entry.size), images, pixels, written, entry.state, source))
    table = plain_table([(head, head in ("Size", "Images")) for head in heads], rows, overflow="fold")
    wide_enough().print(table)


def in_megabytes(size: int) -> str:
    return f"{size / 1e6:,.1f} MB"


@exit_with_message()
def main() -> None:
    parser = invocation.command_parser("cache", __doc__)
    parser.add_argument("folder", nargs="?", type=Path, default=Path("data/cache"), metavar="FOLDER")
    parser.add_argument(
        "--remove", nargs="+", default=[], metavar="NAME", help="delete these caches: old, all, or names from the list"
    )
    given = parser.parse_args()
    folder = given.folder.expanduser()
    if not folder.is_dir():
        raise SettingError(f"{folder} is not a folder: name the data.cache_dir of your runs")
    entries = list_caches(folder)
    if given.remove:
        removed = select_caches(entries, given.remove, folder)
        print(f"deleted: {len(removed)} of {len(entries)} caches, {in_megabytes(remove_caches(removed))}")
        return
    if entries:
        print_caches(entries)
    total, old = (sum(entry.size for entry in group) for group in (entries, [each for each in entries if each.is_old]))
    print(f"{folder}: {in_megabytes(total)}, {in_megabytes(old)} of it old")
