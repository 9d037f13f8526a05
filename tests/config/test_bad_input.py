"""Whatever a user gets wrong ends in one sentence that names the setting, and leaves nothing behind.

Each refusal is the whole program's: exit code 2, one line on the error stream, no run folder.
"""

import re
from pathlib import Path

import pytest
import torch

from labbook import experiment
from labbook.cli import command_line
from labbook.config.schema import GROUPS
from labbook.errors import SettingError
from tests.composing import composed
from tests.conftest import Command, Ended

CHOICES = {group: [path.stem for path in sorted((command_line.CONFIGS / group).glob("*.yaml"))] for group in GROUPS}
QUICK = ("model=mlp", "data.limit=64", "trainer.precision=32", "callbacks=none", "logger=none")


def refused(ended: Ended, *parts: str) -> str:
    """The sentence of a refusal, made sure that it is one and holds all `parts`."""
    assert ended.code == 2, ended.out + ended.err
    sentence = ended.sentence
    for part in parts:
        assert part in sentence
    assert "run: " not in ended.out
    assert "Traceback" not in ended.err
    assert not list(Path("logs").rglob("*/*"))  # nothing in logs/runs, and no other folder
    return sentence


# Choices -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("group", GROUPS)
def test_an_unknown_choice_is_refused_with_all_choices(group: str, labbook: Command) -> None:
    right = CHOICES[group][-1]
    wrong = f"{right[:-1]}x"
    sentence = refused(labbook(f"{group}={wrong}"))
    assert sentence == f"{group}={wrong} is unknown; did you mean {right}? choices: {', '.join(CHOICES[group])}"


@pytest.mark.parametrize(("group", "value"), [*((group, "null") for group in GROUPS), ("model", "3"), ("data", "true")])
def test_a_choice_that_is_no_name_is_refused_with_all_choices(group: str, value: str, labbook: Command) -> None:
    sentence = refused(labbook(f"{group}={value}"))
    assert sentence == f"{group}={value} is not a choice; choices: {', '.join(CHOICES[group])}"


@pytest.mark.parametrize("group", GROUPS)
def test_a_misspelt_group_is_refused(group: str, labbook: Command) -> None:
    wrong = f"{group[0]}{group[2]}{group[1]}{group[3:]}"
    refused(labbook(f"{wrong}={CHOICES[group][0]}"), f"{wrong} is not a setting; did you mean {group}? settings here: ")


@pytest.mark.parametrize("argument", ["+model=mlp", "++model=mlp", "+debug=fast"])
def test_a_choice_takes_no_plus(argument: str, labbook: Command) -> None:
    name = argument.lstrip("+").partition("=")[0]
    assert refused(labbook(argument)) == f"{name} is set without +, ++ or ~: {name}=CHOICE"


# Settings ----------------------------------------------------------------------------------------------------------

