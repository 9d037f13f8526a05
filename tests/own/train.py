"""Train a network: `python train.py --help` lists the choices of this project, and Labbook's."""

from labbook import starting as starting  # isort: skip - what a program does first

from labbook.cli.commands.train import command

if __name__ == "__main__":
    command()
