"""The settings in the ID of a run of version 0.1, whatever their values. This list never changes.

Other settings are not in the ID if they are off: see `labbook.runs.run_id`.
"""

_DATA = (
    "augment batch_size channels drop_last image_size limit normalize shuffle val_fraction val_from val_seed"
    " validate_on root resident"
)
_FOLDER = f"{_DATA} cache_dir on_corrupt test_folder train_folder"
_ADAM = "betas eps lr weight_decay"

# By section of the root ("" for the root itself), or by the _target_ of the node.
FROZEN: dict[str, frozenset[str]] = {
    owner: frozenset(names.split())
    for owner, names in {
        "": "callbacks channels_last compile data epochs model objective optimizer scheduler seed task test_on"
        " train_acc_eval trainer",
        "task": "gradient_norms init label_smoothing norm_bias_lr_factor tta",
        "labbook.callbacks.EarlyStopping": "min_delta monitor patience",
        "labbook.data.cats_dogs.CatsDogs": _FOLDER,
        "labbook.data.cifar.CIFAR10": _DATA,
        "labbook.data.cifar.CIFAR100": _DATA,
        "labbook.data.digits.Digits": _DATA,
        "labbook.data.image_folder.ImageFolder": _FOLDER,
        "labbook.data.mnist.FashionMNIST": _DATA,
        "labbook.data.mnist.MNIST": _DATA,
        "labbook.data.synthetic.Synthetic": f"{_DATA} classes images",
        "labbook.ema.EMA": "decay every",
        "labbook.lookahead.Lookahead": "decay every",
        "labbook.models.airbench94.Airbench94": "whiten_bias_epochs widths",
        "labbook.models.alexnet.AlexNet": "dropout hidden",
        "labbook.models.cats_dogs_cnn.CatsDogsCNN": "channels kernel_sizes",
        "labbook.models.convnet.ConvNet": "activation channels dropout hidden kernel_size padding",
        "labbook.models.deep_convnet.DeepConvNet": "channels dropout hidden",
        "labbook.models.lenet5.LeNet5": "activation padding",
        "labbook.models.mlp.MLP": "activation depth dropout hidden width",
        "labbook.models.resnet.ResNet": "depth width",
        "labbook.models.torchvision_model.TorchvisionModel": "freeze name options pretrained small_stem",
        "labbook.models.vit.ViT": "depth dropout heads patch_size pool width",
        "labbook.models.wide_resnet.WideResNet": "depth dropout width",
        "labbook.schedulers.constant": "interval warmup_epochs",
        "labbook.schedulers.cosine": "final_factor interval warmup_epochs",
        "labbook.schedulers.onecycle": "final_factor interval start_factor warmup_fraction",
        "labbook.schedulers.step": "gamma interval milestones warmup_epochs",
        "labbook.schedulers.triangular": "final_factor interval peak start_factor",
        "pytorch_lightning.Trainer": "accelerator accumulate_grad_batches check_val_every_n_epoch deterministic devices"
        " gradient_clip_val limit_test_batches limit_train_batches limit_val_batches precision profiler strategy",
        "torch.optim.Adam": _ADAM,
        "torch.optim.AdamW": _ADAM,
        "torch.optim.RMSprop": "alpha eps lr momentum weight_decay",
        "torch.optim.SGD": "lr momentum nesterov weight_decay",
    }.items()
}
