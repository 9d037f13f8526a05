"""TAB completion of train.py's groups and settings, with `python scripts/completion.py`: in bash, zsh and fish.

It goes into the activation scripts of the environment that runs this, so it is there whenever the environment is
activated, and goes with it.
"""

import sys
from pathlib import Path

sys.path.append(str(Path(__file__).resolve().parents[1] / "src"))  # where labbook is, should it not be installed
from labbook import starting as starting  # isort: skip - what a program does first

import argparse
import re
import shlex

from labbook.cli.command_line import exit_with_message
from labbook.errors import SettingError
from labbook.files import write_whole

SHELLS = Path(__file__).parent / "shell"
BEGIN, END = "# Labbook's completion (make completion)", "# end of Labbook's completion"
BLOCK = re.compile(rf"\n*{re.escape(BEGIN)}\n.*?{re.escape(END)}\n", re.DOTALL)

# In scripts, which activate environments too, there is nobody to press TAB.
POSIX = """\
case $- in
*i*)
    if [ -n "${{BASH_VERSION:-}}" ] && [ -r {bash} ]; then
        . {bash}
    elif [ -n "${{ZSH_VERSION:-}}" ] && [ -r {zsh} ]; then
        . {zsh}
    fi
    ;;
esac
"""
FISH = """\
if status is-interactive; and test -r {fish}
    source {fish}
end
"""
HOOKS = {"activate": POSIX, "activate.fish": FISH}


def changed(text: str, hook: str) -> str:
    """An activation script with another hook than it has; without one where that is empty."""
    rest = BLOCK.sub("\n", text).rstrip("\n") + "\n"
    return f"{rest}\n{BEGIN}\n{hook}{END}\n" if hook else rest


@exit_with_message()
def main() -> None:
    """Put it there, or take it away."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--remove", action="store_true", help="take it away again")
    given = parser.parse_args()
    folder = Path(sys.prefix) / "bin"
    files = [folder / name for name in HOOKS if (folder / name).is_file()]
    paths = {name: shlex.quote(str(SHELLS.absolute() / f"completion.{name}")) for name in ("bash", "zsh", "fish")}
    if not files:
        raise SettingError(
            f"{folder} has no activate: have your shell read one of {', '.join(paths.values())} when it starts"
        )
    for file in files:
        hook = "" if given.remove else HOOKS[file.name].format(**paths)
        mode = file.stat().st_mode
        write_whole(file, changed(file.read_text(encoding="utf-8"), hook))
        file.chmod(mode)
    print("completion: taken away" if given.remove else f"completion: from the next '. {files[0]}' on")


if __name__ == "__main__":
    main()
