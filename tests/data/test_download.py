"""Downloads, against a server that does everything wrong that servers do."""

import hashlib
import random
import socket
import time
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path

import pytest

from labbook.data import download as module
from labbook.data.checksums import Published
from labbook.data.download import DownloadError, Patience, asked_to_wait, download
from tests.data import mirror
from tests.data.mirror import Answer, Web, offline

CONTENT = random.Random(0).randbytes(50_000)
OTHER = random.Random(1).randbytes(50_000)
FILE = Published("set.gz", len(CONTENT), hashlib.sha256(CONTENT).hexdigest())
HASTY = Patience(silence=0.15, window=0.02, pace=1, slowest=1, rounds=3, pause=0.002, longest_pause=0.05)


def get(folder: Path, *urls: str, patience: Patience = HASTY) -> Path:
    target = folder / FILE.name
    download(FILE, target, urls, patience)
    assert target.read_bytes() == CONTENT
    assert [path.name for path in folder.iterdir()] == [FILE.name]
    return target


def refusal(folder: Path, *urls: str, patience: Patience = HASTY) -> str:
    with pytest.raises(DownloadError) as refused:
        download(FILE, folder / FILE.name, urls, patience)
    assert not (folder / FILE.name).exists()
    assert "\n" not in str(refused.value)
    return str(refused.value)


def reason(folder: Path, url: str, patience: Patience = HASTY) -> str:
    """What is said of the only mirror."""
    return refusal(folder, url, patience=patience).partition(": ")[2]


def begun(folder: Path) -> Path:
    return folder / f"{FILE.name}.partial"


# What works ---------------------------------------------------------------------------------------------------------


def test_a_file_is_downloaded_with_one_request(web: Web, tmp_path: Path) -> None:
    get(tmp_path, web.put("a", CONTENT))
    assert web.asked == [("a", None)]
    assert web.headers[0]["Accept-Encoding"] == "identity"


def test_the_second_mirror_is_not_asked_where_the_first_gives(web: Web, tmp_path: Path) -> None:
    get(tmp_path, web.put("a", CONTENT), web.put("b", CONTENT))
    assert web.asked == [("a", None)]


def test_cut_at_any_byte_the_rest_alone_is_fetched(web: Web, tmp_path: Path) -> None:
    small = Published("small", 20, hashlib.sha256(CONTENT[:20]).hexdigest())
    url = web.put("a", CONTENT[:20])
    for there in range(21):
        (tmp_path / "small.partial").write_bytes(CONTENT[:there])
        download(small, tmp_path / "small", [url], HASTY)
        assert (tmp_path / "small").read_bytes() == CONTENT[:20]
    ranges = [None, *(f"bytes={there}-" for there in range(1, 20))]  # with all 20 nobody is asked
    assert web.asked == [("a", wanted) for wanted in ranges]


def test_a_connection_cut_in_the_middle_is_resumed_at_the_same_mirror_at_once(web: Web, tmp_path: Path) -> None:
    """For as long as every connection brings something: more often than there are rounds."""
    started = time.monotonic()
    get(tmp_path, web.put("a", CONTENT, mirror.cut(5000)), web.put("b", CONTENT), patience=Patience(pause=60))
    assert web.asked == [("a", None), *(("a", f"bytes={there}-") for there in range(5000, 50_000, 5000))]
    assert time.monotonic() - started < 5


def test_the_rest_may_come_from_another_mirror(web: Web, tmp_path: Path) -> None:
    first = web.put("a", CONTENT, mirror.of(mirror.cut(20_000), mirror.status(404)))
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
        download(FILE, tmp_path / FILE.name, [web.put("a", OTHER)], HASTY)
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


@pytest.mark.parametrize("code", [408, 429, 500, 502, 503, 504])
def test_a_mirror_that_is_busy_is_asked_again(code: int, web: Web, tmp_path: Path) -> None:
    get(tmp_path, web.put("a", CONTENT, mirror.of(mirror.status(code), mirror.whole)))


def test_as_long_is_waited_as_a_mirror_asks_for(web: Web, tmp_path: Path) -> None:
    first = web.put("a", CONTENT, mirror.of(mirror.status(503, Retry_After=0.04), mirror.whole))
    started = time.monotonic()
    get(tmp_path, first)
    assert time.monotonic() - started > 0.04


def test_meanwhile_others_are_asked(web: Web, tmp_path: Path) -> None:
    get(tmp_path, web.put("a", CONTENT, mirror.status(429, Retry_After=0.04)), web.put("b", CONTENT))
    assert web.asked == [("a", None), ("b", None)]


def test_waiting_may_be_asked_for_with_a_date() -> None:
    later = datetime.now(UTC) + timedelta(seconds=90)
    assert 80 < asked_to_wait(format_datetime(later, usegmt=True)) <= 90
    assert asked_to_wait("Thu, 01 Jan 1970 00:00:00 GMT") == 0
    assert [asked_to_wait(given) for given in ("7", "-7", "", "soon")] == [7, 0, 0, 0]


# What does not -------------------------------------------------------------------------------------------------------