REFUSED: list[tuple[str, str]] = [
    # misspelt
    ("epoch=3", "epoch is not a setting; did you mean epochs? settings here: callbacks, channels_last, checkpoint, "),
    (
        "optimizer.learning_rate=0.1",
        "optimizer.learning_rate is not a setting; did you mean optimizer.lr? settings here: betas, ",
    ),
    ("model=mlp model.widht=3", "model.widht is not a setting; did you mean width? settings here: activation, depth, "),
    ("lr=0.1", "lr is not a setting; did you mean optimizer.lr? settings here: callbacks, "),
    ("+lr=0.1", "lr is not a setting; did you mean optimizer.lr? settings here: callbacks, "),
    ("++epoch=3", "epoch is not a setting; did you mean epochs? settings here: callbacks, "),
    ("+modle.depth=3", "modle is not a setting; did you mean model? settings here: callbacks, "),
    (
        "optimizer.momentum=0.9",
        "optimizer.momentum is not a setting; settings here: betas, eps, lr, weight_decay; it is a setting of"
        " optimizer=keras_rmsprop, rmsprop, sgd, sgd_momentum",
    ),
    ("data.batchsize=3", "data.batchsize is not a setting; did you mean batch_size?"),
    ("callbacks.pictures.sample=3", "callbacks.pictures.sample is not a setting; did you mean samples?"),
    ("task.label_smothing=0.1", "task.label_smothing is not a setting; did you mean label_smoothing?"),
    ("model.deep.er=1", "model.deep is not a setting; settings here: activation, padding"),
    # misspelt, and added by force
    ("++task.mixupp=0.2", "task.mixupp is not a setting; did you mean mixup? settings here: backbone_lr_factor, "),
    ("+checkpoint.every_minute=1", "checkpoint.every_minute is not a setting; did you mean every_minutes?"),
    ("++sweep.nmae=x", "sweep.nmae is not a setting; did you mean name? settings here: job, max_failures, "),
    (
        "++callbacks.progres.bar=true",
        "use callbacks.progres._target_=CLASS; did you mean progress? such nodes here: pictures, progress",
    ),
    ("metrics.f1=macro", "metrics.f1=macro is not an object that can be created: use metrics.f1._target_=CLASS"),
    ("++hydra.foo=1", "hydra.foo is not a setting; settings here: aliases, "),
    ("++hydra.job.nmae=x", "hydra.job.nmae is not a setting; did you mean name? settings here: chdir, "),
    # of the wrong type, at the root
    ("seed=abc", "seed must be a whole number, not abc"),
    ("seed=null", "seed: "),
    ("epochs=2.5", "epochs must be a whole number, not 2.5"),
    ("evaluate_train=perhaps", "evaluate_train must be true or false, not perhaps"),
    ("test_checkpoint=first", "test_checkpoint: Invalid value 'first', expected one of ['best', 'last']"),
    # of the wrong type, in a group
    ("optimizer.lr=abc", "optimizer.lr must be a number, not 'abc'"),
    ("optimizer.betas=[0.9]", "optimizer.betas must have more entries, not [0.9]"),
    ("data.batch_size=2.5", "data.batch_size must be a whole number, not 2.5"),
    ("data.batch_size=abc", "data.batch_size must be a whole number, not 'abc'"),
    ("data.shuffle=maybe", "data.shuffle must be true or false, not 'maybe'"),
    ("data.on_device=sometimes", "data.on_device must be 'auto' or must be true or false, not 'sometimes'"),
    ("data.root=3", "data.root must be a text, not 3"),
    ("data.augment=flip", "data.augment=flip is unknown"),
    ("data.validation=train", "data.validation must be 'split' or 'test', not 'train'"),
    ("data.channels=2", "data.channels must be 1 or 3, not 2"),
    ("model=mlp model.dropout=yes", "model.dropout must be a number, not 'yes'"),
    ("model=mlp model.hidden=wide", "model.hidden must be a whole number or must be a list, not 'wide'"),
    ("model.activation=swish", "model.activation must be 'relu', 'tanh', 'sigmoid' or 'gelu', not 'swish'"),
    ("scheduler.interval=never", "scheduler.interval must be 'step' or 'epoch', not 'never'"),
    ("trainer.deterministic=maybe", "trainer.deterministic must be true or false or must be 'warn', not 'maybe'"),
    ("trainer.accumulate_grad_batches=1.5", "trainer.accumulate_grad_batches must be a whole number, not 1.5"),
    ("callbacks.pictures.samples=-1", "callbacks.pictures.samples must be greater than or equal to 0, not -1"),
    # of a type that has another way of being written
    ("data.limit=None", "data.limit must be a whole number, not 'None': write data.limit=null"),
    ("resume=None", "resume=None is the word None: write resume=null"),
    ("data.limit=1e2", "data.limit must be a whole number, not 100.0: write data.limit=100"),
    ("data.shuffle=yes", "data.shuffle must be true or false, not 'yes': write data.shuffle=true"),
    ("evaluate_train=yes", "evaluate_train must be true or false, not yes: write evaluate_train=true"),
    ("sweep.prune=Off", "sweep.prune must be true or false, not Off: write sweep.prune=false"),
    ("channels_last=None", "channels_last must be true or false, not None: write channels_last=null"),
    ("seed=None", "seed must be a whole number, not None"),
    ("epochs=1e1", "epochs must be a whole number, not 10.0: write epochs=10"),
    ("model=convnet model.channels=8", "model.channels must be a list, not 8: write model.channels=[8]"),
    # in the words of Keras, the Lightning template and timm
    (
        "experiment=c1_mlp_mnist model.units=512",
        "did you mean model.width or model.hidden? settings here: activation, d",
    ),
    ("-m sweep=c1 model.units=512", "model.units is not a setting; did you mean model.width or model.hidden? settings"),
    ("model.units=512", "model.units is not a setting; did you mean model.width of another model? settings here: act"),
    ("learning_rate=0.1", "learning_rate is not a setting; did you mean optimizer.lr? settings here: callbacks, "),
    ("activation=relu", "activation is not a setting; did you mean model.activation? settings here: callbacks, "),
    ("ckpt_path=x", "ckpt_path is not a setting; did you mean resume? settings here: callbacks, "),
    ("trainer.num_epochs=3", "trainer.num_epochs is not a setting; did you mean epochs? settings here: "),
    ("data.num_workers=4", "data.num_workers is not a setting, as images are in memory and made into batches there"),
    ("+tags=[a]", "tags is not a setting; did you mean notes? settings here: callbacks, "),
    ("--lr 0.1", "--lr: settings have no dashes: optimizer.lr=0.1"),
    ("-b 64 --epochs 3", "-b: settings have no dashes: data.batch_size=64"),
    ("--Batch-Size=64", "--Batch-Size=64: settings have no dashes: data.batch_size=64"),
    ("--model-ema", "--model-ema: settings have no dashes: callbacks=ema"),
    ("--workers 4", "--workers: this setting does not exist: images are in memory and made into batches there"),
    ("--whatever", "--whatever: this option does not exist: use SETTING=VALUE; --help lists the settings"),
    # paths where a group takes a name
    ("data=../photos", "data=../photos: a folder of images is data=image_folder data.root=../photos"),
    ("-m data=digits,../photos", "data=../photos: a folder of images is data=image_folder data.root=../photos"),
    ("data=photos/", "data=photos/: a folder of images is data=image_folder data.root=photos/"),
    ("data=/abs", "data=/abs: a folder of images is data=image_folder data.root=/abs"),
    ("data=C:\\photos", "data=C:\\photos: a folder of images is data=image_folder data.root=C:\\photos"),
    (
        "model=./x.py",
        "model=./x.py is a path, and model takes a name; make new-model NAME=my_net creates your own; ch",
    ),
    ("experiment=configs/experiment/c1_mlp_mnist.yaml", "is a path: write experiment=c1_mlp_mnist"),
    # taken out, though every run has it
    ("~seed", "~seed: every run has seed: leave ~seed out for its default, or write seed=VALUE"),
    ("~task", "~task: every run has task: leave"),
    ("~sweep", "~sweep: every run has sweep: leave"),
    ("~notes.mine", "notes.mine is not a setting"),
    ("~task.init", "~task.init: every run has task.init: leave"),
    ("log_dir=~nobody.at.all/x", "log_dir=~nobody.at.all/x: there is no home folder of ~nobody.at.all/x"),
    # out of range
    ("seed=-1", "seed must be at least 0, not -1"),
    ("seed=99999999999", "seed must be at most 4294967295, not 99999999999"),
    ("epochs=0", "epochs must be at least 1, not 0"),
    ("task.label_smoothing=1.0", "task.label_smoothing must be less than 1, not 1.0"),
    ("optimizer.lr=0", "optimizer.lr must be greater than 0, not 0"),
    ("optimizer.lr=-0.1", "optimizer.lr must be greater than 0, not -0.1"),
    ("optimizer.lr=nan", "optimizer.lr must be a finite number, not nan"),
    ("data.batch_size=0", "data.batch_size must be greater than 0, not 0"),
    ("data.val_fraction=1.2", "data.val_fraction must be less than 1, not 1.2"),
    ("data.val_fraction=0.9999", "data.val_fraction=0.9999 leaves none of 1437 images for training"),
    ("data.limit=0", "data.limit must be greater than 0, not 0"),
    ("model=mlp model.dropout=1", "model.dropout must be less than 1, not 1"),
    ("scheduler.warmup_epochs=-1", "scheduler.warmup_epochs must be greater than or equal to 0, not -1"),
    (
        "scheduler=step scheduler.milestones=[30,60]",
        "scheduler.milestones must be less than or equal to 1, not [30, 60]",
    ),
    (
        "scheduler=onecycle scheduler.warmup_fraction=5",
        "scheduler.warmup_fraction must be less than or equal to 1, not 5",
    ),
    ("trainer.check_val_every_n_epoch=0", "trainer.check_val_every_n_epoch must be greater than or equal to 1, not 0"),
    ("trainer.limit_train_batches=0", "trainer.limit_train_batches must be greater than 0, not 0"),
    # unknown names in lists and of figures
    ("objective=val/f1", "objective=val/f1 is not logged by "),
    ("objective=test/acc", "objective=test/acc: the test set must not select anything: use a validation metric"),
    ("data.augment=[flop]", "data.augment: flop is unknown; did you mean flip? choices: "),
    ("data.augment=[{reflect_crop:28}]", "reflect_crop takes a padding smaller than the images' 28 pixels, not 28"),
    ("task.init=xavier", "task.init: Invalid value 'xavier', expected one of ['torch', 'glorot', 'he']"),
    ("task.mixup=-1", "task.mixup must be at least 0, not -1.0"),
    ("task.mixup=inf", "task.mixup must be a finite number, not inf"),
    ("task.cutmix=much", "task.cutmix must be a number, not much"),
    ("task.sam=-0.1", "task.sam must be at least 0, not -0.1"),
    ("task.layer_lr_decay=0", "task.layer_lr_decay must be more than 0, not 0.0"),
    ("task.layer_lr_decay=1.5", "task.layer_lr_decay must be at most 1, not 1.5"),
    ("task.backbone_lr_factor=0", "task.backbone_lr_factor must be more than 0, not 0.0"),
    ("task.sam=0.1 trainer.accumulate_grad_batches=2", "task.sam needs both passes over one batch: use trainer.accum"),
    ("data.augment=[{erasing:-1}]", "data.augment: erasing takes a probability from 0 to 1, not -1"),
    ("callbacks=ema callbacks.ema.decay=1", "callbacks.ema.decay must be less than 1, not 1"),
    (
        "callbacks=ema callbacks.ema.update_every_n_steps=0",
        "callbacks.ema.update_every_n_steps must be greater than 0, not 0",
    ),
    ("trainer.gradient_clip_val=-1", "trainer.gradient_clip_val must be greater than or equal to 0, not -1"),
    ("trainer.accumulate_grad_batches=0", "trainer.accumulate_grad_batches must be greater than or equal to 1, not 0"),
    ("task.norm_bias_lr_factor=0", "task.norm_bias_lr_factor must be more than 0, not 0.0"),
    ("data.augment=[{rotation:400}]", "data.augment: rotation takes degrees above 0 and up to 180, not 400"),
    ("trainer.precision=8", "trainer.precision=8 is unknown; choices: 16-mixed, 32, "),
    ("trainer.accelerator=gpus", "trainer.accelerator=gpus is unknown; did you mean gpu? choices: auto, cpu, "),
    # settings that do not go together
    ("optimizer=sgd optimizer.nesterov=true", "optimizer: Nesterov momentum requires a momentum"),
    ("optimizer.betas=[0.9,1.5]", "optimizer: Invalid beta parameter at index 1: 1.5"),
    (
        "model=mlp model.depth=3 model.activation=[relu,tanh]",
        "model.activation has 2 activations for 3 hidden layers",
    ),
    (
        "model=mlp model.hidden=[8] model.activation=[relu,tanh]",
        "model.activation has 2 activations for 1 hidden layers",
    ),
    ("model=cats_dogs_cnn model.channels=[1]", "model.channels has 1 entries and model.kernel_sizes 6"),
    ("data.drop_last=true data.batch_size=5000", "data.batch_size=5000 is larger than the 1293 training images"),
    (
        "callbacks=early_stopping data.val_fraction=0",
        "callbacks=early_stopping has no metric to watch: use data.val_fraction",
    ),
    ("callbacks=early_stopping data.validation=test", "would select by the test set: use data.validation=split"),
    ("scheduler=plateau data.validation=test", "scheduler=plateau would select by the test set"),
    ("scheduler=plateau data.val_fraction=0", "scheduler=plateau has no metric to watch"),
    (
        "scheduler._target_=torch.optim.lr_scheduler.ReduceLROnPlateau",
        "ReduceLROnPlateau does not work here: use scheduler=plateau",
    ),
    (
        "scheduler=plateau scheduler.monitor=val/nope epochs=1 data.limit=100",
        "scheduler.monitor=val/nope is not logged; did you mean val/loss?",
    ),
    ("callbacks=early_stopping callbacks.early_stopping.mode=up", "callbacks.early_stopping.mode is not a setting"),
    ("+model.spec=3", "model.spec is set by the program: it is that of the data"),
    ("+data.seed=7", "data.seed is set by the program: use seed=N"),
    ("+logger.save_dir=x", "logger.save_dir is set by the program: use log_dir=FOLDER"),
    ("config_groups={data:mnist}", "config_groups is set by the program: choose an option by its group, as data="),
    ("sweep.job.folder=x", "sweep.job.folder is set by the program: use sweep.name=NAME"),
    ("model_data=vit_cats_dogs", "model_data is set by the program: model and data select it: set"),
    ("hydra.run.dir=x", "hydra.run.dir is set by the program: a run creates its own folder"),
    ("hydra.run={dir:x}", "hydra.run is set by the program: a run creates its own folder"),
    ("hydra.output_subdir=x", "hydra.output_subdir is set by the program: a run creates its own folder"),
    ("++hydra.job.chdir=true", "hydra.job.chdir is set by the program: a run creates its own folder, with"),
    ("-m seeds=2 hydra.sweep.subdir=x", "hydra.sweep.subdir is set by the program: runs of a sweep are in"),
    (
        "model=mlp data.image_size=1000000 data.limit=9",
        "this network for images of 1 x 1000000 x 1000000 pixels needs more memory than available: use a smaller",
    ),
    ("model=lenet5 data.image_size=4", "needs images of at least "),
    ("model=vit data.image_size=90", "images of 90 pixels cannot be cut into patches of 4: use"),
    ("model=resnet18 model.name=resnet19", "model.name=resnet19 is unknown; did you mean resnet18? choices: convnext"),
    ("model=resnet18 model.freeze=backbone", "model.freeze=backbone would keep random weights: add model.pretrained"),
    ("++sweep.job={}", "sweep.job is set by the program: use sweep.name=NAME"),
    ("data.val_seed=99999999999999999999", "data.val_seed must be less than 4294967296"),
    ("trainer.limit_train_batches=0.001", "trainer (pytorch_lightning.Trainer) failed: "),
    (
        "callbacks=early_stopping callbacks.early_stopping.monitor=val/accc",
        "callbacks.early_stopping.monitor=val/accc is not",
    ),
    ("+trainer.max_epochs=2", "trainer.max_epochs is set by the program: use epochs=N"),
    ("trainer.max_epochs=2", "trainer.max_epochs is set by the program: use epochs=N"),
    ("trainer.max_steps=9", "trainer.max_steps is set by the program: use epochs=N, and trainer.limit_train_batches=N"),
    ("+trainer.val_check_interval=0.5", "trainer.val_check_interval is set by the program: a run validates after each"),
    ("++trainer.overfit_batches=1", "trainer.overfit_batches is set by the program: use debug=overfit"),
    ("model=cats_dogs_cnn +trainer.plugins=[]", "trainer.plugins is set by the program: leave it out"),
    (
        "+trainer.num_nodes=2",
        "trainer.num_nodes=2: this process does not know the other machines: start it with srun",
    ),
    ("+trainer.num_nodes=0", "trainer.num_nodes must be greater than or equal to 1, not 0"),
    (
        "trainer.devices=0",
        "trainer.devices=0 must be a number of devices, such as 2, or the different numbers of some,",
    ),
    (
        "trainer=cpu trainer.devices=9999",
        "trainer.devices=9999: on a CPU it is a number of processes, and this machine",
    ),
    ("+trainer.min_epochs=5 epochs=3", "trainer.min_epochs=5 is more than epochs=3: use epochs=5"),
    ("trainer.strategy=dpp", "trainer.strategy=dpp does not work here; did you mean ddp? choices: auto, ddp,"),
    ("trainer.profiler=fast", "it can only be one of ['simple', 'advanced', 'pytorch', 'xla']"),
    # several values without a sweep
    ("seed=1,2", "seed=1,2 gives several values: add -m to sweep over them, or write seed=[1,2] for a list"),
    ("model=mlp,lenet5", "model=mlp,lenet5 gives several values: add -m to sweep over them"),
    ("model=[mlp,lenet5]", "model=[mlp,lenet5]: model is one of its choices, model=CHOICE, or with -m each of"),
    ("optimizer=[adam]", "optimizer=[adam]: optimizer is one of its choices, optimizer=CHOICE, or with -m each of"),
    ("+callbacks=[ema]", "+callbacks=[ema]: callbacks is set without +, ++ or ~: callbacks=[ema]"),
    ("callbacks=[not-there]", "callbacks=not-there is unknown; choices: default, "),
    ("trial=3", "trial is not a setting; settings here: callbacks, "),
    (
        "callbacks=[ema,nothing]",
        "callbacks=nothing is unknown; choices: default, early_stopping, ema, gradient_norms, lookahead",
    ),
    # what is not written as a setting
    (
        "nonsense",
        "cannot read 'nonsense': write SETTING=VALUE, a list as [a,b], and values with spaces or special characters",
    ),
    ("data.root=ré", "cannot read 'data.root=ré': write SETTING=VALUE"),
    ("seed=[1", "cannot read 'seed=[1': write SETTING=VALUE"),
    ("=3", "a setting has no name: use SETTING=VALUE"),
    ("--epochs 3", "--epochs: settings have no dashes: epochs=3"),
    ("--optimizer.lr=3", "--optimizer.lr=3: settings have no dashes: optimizer.lr=3"),
    # parts of the settings to be shown
    ("--cfg job -p nothing", "-p nothing: nothing is not a setting; settings here: callbacks, "),
    ("-c job -p model.paddin", "-p model.paddin: model.paddin is not a setting; did you mean padding? settings here: "),
    ("--cfg hydra -p hydra.nothing", "-p hydra.nothing: hydra.nothing is not a setting; settings here: "),
    ("--cfg jobs", "--cfg/-c: invalid choice: 'jobs' (choose from "),
    ("-p model", "-p model needs --cfg job: add --cfg job, or leave it out"),
    ("--resolve", "--resolve needs --cfg job: add --cfg job, or leave it out"),
    # what is taken away or refers to nothing
    ("~optimizer", "~optimizer: every run has optimizer: leave ~optimizer out for its default, or"),
    ("~trainer debug=fast", "~trainer: every run has trainer: leave ~trainer out for its default"),
    ("~optimizer.lrr", "optimizer.lrr is not a setting; did you mean lr? settings here: betas, eps, lr, weight_decay"),
    ("~data.limit data.limit=64", "data.limit is both set and deleted: use data.limit=VALUE or ~data.limit"),
    ("~callbacks=0.5", "~callbacks=0.5 cannot be deleted: use ~SETTING or ~GROUP"),
    ("~@model.dropout=0.5", "~@model.dropout=0.5 cannot be deleted: use ~SETTING"),
    (
        "data.augment.flip=1",
        "data.augment.flip: what is before '.flip' is a list: set the whole list, as SETTING=[a,b]",
    ),
    ("epochs=${nothing}", "epochs: Interpolation key 'nothing' not found"),
    ("data.batch_size=${nothing}", "data.batch_size: Interpolation key 'nothing' not found"),
    ("+callbacks.more=3", "more=3 is not an object that can be created: use callbacks.more._target_=CLASS"),
    # places that are none
    ("resume=", "resume= is empty: use the run folder"),
    ("resume=nowhere", "nowhere is not a run folder: it has no config.yaml"),
    ("resume=/", "/ is not a run folder: it has no config.yaml"),
    ("resume=/proc", "/proc is not a run folder: it has no config.yaml"),
    ("data=image_folder", "data.root is not set: give the folder of your images, data.root=FOLDER"),
    ("data=image_folder data.root=nowhere", "data.root=nowhere does not exist in "),
]


