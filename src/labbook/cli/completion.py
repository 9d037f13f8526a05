"""What TAB proposes behind `python train.py`: `python -m labbook.cli.completion LINE`, one proposal a line.

Choices of a group are read off the folder names, within 0.1 s; only settings take Hydra, and nothing takes torch.
"""

import os
import re
import shlex
import sys
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

from labbook.config import known_settings
from labbook.errors import SettingError
from labbook.installation import CONFIGS, PROJECT_VARIABLE
from labbook.sweeps import grid_sweeper

OPTIONS = ("--cfg", "--config-dir=", "--help", "--hydra-help", "--info", "--multirun", "-m")
PLACES = ("resume", "log_dir", "data.root", "data.cache_dir", "--config-dir")  # settings with folders
OURS = ("base=", "config_groups.", "model_data=", "sweep.job.")  # set by the program only
# A shell would interpret other characters, and a proposal may come from a stranger's files.
PLAIN = re.compile(r"[\w./=,+~@:%-]+", re.ASCII)


def proposals(line: str) -> list[str]:
    """Completions of the last word of a command line that ends at the cursor."""
    program, *before, word = words_of(line)
    more = added_folders(before)
    places = [Path(program).parent / "configs", CONFIGS, *more]
    key, equals, value = word.partition("=")
    group = key.lstrip("+~")
    if word.startswith("-") and not equals:
        found: Iterable[str] = OPTIONS
    elif equals and key in PLACES:
        found = (f"{key}={folder}" for folder in propose_folders(value))
    elif equals and any((place / group).is_dir() for place in places):
        swept = value[: value.rfind(",") + 1]  # of several choices, the last one
        files = (path for place in places for path in (place / group).glob("*.yaml"))
        found = (f"{key}={swept}{path.stem}" for path in files)
    else:
        found = propose_settings(before, word, more)
    return sorted({each for each in found if each.startswith(word) and PLAIN.fullmatch(each)})


def words_of(line: str) -> list[str]:
    """The words from train.py on; the last one is empty if a new one starts."""
    quoted = shlex.shlex(line, posix=True, punctuation_chars=False)
    quoted.whitespace_split, quoted.commenters = True, ""
    words = list(quoted)
    if not line or line[-1].isspace():
        words.append("")
    start = next((index for index, word in enumerate(words) if word.endswith("train.py")), len(words))
    return words[start:] if len(words) > start + 1 else ["train.py", ""]


def added_folders(words: list[str]) -> list[Path]:
    """The folder of further settings that an option names, if one does."""
    with suppress(SettingError):  # an option without its value
        return [folder.absolute() for folder in known_settings.config_dir_folders(words)]
    return []


def propose_folders(begun: str) -> Iterable[str]:
    """Folders that complete a path, those of runs first."""
    if not begun and Path("logs/runs").is_dir():
        return ["logs/runs/", "logs/sweeps/"]
    parent, slash, _ = begun.rpartition("/")
    return (f"{parent}{slash}{path.name}/" for path in Path(parent + slash or ".").glob("[!.]*/"))


def propose_settings(before: list[str], word: str, more: list[Path]) -> Iterable[str]:
    """Groups and keys of the configuration that the words before choose, and the value of a complete key."""
    import hydra
    from hydra.core.global_hydra import GlobalHydra

    from labbook.config import compose, hydra_internals

    compose.register_with_hydra()
    grid_sweeper.register_sweepers()
    words = [*before, *(f"hydra.searchpath=[{place}]" for place in more)]
    line = " ".join([*(each for each in words if not re.search(r"\s", each)), word])
    with hydra.initialize_config_dir(str(CONFIGS)):
        found = hydra_internals.complete(GlobalHydra.instance().config_loader(), "train", line)
    for each in found:
        key, equals, value = each.partition("=")
        if (key.lstrip("+~").startswith("hydra") and not word) or each.lstrip("+~").startswith(OURS) or "._" in key:
            continue
        if value in ("false", "true"):
            yield from (f"{key}=false", f"{key}=true")
        else:  # Hydra leaves out the sign if a group contains groups
            yield each if equals or key[0] == "~" or key[-1] in "./" else f"{key}="


def main() -> None:
    """Print the proposals; nothing if the line cannot be read, because a shell cannot show errors here."""
    try:
        os.environ[PROJECT_VARIABLE] = str(Path(words_of(sys.argv[1])[0]).absolute().parent)
        found = proposals(sys.argv[1])
    except Exception:
        found = []
    print("\n".join(found))


if __name__ == "__main__":
    main()
