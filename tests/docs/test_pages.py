"""What the pages say is so: links, tables, names and versions are those of the code."""

import re
import shutil
import subprocess
import sys
import tomllib
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from urllib.parse import unquote

import pytest
import yaml

from labbook import setup
from labbook.cli.commands.new import KINDS
from labbook.config.arguments import choice_files
from labbook.runs import run_folder
from labbook.runs.resume import CHANGEABLE
from tests.cases import each_case
from tests.docs.pages import NOT_RUN, PAGES, ROOT, blocks, commands
from tools.model_table import compatibility
from tools.model_table.compatibility import Pair
from tools.model_table.survey import networks
from tools.options_page import option_tables
from tools.results.markdown_sections import placed

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
README = PAGES["README.md"]
LANGUAGES = {"sh", "python", "yaml", "text"}


def prose(page: str) -> str:
    """A page without its blocks of code."""
    return re.sub(r"^```.*?^```$", "", page, flags=re.DOTALL | re.MULTILINE)


def anchors(page: str) -> set[str]:
    """What the headings of a page are linked to by, as GitHub makes it."""
    headings = re.findall(r"^#+ (.+)$", prose(page), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def links(page: str) -> list[str]:
    """The targets of links and pictures that lead to files of the project."""
    targets = re.findall(r"\]\(([^)\s]+)\)", prose(page))
    return [target for target in targets if not target.startswith(("https://", "http://", "mailto:"))]


@each_case("name", list(PAGES))
def test_links_lead_somewhere(name: str) -> None:
    for link in links(PAGES[name]):
        path, _, anchor = link.partition("#")
        target = (ROOT / name).parent / unquote(path) if path else ROOT / name
        assert target.exists(), link
        if anchor:
            assert anchor in anchors(target.read_text(encoding="utf-8")), link


def test_pages_of_the_site_link_only_to_files_of_the_site() -> None:
    pages = {name: page for name, page in PAGES.items() if name.startswith("docs/")}
    wrong = [
        (name, link)
        for name, page in pages.items()
        for link in links(page)
        if not ((ROOT / name).parent / unquote(link.partition("#")[0])).resolve().is_relative_to(ROOT / "docs")
    ]
    assert not wrong  # such files are named by their path
    site = tomllib.loads((ROOT / "zensical.toml").read_text(encoding="utf-8"))["project"]
    listed = [file for part in site["nav"] for entries in part.values() for entry in entries for file in entry.values()]
    assert sorted(listed) == sorted(name.removeprefix("docs/") for name in pages)


@pytest.mark.skipif(find_spec("zensical") is None, reason="needs the extra: docs")
def test_the_site_is_built_without_a_warning(tmp_path: Path) -> None:
    for name in ("docs", "src"):
        shutil.copytree(ROOT / name, tmp_path / name, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "zensical.toml", tmp_path)
    build = [sys.executable, "-m", "zensical", "build", "--strict"]
    ended = subprocess.run(build, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    reference = (tmp_path / "site" / "api" / "index.html").read_text(encoding="utf-8")
    assert 'id="labbook.api.train"' in reference
    assert "The same call again resumes it" in reference
    hosts = {*re.findall(r'(?:src|href)="https?://([^/"]+)', (tmp_path / "site" / "index.html").read_text())}
    assert hosts <= {"zensical.org"}  # no page loads anything from elsewhere; this is a link


def test_broken_links_are_found() -> None:
    page = "# A page's `name`, long\n[a](b.md#c) ![d](e.png) [f](https://example.org)\n```sh\n[g](h)\n```\n"
    assert links(page) == ["b.md#c", "e.png"]
    assert anchors(page) == {"a-pages-name-long"}


def test_every_page_is_in_the_index() -> None:
    listed = set(links(PAGES["docs/README.md"]))
    assert listed - {"report.png"} == {name[5:] for name in PAGES if name.startswith("docs/")} - {"README.md"}


@each_case("name", list(PAGES))
def test_commands_stand_where_they_are_run_by_tests(name: str) -> None:
    fences = re.findall(r"^```(\w*)", PAGES[name], re.MULTILINE)
    assert set(fences[::2]) <= LANGUAGES
    assert not any(fences[1::2])
    shown = "".join(blocks("text", PAGES[name]))
    assert not re.findall(r"^(?:\$ |python |make ).*$", shown, re.MULTILINE)


def test_what_is_not_run_is_on_a_page() -> None:
    assert NOT_RUN.keys() <= {line for page in PAGES.values() for line in (*commands(page), *also_told(page))}


def also_told(page: str) -> list[str]:
    return re.findall(r"`(make [a-z-]+)`", page)


def test_the_first_command_comes_early() -> None:
    assert README.splitlines().index("make train") < 25


def test_the_page_of_options_is_what_the_files_say() -> None:
    page, written = PAGES["docs/options.md"], "\n\n".join(option_tables())
    own = {item[0] for item in KINDS.values()}  # groups that may have options of your own, which are not on the page
    for shown, said in zip(page.split("\n## ")[1:], written.split("## ")[1:], strict=True):
        group, rows = said.splitlines()[0], said.rstrip().splitlines()
        assert set(shown.partition("\n<!--")[0].rstrip().splitlines()) <= set(rows), group
        assert shown.startswith(said.rstrip()) or group in own, group
        assert f"`{group}`" in README.partition("## Options and settings")[2].partition("```")[0]


def test_the_readme_tells_what_is_in_a_run_folder() -> None:
    table = README.partition("| in the run folder |")[2].partition("```")[0]
    for name in (
        run_folder.CONFIG,
        run_folder.METRICS,
        run_folder.TABLE,
        run_folder.LOG,
        run_folder.PREDICTIONS,
        run_folder.LAST,
        run_folder.PREVIOUS,
        run_folder.BEST,
    ):
        assert f"`{name}`" in table


def test_make_and_its_help_know_the_same_commands() -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8").replace("\\\n", "")
    (commands,) = re.findall(r"^COMMANDS := (.+)$", makefile, re.MULTILINE)
    assert commands.split() == list(setup.COMMANDS)


def test_extras_are_all_told_of() -> None:
    extras = PROJECT["optional-dependencies"].keys() - {"dev"}
    assert extras <= set(re.findall(r"`(\w+)`", README))


def test_every_script_is_on_a_page_or_behind_a_target_of_make() -> None:
    told = "\n".join([*PAGES.values(), *(program for command in setup.COMMANDS.values() for program in command)])
    programs = [path.relative_to(ROOT) for name in ("scripts", "tools") for path in (ROOT / name).glob("[!_]*.py")]
    assert not [path for path in programs if path.as_posix() not in told]


def test_what_a_resumed_run_may_change_is_told() -> None:
    page = PAGES["docs/resuming.md"].partition("## Settings that may change")[2]
    section = page.partition("\n##")[0].partition("\n- ")[0]
    assert tuple(re.findall(r"`([\w.]+)`", section.partition("only these:")[2].partition(". Any")[0])) == CHANGEABLE


def test_the_pages_are_short_and_plain() -> None:
    assert len(README.splitlines()) <= 150
    for name, page in PAGES.items():
        assert not re.findall("[\u2190-\u2bff\U0001f000-\U0001faff]", prose(page)), name
        assert "img.shields.io" not in page
        assert page.startswith("# "), name


@cache
def rows_of_pairs() -> list[list[str]]:
    table = PAGES["docs/models.md"].partition("<!-- figures of pairs -->")[2].partition("<!-- end of pairs -->")[0]
    return [[cell.strip() for cell in line.strip("| ").split(" | ")] for line in table.strip().splitlines()]


@pytest.mark.slow  # one of your own need not be
def test_every_network_and_set_is_in_the_table_of_pairs() -> None:
    (_, *heads), _, *rows = rows_of_pairs()
    assert sorted(re.findall(r"`(\w+)`", " ".join(heads))) == [path.stem for path in choice_files("data")]
    named = sorted(re.findall(r"`(\w+)` \d", " ".join(row[0] for row in rows)))
    assert named == networks()


@pytest.mark.slow
def test_the_table_of_pairs_is_what_the_code_says() -> None:
    page = PAGES["docs/models.md"]
    assert placed(page, "pairs", compatibility.as_markdown(compatibility.all_pairs())) == page


def test_pairs_of_the_same_sizes_share_a_row() -> None:
    some = [Pair(model, data, 8, least) for model, least in (("a", 1), ("b", 9), ("c", 2)) for data in "xy"]
    *_, first, second = compatibility.as_markdown(some).splitlines()
    assert first == "| `a` 1, `c` 2 | 8 |"
    assert second == "| `b` 9 | `data.image_size=9` |"


def test_a_citation_has_what_one_needs() -> None:
    cited = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    assert {"cff-version", "message", "title", "authors"} <= cited.keys()  # what the schema requires
    assert cited["cff-version"] == "1.2.0"
    assert cited["type"] == "software"
    assert [author["name"] for author in cited["authors"]] == [author["name"] for author in PROJECT["authors"]]
    assert (cited["version"], cited["license"]) == (PROJECT["version"], PROJECT["license"])


def test_the_license_is_the_one_that_is_named() -> None:
    text = (ROOT / "LICENSE").read_text(encoding="utf-8")
    assert text.startswith(f"{PROJECT['license']} License")
    assert PROJECT["license-files"] == ["LICENSE"]
    assert f"Copyright (c) 2026 {PROJECT['authors'][0]['name']}" in text


def test_the_changelog_knows_this_version() -> None:
    heads = re.findall(r"^## \[(.+?)\]", PAGES["CHANGELOG.md"], re.MULTILINE)
    assert heads[:2] == ["Unreleased", PROJECT["version"]]


def test_the_picture_of_the_architecture_names_files_there_are() -> None:
    picture = (ROOT / "docs" / "architecture.svg").read_text(encoding="utf-8")
    lines = re.findall(r'class="code"[^>]*>(.*?)</text>', picture)
    names = [word for line in lines for word in line.split() if word != "..."]
    assert len(lines) == 7
    for name in names:
        assert (ROOT / "src" / "labbook" / name).exists() or (ROOT / name).exists(), name
