"""The names of Keras, timm and the best-known Lightning template for our settings and values. Imports no torch."""

from collections.abc import Iterator
from typing import Any

# Words of others, and our settings: those that the run has are suggested; those with a value always.
OURS: dict[str, tuple[str, ...]] = {
    # Keras: layers and compile
    **dict.fromkeys(("units", "neurons", "hidden_units", "hidden_size", "hidden_dim"), ("model.width", "model.hidden")),
    **dict.fromkeys(("filters", "out_channels"), ("model.channels",)),
    **dict.fromkeys(("rate", "dropout_rate", "drop", "drop_rate"), ("model.dropout",)),
    "kernel_initializer": ("task.init",),
    **dict.fromkeys(("class_weight", "class_weights", "pos_weight"), ("loss.class_weights",)),
    **dict.fromkeys(("criterion", "loss_fn"), ("loss",)),
    **dict.fromkeys(("learning_rate", "lr", "base_lr", "init_lr"), ("optimizer.lr",)),
    **dict.fromkeys(("beta_1", "beta_2", "opt_betas"), ("optimizer.betas",)),
    **dict.fromkeys(("epsilon", "opt_eps"), ("optimizer.eps",)),
    **dict.fromkeys(("decay", "wd"), ("optimizer.weight_decay",)),
    **dict.fromkeys(("clipnorm", "clipvalue", "clip_grad", "clip"), ("trainer.gradient_clip_val",)),
    # Keras: fit
    **dict.fromkeys(("validation_split", "val_size"), ("data.val_fraction",)),
    "validation_freq": ("trainer.check_val_every_n_epoch",),
    "steps_per_epoch": ("trainer.limit_train_batches",),
    "validation_steps": ("trainer.limit_val_batches",),
    "verbose": ("callbacks.progress.bar",),
    "initial_epoch": ("resume",),
    # the Lightning template
    "fast_dev_run": ("debug=fast",),
    **dict.fromkeys(("ckpt_path", "checkpoint_path", "initial_checkpoint"), ("resume",)),
    **dict.fromkeys(("max_steps", "max_epochs", "min_epochs", "num_epochs", "n_epochs"), ("epochs",)),
    **dict.fromkeys(("optimized_metric", "monitor", "eval_metric"), ("objective",)),
    **dict.fromkeys(("early_stop", "early_stopping", "patience"), ("callbacks=early_stopping",)),
    "model_checkpoint": ("checkpoint.every_minutes",),
    "seed_everything": ("seed",),
    "train_val_test_split": ("data.val_fraction",),
    "hparams_search": ("sweep",),
    "net": ("model",),
    "tags": ("notes",),
    **dict.fromkeys(("task_name", "run_name"), ("notes",)),
    # timm's script, and scripts like it
    "opt": ("optimizer",),
    **dict.fromkeys(("sched", "lr_scheduler"), ("scheduler",)),
    **dict.fromkeys(("min_lr",), ("scheduler.final_factor",)),
    **dict.fromkeys(("arch", "architecture"), ("model",)),
    **dict.fromkeys(("data_dir", "data_path", "train_dir", "paths"), ("data.root",)),
    "dataset": ("data",),
    **dict.fromkeys(("b", "bs", "batch"), ("data.batch_size",)),
    **dict.fromkeys(("img_size", "input_size", "input_shape"), ("data.image_size",)),
    "in_chans": ("data.channels",),
    **dict.fromkeys(("aa", "auto_augment", "hflip", "vflip", "augmentation", "transforms"), ("data.augment",)),
    "reprob": ("data.augment=[{erasing:0.25}]",),
    "smoothing": ("task.label_smoothing",),
    "layer_decay": ("task.layer_lr_decay",),
    "model_ema": ("callbacks=ema",),
    "amp": ("trainer.precision",),
    **dict.fromkeys(("device", "gpu"), ("trainer.accelerator",)),
    **dict.fromkeys(("gpus", "n_gpus"), ("trainer.devices",)),
    "grad_accum_steps": ("trainer.accumulate_grad_batches",),
    **dict.fromkeys(("output", "output_dir", "out_dir", "save_dir"), ("log_dir",)),
    **dict.fromkeys(("torchcompile", "jit"), ("compile",)),
}
# Words of others for things that have no setting here, and why.
NOT_HERE: dict[str, str] = {
    **dict.fromkeys(
        ("num_workers", "workers", "pin_memory", "persistent_workers", "prefetch_factor"),
        "images are in memory and made into batches there, without processes that load them",
    ),
    **dict.fromkeys(("num_classes", "classes", "n_classes"), "the data has the number of classes"),
    **dict.fromkeys(("train", "test"), "a run trains and then tests; scripts/evaluate.py tests it again"),
    "log_interval": "metrics are logged once in each epoch",
    "download": "a set that is not there yet is downloaded",
    **dict.fromkeys(("t_max", "total_steps"), "a schedule is as long as the training, of epochs=N"),
    "matmul_precision": "precision is trainer.precision=VALUE",
}
YES, NO, NOTHING = ("yes", "on", "y", "t"), ("no", "off", "n", "f"), ("none", "nil", "undefined")


def last_word(name: str) -> str:
    """The last part of a name, as in the tables: learning_rate for --optimizer.Learning-Rate."""
    return name.lstrip("-+~").rpartition(".")[2].replace("-", "_").casefold()


def alternatives(value: Any) -> Iterator[Any]:
    """The likely meaning of a value of the wrong type: null for None, true for yes, 10 for 1e1, a list of one."""
    if isinstance(value, str):
        text = value.casefold()
        if text in NOTHING:
            yield None
        if text in YES + NO:
            yield text in YES
    if isinstance(value, float) and value.is_integer():
        yield int(value)
    if isinstance(value, int) and value in (0, 1):
        yield bool(value)
    if not isinstance(value, (list, dict)):
        yield [value]


def override_value(value: Any) -> str:
    if isinstance(value, list):
        return f"[{','.join(map(override_value, value))}]"
    return "null" if value is None else str(value).lower() if isinstance(value, bool) else str(value)
