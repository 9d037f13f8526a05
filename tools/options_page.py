"""The options of all groups, for a page: `python tools/options_page.py --write docs/options.md`.

Their descriptions are the first comments of the files in configs/.
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # where tools is
sys.path.append(str(Path(__file__).resolve().parents[1] / "src"))  # where labbook is, should it not be installed
from labbook import starting as starting  # isort: skip - what a program does first

from collections.abc import Iterator

from labbook.cli.command_line import config_description, default_options, exit_with_message
from labbook.config.arguments import choice_files
from labbook.config.schema import GROUPS
from labbook.installation import CONFIGS
from labbook.runs import outputs
from tools.results.markdown_sections import page_parser, publish


def option_tables() -> Iterator[str]:
    """For each group a heading and a table of its options, the default first."""
    defaults = default_options(CONFIGS / "train.yaml")
    for group in GROUPS:
        files = sorted(choice_files(group, CONFIGS), key=lambda file: file.stem != defaults.get(group))
        rows = [option_row(file, file.stem == defaults.get(group)) for file in files]
        yield "\n".join([f"## {group}", "", "| option | description |", "| --- | --- |", *rows])


def option_row(file: Path, default: bool) -> str:
    described = config_description(file).replace("*", r"\*")
    return f"| `{file.stem}`{' (default)' if default else ''} | {described} |"


@exit_with_message()
def main() -> None:
    """Print the tables, and write them to a page if one is given."""
    given = page_parser(__doc__).parse_args()
    outputs.check_outputs({"--write": given.write})
    publish(given.write, "Options", "options", "\n\n".join(option_tables()))


if __name__ == "__main__":
    main()
