import hydra
from omegaconf import DictConfig
from labbook import cli
from labbook.config import EXECUTION_WHITELIST
@hydra.main(config_path="configs", config_name="train", execution_whitelist=EXECUTION_WHITELIST)
@cli.job
def main(config: DictConfig) -> float | None:
    print("OK")
if __name__ == "__main__":
    cli.command_line(main)