@pytest.mark.parametrize(("arguments", "sentence"), REFUSED, ids=[arguments for arguments, _ in REFUSED])
def test_a_setting_that_cannot_work_is_refused(arguments: str, sentence: str, labbook: Command) -> None:
    refused(labbook(*arguments.split()), sentence)


@pytest.mark.parametrize("variable", ["LOCAL_RANK", "RANK", "SLURM_PROCID", "JSM_NAMESPACE_RANK", "MASTER_PORT"])
@pytest.mark.parametrize("value", ["x", "", "-1"])
def test_variables_of_processes_that_are_no_numbers(
    variable: str, value: str, labbook: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(variable, value)
    sentence = refused(labbook(*QUICK, "trainer=ddp", "trainer.devices=1"))
    assert sentence == (
        f"the environment variable {variable}={value} must be a number, 0 or more: unset it, or correct it"
    )


def test_a_sweep_over_what_cannot_work_is_refused(labbook: Command) -> None:
    for override, sentence in (
        ("seed=1,abc", "seed must be a whole number, not abc"),
        ("optimizer.lrr=1,2", "optimizer.lrr is not a setting"),
    ):
        ended = labbook("-m", override)
        assert ended.code == 2
        assert ended.sentence.startswith(sentence)
        assert not list(Path("logs").rglob("config.yaml"))


@pytest.mark.parametrize("argument", ["optimizer.betas=[0.8,0.99]", "epochs=1", "model.activation=gelu"])
def test_the_neighbours_of_what_is_refused_work(argument: str, labbook: Command) -> None:
    ended = labbook("data.limit=32", "callbacks=none", "logger=none", "debug=fast", argument)
    assert ended.code == 0, ended.err
    assert ended.err == ""


# Targets -----------------------------------------------------------------------------------------------------------

EVIL = "{_target_:os.system,command:'touch canary'}"


@pytest.mark.parametrize(
    "argument",
    [
        *(f"{group}._target_=os.system" for group in ("model", "data", "optimizer", "scheduler", "trainer", "logger")),
        "model._target_=builtins.eval",
        "model._target_=torch.load",
        "data._target_=torch.hub.load",
        "optimizer._target_=functools.partial",
        "trainer._target_=hydra.utils.instantiate",
        "callbacks.progress._target_=subprocess.run",
        f"+callbacks.evil={EVIL}",
        f"+callbacks.evil={EVIL.replace('os.system', 'labbook.data.image_cache.os.system')}",
        f"+callbacks.evil={EVIL.replace('os.system', 'pytorch_lightning.callbacks.model_checkpoint.os.system')}",
        f"+callbacks.evil={{_target_:pytorch_lightning.callbacks.LambdaCallback,on_fit_start:{EVIL}}}",
        f"data.augment=[flip,{EVIL}]",
        f"data.augment=[[{EVIL}]]",
        f"data.normalize={EVIL}",
        f"model.activation={EVIL}",
        f"optimizer.lr={EVIL}",
        f"+trainer.detect_anomaly={EVIL}",
        f"trainer.profiler={EVIL}",
    ],
)
def test_no_setting_runs_what_is_not_allowed(argument: str, labbook: Command, tmp_path: Path) -> None:
    sentence = refused(labbook(argument))
    assert re.search(r"_target_=\S+ is not allowed; allowed are labbook\.callbacks\.\*, ", sentence), sentence
    assert not (tmp_path / "canary").exists()


@pytest.mark.parametrize("target", ["torch.optim.Adamm", "torch.optim.adamm.Adam"])
def test_a_target_that_does_not_exist_is_refused(target: str, labbook: Command) -> None:
    assert refused(labbook(f"optimizer._target_={target}")) == f"optimizer._target_={target} does not exist"


def test_a_setting_of_another_target_is_refused(labbook: Command) -> None:
    refused(
        labbook("optimizer._target_=torch.optim.LBFGS"),
        "optimizer.betas is not a setting of torch.optim.LBFGS; settings: history_size, ",
    )


# Networks and images that do not fit -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "arguments",
    [
        "model=alexnet data.image_size=8 model.hidden=4",
        "model=lenet5 data.image_size=4",
        "model=lenet5 data.image_size=8 model.padding=0",
        "model=cats_dogs_cnn",
        "model=cats_dogs_cnn model.channels=[2,2,2] model.kernel_sizes=[9,9,2]",
        "model=convnet model.channels=[2,2,2,2,2]",
        "model=convnet model.channels=[2,2] model.kernel_size=11 data.image_size=12",
        "model=deep_convnet model.channels=[2,2,2,2,2] model.hidden=4",
    ],
)
def test_images_too_small_for_a_network_are_refused_with_the_size_that_works(arguments: str) -> None:
    with pytest.raises(SettingError, match="needs images of at least") as refusal:
        logits(*arguments.split())
    helps = re.search(r"use data\.image_size=(\d+) or more$", str(refusal.value))
    assert helps, refusal.value
    size = int(helps.group(1))
    assert logits(*arguments.split(), f"data.image_size={size}").shape == (2, 10)
    with pytest.raises(SettingError, match=f"use data.image_size={size} or more"):
        logits(*arguments.split(), f"data.image_size={size - 1}")


def logits(*overrides: str) -> torch.Tensor:
    """What the configured network makes of two black images."""
    tree = composed(*overrides)
    data = experiment.build_data(tree)
    model = experiment.build_model(tree, data.spec)
    with torch.no_grad():
        made: torch.Tensor = model.eval()(torch.zeros(2, data.spec.channels, data.spec.size, data.spec.size))
    return made
