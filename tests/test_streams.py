"""What a program prints arrives in every encoding, and with streams that the shell has closed or nobody reads."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

TEXT = "0.98 ± 0.01, –, cat → dog, a…, 5 µs, é 日"
PRINTS = f"from labbook import starting; print({TEXT!r}); import sys; print('→', file=sys.stderr)"


@pytest.mark.parametrize(
    ("encoding", "told"),
    [
        ("ascii", r"0.98 +- 0.01, -, cat -> dog, a..., 5 us, \xe9 \u65e5"),
        ("cp437", r"0.98 ± 0.01, -, cat -> dog, a..., 5 µs, é \u65e5"),
        ("utf-8", TEXT),
    ],
)
def test_signs_that_an_encoding_does_not_have_are_written_in_ascii(encoding: str, told: str) -> None:
    ended = subprocess.run(
        [sys.executable, "-c", PRINTS],
        env={**os.environ, "PYTHONIOENCODING": encoding},
        capture_output=True,
        check=False,
    )
    assert (ended.returncode, ended.stdout.decode(encoding)) == (0, f"{told}\n")
    assert ended.stderr.decode(encoding) == ("→\n" if encoding == "utf-8" else "->\n")


# Opens a file as a training opens its event file, and has a child print as a library does.
OPENS = """
from labbook import starting
import os, subprocess, sys
print("lost")
print("lost", file=sys.stderr)
with open("file", "w") as file:
    assert file.fileno() > 2
    subprocess.run(["echo", "lost"], check=True)
    os.write(1, b"lost")
    os.write(2, b"lost")
    file.write("kept")
"""


@pytest.mark.skipif(os.name == "nt", reason="a shell of its own there")
@pytest.mark.parametrize("closed", [">&-", ">&- 2>&-", "<&- >&- 2>&-"])
def test_nothing_is_written_into_a_file_that_took_the_place_of_a_closed_stream(closed: str, tmp_path: Path) -> None:
    program = tmp_path / "program.py"
    program.write_text(OPENS)
    command = ["sh", "-c", f'"{sys.executable}" program.py {closed}']
    ended = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert (ended.returncode, ended.stdout) == (0, "")
    assert (tmp_path / "file").read_text() == "kept"


OUTLASTS = """
import sys
from pathlib import Path
from labbook import console, starting
from rich.console import Console
print("first", flush=True)
sys.stdin.read()
for _ in range(99):
    print("line " * 999)
    print("line", file=sys.stderr, flush=True)
Console().print("table")
Path("unread").write_text(str(console.reader_has_left(sys.stdout)))
"""


@pytest.mark.skipif(os.name == "nt", reason="a closed pipe is another error there")
@pytest.mark.parametrize("unbuffered", ["", "1"])
def test_a_program_goes_on_to_its_end_when_its_reader_leaves(tmp_path: Path, unbuffered: str) -> None:
    environment = os.environ | {"PYTHONUNBUFFERED": unbuffered}
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    with subprocess.Popen([sys.executable, "-c", OUTLASTS], cwd=tmp_path, env=environment, **pipes) as program:  # type: ignore[call-overload]
        assert program.stdout.readline() == b"first\n"
        program.stdout.close()
        program.stderr.close()
        program.stdin.close()
    assert program.returncode == 0
    assert (tmp_path / "unread").read_text() == "True"
