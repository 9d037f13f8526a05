"""Downloads, against a server that does everything wrong that servers do."""

import hashlib
import random
import time
from pathlib import Path

import pytest

from labbook.data import download as module
from labbook.data.archives import Published
from labbook.data.download import DownloadError, download_file
from tests.data import mirror
from tests.data.mirror import Answer, Web, offline

CONTENT = random.Random(0).randbytes(50_000)
OTHER = random.Random(1).randbytes(50_000)
FILE = Published("set.gz", len(CONTENT), hashlib.sha256(CONTENT).hexdigest())


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "TIMEOUT", 0.15)


def get(folder: Path, *urls: str) -> None:
    target = folder / FILE.name
    download_file(FILE, target, urls)
    assert target.read_bytes() == CONTENT
    assert [path.name for path in folder.iterdir()] == [FILE.name]


def refusal(folder: Path, *urls: str) -> str:
    with pytest.raises(DownloadError) as refused:
        download_file(FILE, folder / FILE.name, urls)
    assert not (folder / FILE.name).exists()
    assert "\n" not in str(refused.value)
    return str(refused.value)


def begun(folder: Path) -> Path:
    return folder / f"{FILE.name}.partial"


# What works ---------------------------------------------------------------------------------------------------------


def test_a_file_is_downloaded_with_one_request(web: Web, tmp_path: Path) -> None:
    get(tmp_path, web.put("a", CONTENT))
    assert web.asked == [("a", None)]


def test_the_second_mirror_is_not_asked_where_the_first_gives(web: Web, tmp_path: Path) -> None:
    get(tmp_path, web.put("a", CONTENT), web.put("b", CONTENT))
    assert web.asked == [("a", None)]


def test_cut_at_any_byte_the_rest_alone_is_fetched(web: Web, tmp_path: Path) -> None:
    small = Published("small", 20, hashlib.sha256(CONTENT[:20]).hexdigest())
    url = web.put("a", CONTENT[:20])
    for there in range(21):
        (tmp_path / "small.partial").write_bytes(CONTENT[:there])
        download_file(small, tmp_path / "small", [url])
        assert (tmp_path / "small").read_bytes() == CONTENT[:20]
    ranges = [None, *(f"bytes={there}-" for there in range(1, 20))]  # with all 20 nobody is asked
    assert web.asked == [("a", wanted) for wanted in ranges]


def test_a_connection_that_breaks_is_continued_in_the_second_round(web: Web, tmp_path: Path) -> None:
    get(tmp_path, web.put("a", CONTENT, mirror.cut(25_000)))
    assert web.asked == [("a", None), ("a", "bytes=25000-")]


def test_the_rest_may_come_from_another_mirror(web: Web, tmp_path: Path) -> None:
    first = web.put("a", CONTENT, mirror.cut(20_000))
    get(tmp_path, first, web.put("b", CONTENT))
    assert web.asked[-1] == ("b", "bytes=20000-")


def test_a_server_that_ignores_ranges_starts_over(web: Web, tmp_path: Path) -> None:
    begun(tmp_path).write_bytes(CONTENT[:123])
    get(tmp_path, web.put("a", CONTENT, mirror.ignoring_ranges))


@pytest.mark.parametrize("wrong", [OTHER[:777], OTHER, OTHER + b"more"], ids=["short", "whole", "too long"])
def test_a_wrong_beginning_is_not_continued_for_ever(wrong: bytes, web: Web, tmp_path: Path) -> None:
    begun(tmp_path).write_bytes(wrong)
    get(tmp_path, web.put("a", CONTENT))


def test_what_is_there_stays_until_the_new_file_is_whole(web: Web, tmp_path: Path) -> None:
    (tmp_path / FILE.name).write_bytes(b"old")
    with pytest.raises(DownloadError):
        download_file(FILE, tmp_path / FILE.name, [web.put("a", OTHER)])
    assert (tmp_path / FILE.name).read_bytes() == b"old"
    get(tmp_path, web.put("b", CONTENT))


@pytest.mark.parametrize("code", [301, 302, 303, 307, 308])
def test_redirections_are_followed(code: int, web: Web, tmp_path: Path) -> None:
    to = web.put("b", CONTENT)
    begun(tmp_path).write_bytes(CONTENT[:10])
    get(tmp_path, web.put("a", b"", mirror.status(code, Location=to)))
    assert web.asked == [("a", "bytes=10-"), ("b", "bytes=10-")]


