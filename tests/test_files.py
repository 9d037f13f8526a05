"""Files are whole or not there, and damage shows."""

import errno
import os
import random
from pathlib import Path
from typing import Any

import pytest
import torch
from filelock import FileLock

from labbook import files
from labbook.errors import SettingError


def archive(path: Path) -> Path:
    """A sealed checkpoint of a few kilobytes."""
    torch.save({"weights": torch.arange(500.0), "rows": [{"epoch": 1}]}, path)
    files.add_checksum(path)
    return path


def test_a_sealed_checkpoint_is_whole_and_can_be_loaded_as_ever(tmp_path: Path) -> None:
    path = archive(tmp_path / "a.ckpt")
    assert files.find_corruption(path) is None
    assert torch.equal(torch.load(path, weights_only=True)["weights"], torch.arange(500.0))
    assert torch.load(path, weights_only=True, mmap=True)["rows"] == [{"epoch": 1}]


def test_every_changed_bit_is_noticed(tmp_path: Path) -> None:
    path = archive(tmp_path / "a.ckpt")
    good = path.read_bytes()
    draw = random.Random(0)
    for place in {*draw.sample(range(len(good)), 300), *range(len(good) - 200, len(good))}:
        bad = bytearray(good)
        bad[place] ^= 1 << draw.randrange(8)
        path.write_bytes(bad)
        assert files.find_corruption(path) == "its checksum is wrong", place


def test_every_cut_is_noticed(tmp_path: Path) -> None:
    path = archive(tmp_path / "a.ckpt")
    good = path.read_bytes()
    for length in {0, 1, 21, 22, *random.Random(0).sample(range(len(good)), 200), len(good) - 1}:
        path.write_bytes(good[:length])
        assert files.find_corruption(path) is not None, length
        path.write_bytes(good[:length] + bytes(len(good) - length))  # as a file system does after a power cut
        only_the_end = length >= len(good) - files.SEAL_LENGTH - 22  # of the archive's directory, or the seal itself
        assert only_the_end or files.find_corruption(path) is not None, length


def test_a_checkpoint_that_nobody_sealed_is_held_against_its_own_checksums(tmp_path: Path) -> None:
    path = tmp_path / "a.ckpt"
    torch.save({"weights": torch.arange(500.0)}, path)
    assert files.find_corruption(path) is None
    bad = bytearray(path.read_bytes())
    bad[bytes(bad).index(torch.arange(100.0, 101.0).numpy().tobytes())] ^= 1
    path.write_bytes(bad)
    assert str(files.find_corruption(path)).startswith("the checksum of a/data/0 in it is wrong")


def test_what_was_written_wrong_is_not_sealed(tmp_path: Path) -> None:
    path = tmp_path / "a.ckpt"
    torch.save({"weights": torch.arange(500.0)}, path)
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(OSError, match="not written as expected"):
        files.add_checksum(path)


def test_a_file_is_replaced_at_once_and_the_old_one_kept_if_asked(tmp_path: Path) -> None:
    path = tmp_path / "a"
    files.write_whole(path, "one")
    with files.atomic_replace(path, keep=tmp_path / "before") as partial:
        partial.write_text("two")
        assert path.read_text() == "one"
    assert path.read_text() == "two"
    assert (tmp_path / "before").read_text() == "one"
    assert sorted(item.name for item in tmp_path.iterdir()) == ["a", "before"]


@pytest.mark.parametrize(("owner", "name"), [(Path, "write_bytes"), (os, "fsync"), (Path, "replace")])
def test_where_writing_fails_the_old_file_stays(
    owner: Any, name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(*_: Any, **__: Any) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    path = tmp_path / "a"
    path.write_text("one")
    with monkeypatch.context() as patch:
        patch.setattr(owner, name, fails)
        with pytest.raises(OSError, match="No space left"), files.atomic_replace(path, durable=True) as partial:
            partial.write_bytes(b"two")
    assert path.read_text() == "one"
    assert [item.name for item in tmp_path.iterdir()] == ["a"]


@pytest.mark.parametrize("number", [errno.EINVAL, errno.ENOTSUP, errno.EIO])
def test_a_file_system_need_not_know_how_to_flush_a_folder(
    number: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(_: int) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, "fsync", fails)
    if number == errno.EIO:
        with pytest.raises(OSError, match=os.strerror(number)):
            files.flush_folder(tmp_path)
    else:
        files.flush_folder(tmp_path)


def test_a_folder_is_locked_while_a_process_is_at_work_in_it(tmp_path: Path) -> None:
    assert not files.is_folder_locked(tmp_path)
    with files.folder_lock(tmp_path):
        assert files.is_folder_locked(tmp_path)
    (tmp_path / files.LOCK).touch()  # as a process that was killed leaves it
    assert not files.is_folder_locked(tmp_path)
    with files.folder_lock(tmp_path):
        pass


def test_a_lock_file_is_not_removed_under_the_process_that_took_it_next(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    others = []

    class Contended(FileLock):
        def release(self, force: bool = False) -> None:
            super().release(force)
            others.append(FileLock(tmp_path / files.LOCK))  # another process was waiting
            others[0].acquire(timeout=1)

    with monkeypatch.context() as patch:
        patch.setattr(files, "FileLock", Contended)
        with files.folder_lock(tmp_path):
            pass
    with pytest.raises(SettingError, match="is in use by another process"), files.folder_lock(tmp_path):
        pass
    others[0].release()


def test_what_killed_processes_left_half_written_is_removed(tmp_path: Path) -> None:
    path = tmp_path / "a"
    files.write_whole(path, "one")
    with files.atomic_replace(path) as partial:
        partial.write_text("two")
        os.link(partial, partial.with_name(f"{partial.name}{files.PARTIAL}"))  # as if another process had left it
    assert len(list(tmp_path.iterdir())) == 2
    files.remove_partial(tmp_path)
    assert [item.name for item in tmp_path.iterdir()] == ["a"]


@pytest.mark.skipif(not Path("/proc/self/fd").is_dir(), reason="needs Linux")
def test_a_lock_where_no_file_can_be_is_not_waited_for() -> None:
    with pytest.raises(FileNotFoundError), files.blocking_lock(Path("/proc/self/fd/x.lock")):
        pass