FINAL: dict[str, tuple[Answer, str]] = {
    "not there": (mirror.status(404), "answers 404 Not Found"),
    "forbidden": (mirror.status(403), "answers 403 Forbidden"),
    "a page": (mirror.page, "answers with a web page"),
    "shorter": (mirror.announcing(49_999), "has 49999 bytes instead of 50000"),
    "longer": (mirror.announcing(50_001), "has 50001 bytes instead of 50000"),
    "endless": (mirror.endless, "sends more than was published"),
    "other bytes": (lambda handler, content: mirror.whole(handler, OTHER), "sends other bytes than were published"),
    "a part unasked": (mirror.another_part, "sends another part than it was asked for"),
    "no content": (mirror.status(204), "answers with a web page"),
    "created": (lambda handler, content: handler.start(201), "answers with status 201"),
    "to a file": (mirror.status(302, Location="file:///etc/passwd"), "answers 302 Found"),
    "to ftp": (mirror.status(302, Location="ftp://127.0.0.1/a"), "unknown url type: ftp"),
    "to no address": (mirror.status(302, Location="http://127.0.0.1:port/"), "nonnumeric port: 'port'"),
    "to wait long": (mirror.status(503, Retry_After=3600), "answers 503 Service Unavailable and asks to wait 3,600 s"),
}
PASSING: dict[str, tuple[Answer, str]] = {
    "silent": (mirror.silent, "silent for 0.15 s"),
    "busy": (mirror.status(503), "answers 503 Service Unavailable"),
    "not http": (mirror.no_http, "220 ready"),
    "closing": (mirror.cut(0), "broke off after 0 of 50,000 bytes"),
}


@pytest.mark.parametrize("name", FINAL)
def test_what_will_not_get_better_is_asked_for_once(name: str, web: Web, tmp_path: Path) -> None:
    answer, said = FINAL[name]
    assert said in reason(tmp_path, web.put("a", CONTENT, answer))
    assert web.asked == [("a", None)]
    assert list(tmp_path.iterdir()) == [] or begun(tmp_path).stat().st_size <= FILE.size


@pytest.mark.parametrize("name", PASSING)
def test_what_may_get_better_is_asked_for_in_every_round(name: str, web: Web, tmp_path: Path) -> None:
    answer, said = PASSING[name]
    assert said in reason(tmp_path, web.put("a", CONTENT, answer))
    assert web.asked == [("a", None)] * 3


def test_redirections_in_a_circle_end(web: Web, tmp_path: Path) -> None:
    assert "302" in reason(tmp_path, web.put("a", b"", mirror.status(302, Location="/a")))
    assert len(web.asked) < 12


def test_a_mirror_that_stalls_is_left_and_the_rest_comes_from_the_next(web: Web, tmp_path: Path) -> None:
    started = time.monotonic()
    get(tmp_path, web.put("a", CONTENT, mirror.stalling(1000)), web.put("b", CONTENT))
    assert web.asked == [("a", None), ("b", "bytes=1000-")]
    assert time.monotonic() - started < 2


def test_a_mirror_that_is_slow_is_left_for_a_faster_one(web: Web, tmp_path: Path) -> None:
    first = web.put("a", CONTENT, mirror.dripping(50, 0.003))
    get(tmp_path, first, web.put("b", CONTENT), patience=Patience(window=0.03, pace=1e6, pause=0.001))
    assert [name for name, _ in web.asked] == ["a", "b"]
    assert web.asked[1][1] is not None


def test_where_all_are_slow_one_is_taken_nonetheless(web: Web, tmp_path: Path) -> None:
    urls = [web.put(name, CONTENT, mirror.dripping(5000, 0.004)) for name in "ab"]
    get(tmp_path, *urls, patience=Patience(window=0.005, pace=1e9, slowest=1000, pause=0.001))
    assert [name for name, _ in web.asked][:3] == ["a", "b", "a"]


def test_there_is_an_end_to_slowness(web: Web, tmp_path: Path) -> None:
    patience = Patience(window=0.02, pace=1e9, slowest=1e6, rounds=2, pause=0.001)
    assert "sends only" in reason(tmp_path, web.put("a", CONTENT, mirror.dripping(1, 0.002)), patience)


def test_without_a_network_each_mirror_is_tried_once_and_at_once(
    web: Web, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tries = offline(monkeypatch)
    started = time.monotonic()
    said = refusal(tmp_path, "https://one.invalid/a", "http://two.invalid/a", patience=Patience())
    assert said == "one.invalid: its name cannot be resolved; two.invalid: its name cannot be resolved"
    assert tries == ["one.invalid", "two.invalid"]
    assert time.monotonic() - started < 1


def test_a_refused_connection_is_said(web: Web, tmp_path: Path) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        port = unused.getsockname()[1]
    assert "refused" in reason(tmp_path, f"http://127.0.0.1:{port}/a")


def test_all_mirrors_are_named_with_their_reasons(web: Web, tmp_path: Path) -> None:
    said = refusal(tmp_path, web.put("a", CONTENT, mirror.status(404)), web.put("b", CONTENT, mirror.page))
    host = web.url().split("/")[2]
    assert said == f"{host}: answers 404 Not Found; {host}: answers with a web page"


def test_a_part_beyond_the_end_is_asked_for_anew(web: Web, tmp_path: Path) -> None:
    """Of a server whose file is shorter than what is there."""
    begun(tmp_path).write_bytes(CONTENT[:30_000])
    said = reason(tmp_path, web.put("a", CONTENT, mirror.status(416)))
    assert "416" in said


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs a disk that is always full")
def test_a_full_disk_is_no_fault_of_the_mirrors(web: Web, tmp_path: Path) -> None:
    begun(tmp_path).symlink_to("/dev/full")
    with pytest.raises(OSError, match="No space left"):
        download(FILE, tmp_path / FILE.name, [web.put("a", CONTENT)], HASTY)


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