def test_a_proxy_that_the_environment_names_is_used(web: Web, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", web.url())
    url = "http://far.invalid/set.gz"
    web.put(url, CONTENT)
    get(tmp_path, url)
    assert web.asked == [(url, None)]


# What does not -------------------------------------------------------------------------------------------------------

FAULTS: dict[str, tuple[Answer, str]] = {
    "not there": (mirror.status(404), "answers 404 Not Found"),
    "busy": (mirror.status(503), "answers 503 Service Unavailable"),
    "a page": (mirror.page, "answers with a web page"),
    "shorter": (mirror.announcing(49_999), "broke off after 49,999 of 50,000 bytes"),
    "shorter and wrong": (lambda handler, _: mirror.whole(handler, OTHER[:9]), "broke off after 9 of 50,000 bytes"),
    "endless": (mirror.endless, "sends other bytes than published"),
    "other bytes": (lambda handler, content: mirror.whole(handler, OTHER), "sends other bytes than published"),
    "a part unasked": (mirror.another_part, "broke off after 9 of 50,000 bytes"),
    "to a file": (mirror.status(302, Location="file:///etc/passwd"), "answers 302 Found"),
    "to no address": (mirror.status(302, Location="http://127.0.0.1:port/"), "nonnumeric port: 'port'"),
    "silent": (mirror.silent, "silent for 0.15 s"),
    "stalling": (mirror.stalling(0), "silent for 0.15 s"),
    "not http": (mirror.no_http, "220 ready"),
    "closing": (mirror.cut(0), "broke off after 0 of 50,000 bytes"),
}


@pytest.mark.parametrize("name", FAULTS)
def test_a_bad_mirror_is_asked_twice_and_left_for_the_next_one(name: str, web: Web, tmp_path: Path) -> None:
    answer, said = FAULTS[name]
    first = web.put("a", CONTENT, answer)
    assert said in refusal(tmp_path, first)
    assert [asked for asked, _ in web.asked] == ["a", "a"]
    begun(tmp_path).unlink(missing_ok=True)
    get(tmp_path, first, web.put("b", CONTENT))


def test_redirections_in_a_circle_end(web: Web, tmp_path: Path) -> None:
    assert "302" in refusal(tmp_path, web.put("a", b"", mirror.status(302, Location="/a")))
    assert len(web.asked) < 24


def test_a_mirror_that_stalls_is_left_and_the_rest_comes_from_the_next(web: Web, tmp_path: Path) -> None:
    started = time.monotonic()
    get(tmp_path, web.put("a", CONTENT, mirror.stalling(1000)), web.put("b", CONTENT))
    assert web.asked == [("a", None), ("b", "bytes=1000-")]
    assert time.monotonic() - started < 2


def test_without_a_network_the_mirrors_are_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tries = offline(monkeypatch)
    said = refusal(tmp_path, "https://one.invalid/a", "http://two.invalid/a")
    assert said == "one.invalid: its name cannot be resolved; two.invalid: its name cannot be resolved"
    assert tries == ["one.invalid", "two.invalid"] * 2


def test_all_mirrors_are_named_with_their_reasons(web: Web, tmp_path: Path) -> None:
    said = refusal(tmp_path, web.put("a", CONTENT, mirror.status(404)), web.put("b", CONTENT, mirror.page))
    host = web.url().split("/")[2]
    assert said == f"{host}: answers 404 Not Found; {host}: answers with a web page"


def test_a_part_beyond_the_end_is_requested_again(web: Web, tmp_path: Path) -> None:
    """Of a server whose file is shorter than what is there."""
    begun(tmp_path).write_bytes(CONTENT[:30_000])
    said = refusal(tmp_path, web.put("a", CONTENT, mirror.status(416)))
    assert "416" in said


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs a disk that is always full")
def test_a_full_disk_is_no_fault_of_the_mirrors(web: Web, tmp_path: Path) -> None:
    begun(tmp_path).symlink_to("/dev/full")
    with pytest.raises(OSError, match="No space left"):
        download_file(FILE, tmp_path / FILE.name, [web.put("a", CONTENT)])


# Progress -------------------------------------------------------------------------------------------------------------


def test_progress_is_shown_on_the_error_stream_of_a_terminal(
    web: Web, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module.sys.stderr, "isatty", lambda: True)
    get(tmp_path, web.put("a", CONTENT))
    shown = capsys.readouterr()
    assert FILE.name in shown.err
    assert shown.out == ""


def test_without_a_terminal_nothing_is_shown(web: Web, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    get(tmp_path, web.put("a", CONTENT))
    shown = capfd.readouterr()
    assert (shown.out, shown.err) == ("", "")
