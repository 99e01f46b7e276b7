"""The whole configuration, typed and frozen.

One section a subject; a field's description gives its unit and where the paper states it (section
numbers are those of Singh and Cirrone, "Efficient Representation Learning for Healthcare with
Cross-Architectural Self-Supervision"). The defaults are the paper's, so an empty configuration is the
paper's recipe without a data set.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal, Self, get_args

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationInfo,
    field_validator,
    model_validator,
)
from pydantic_core import PydanticCustomError

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)

LocalPath = Annotated[Path, AfterValidator(lambda path: path.expanduser().absolute())]
PathHereOrThere = Annotated[
    Path, AfterValidator(lambda path: path.expanduser().absolute() if path.expanduser().is_file() else path)
]
"""A path in the current folder, or else one that is looked for in the data's folder."""
Switch = Annotated[
    Literal["auto", "on", "off"], BeforeValidator(lambda value: {True: "on", False: "off"}.get(value, value))
]
"""On and off may be written bare, which YAML reads as true and false."""
Probability = Annotated[float, Field(ge=0, le=1)]
Positive = Annotated[float, Field(gt=0, le=1e6)]
NotNegative = Annotated[float, Field(ge=0, le=1e6)]
Share = Annotated[float, Field(gt=0, le=1)]
Count = Annotated[int, Field(ge=1, le=1_000_000_000)]
Mean = Annotated[float, Field(ge=-10, le=10)]
Deviation = Annotated[float, Field(ge=1e-3, le=10)]
ArmName = Literal["cnn", "vit"]
ARM_NAMES: tuple[ArmName, ...] = get_args(ArmName)
NetworkName = Literal["cnn", "vit", "targets"]
NETWORK_NAMES: tuple[NetworkName, ...] = get_args(NetworkName)
FitName = Literal["squash", "pad", "crop"]
MethodName = Literal["cass", "dino", "byol", "mae", "vicreg", "distill"]
METHOD_NAMES: tuple[MethodName, ...] = get_args(MethodName)
DinoSetting = Literal["official", "paper"]
OptimiserName = Literal["adam", "adamw", "sgd"]
RecipeName = Literal["paper", "probe", "tuned"]
TrackerName = Literal["tensorboard", "mlflow", "wandb"]
StartName = Literal["pretrained", "best", "averaged", "imagenet", "random"]


def _frames(value: object) -> object:
    """Return one of the words or a number of frames, which an option gives as text."""
    number = int(value) if isinstance(value, str) and value.isdecimal() else value
    whole = isinstance(number, int) and not isinstance(number, bool) and 1 <= number <= 100_000
    if not whole and number not in ("first", "middle", "all"):
        raise PydanticCustomError("frames", "input should be first, middle, all, or a number from 1 to 100,000")
    return number


def _listed(value: object) -> object:
    """Return the parts of `0,1,2`, as an option gives it, and one number as a list of one."""
    if isinstance(value, str):
        return [part.strip() for part in value.split(",")]
    return [value] if isinstance(value, int | float) and not isinstance(value, bool) else value


def _ends(value: object) -> object:
    """Return the two ends of a window, `-160,240` as an option gives them."""
    listed = _listed(value)
    if not isinstance(listed, list | tuple) or len(listed) != 2:
        raise PydanticCustomError("window", "input should be two values, LOW,HIGH")
    return listed


def _trackers(value: object) -> object:
    """Return each name once, of an option that may be given several times; `none` alone is none."""
    listed = _listed(value)
    if listed in (["none"], ("none",)):
        return ()
    if isinstance(listed, list | tuple) and all(isinstance(name, str) for name in listed):
        return tuple(dict.fromkeys(listed))
    return listed


Frames = Annotated[Literal["first", "middle", "all"] | int, BeforeValidator(_frames)]
Window = Annotated[tuple[float, float], BeforeValidator(_ends)]
Trackers = Annotated[tuple[TrackerName, ...], BeforeValidator(_trackers)]
Channels = Annotated[tuple[Annotated[int, Field(ge=0, le=100_000)], ...], BeforeValidator(_listed)]


class Section(BaseModel):
    """A part of the configuration: frozen, and deaf to no misspelled key."""

    model_config = ConfigDict(frozen=True, extra="forbid", validate_default=True, allow_inf_nan=False)

    @field_validator("*", mode="before")
    @classmethod
    def _numbers_are_no_switches(cls, value: object, info: ValidationInfo) -> object:
        """Refuse `true` where a number belongs, which pydantic would take for 1."""
        number = cls.model_fields[str(info.field_name)].annotation in (int, float, int | None, float | None)
        numbers = [value] if number else value if isinstance(value, list | tuple) else []
        if any(isinstance(each, bool) for each in numbers):
            raise PydanticCustomError("number", "input should be a number, not true or false")
        return value


class Data(Section):
    """Where the images are, how they are split, and how they are held."""

    path: LocalPath | None = Field(None, description="folder of images, CSV's folder, or MedMNIST .npz")
    labels: PathHereOrThere | None = Field(
        None, description="CSV: image, label or 0/1 columns, optional group and split"
    )
    layout: str = Field("auto", description="how the folder is laid out; `auto` recognises it")
    image_column: str | None = Field(None, description="CSV column of image names; none: recognised")
    label_column: str | None = Field(None, description="CSV column of labels, or 0/1 columns as a,b,c, or 'none'")
    group_column: str | None = Field(None, description="CSV column of patients or lesions, or 'none'; none: recognised")
    split_column: str | None = Field(None, description="CSV column of train, val, test, or 'none'; none: recognised")
    class_level: int | None = Field(
        None,
        ge=1,
        le=1000,
        description="level of folders that names the classes, 1 being those in path; none: recognised",
    )
    label_separator: str | None = Field(
        None, min_length=1, description="between the classes of one image in a CSV cell; none: ; and | are recognised"
    )
    uncertain: Literal["unknown", "as-negative", "as-positive"] = Field(
        "unknown", description="what a -1 among 0 and 1 is; unknown: left out of that class's loss and scores"
    )
    group_pattern: str | None = Field(
        None, min_length=1, description="regular expression whose first group, in an image's path, is its patient"
    )
    split_values: str | None = Field(
        None, min_length=1, description="what the split column's values mean, as train=0,val=1,test=2,none=3"
    )
    split_lists: dict[Literal["train", "val", "test"], PathHereOrThere] = Field(
        {}, description="text files that list the images of a split"
    )
    missing: Literal["stop", "skip"] = Field("stop", description="what to do about rows of a CSV without a file")
    download: bool = Field(False, description="fetch a missing MedMNIST .npz (needs the medmnist extra)")
    fractions: tuple[float, float, float] = Field(
        (0.7, 0.1, 0.2), description="train, validation, test shares where no split is given (Sec. 4.1)"
    )
    splits: LocalPath | None = Field(None, description="a splits.csv written by cass, to use the same split again")
    split_by_duplicates: bool = Field(False, description="keep near-identical images in one split")
    check_leaks: bool = Field(True, description="look for near-identical images in different splits before training")
    image_size: int = Field(384, ge=16, le=2048, description="side in pixels of the square that is trained on (C.5.2)")
    fit: FitName = Field(
        "squash",
        description="how other shapes become that square: stretched, padded with the colour of their edges, or cropped",
    )
    mean: tuple[Mean, Mean, Mean] = Field(IMAGENET_MEAN, description="channel means, of 0..1 (C.5.2)")
    std: tuple[Deviation, Deviation, Deviation] = Field(IMAGENET_STD, description="channel deviations, of 0..1 (C.5.2)")
    cache: Literal["auto", "ram", "disk", "device", "off"] = Field(
        "auto", description="where decoded images are held; auto: RAM when they fit, else a file"
    )
    workers: int = Field(0, ge=0, le=256, description="decoding threads; 0: one a core")
    bad_images: Literal["stop", "skip"] = Field("stop", description="what to do about unreadable images")
    max_pixels: int = Field(100_000_000, ge=1, le=10**12, description="largest image that is decoded, in pixels")
    max_file_mb: int = Field(
        2_000, ge=1, le=10**9, description="largest file that is opened, and largest volume unpacked, in MB"
    )
    frames: Frames = Field(
        "first", description="images taken of a file with several: first, middle, all, or how many, evenly spread"
    )
    slices: int = Field(1, ge=1, le=100_000, description="middle slices taken of a volume (NIfTI)")
    window: Window | None = Field(
        None, description="values shown black and white, of pixels deeper than 8 bits and DICOM; none: the file's own"
    )
    channels: Channels | None = Field(
        None,
        min_length=1,
        max_length=3,
        description="one channel, or three, that are shown, from 0; none: all of three",
    )
    allow_outside: bool = Field(False, description="let a CSV name images outside the data folder")

    @model_validator(mode="after")
    def _something_is_shown(self) -> Self:
        if self.window and not self.window[0] < self.window[1]:
            raise ValueError("window: two values, LOW,HIGH, the first below the second")
        if self.channels and len(self.channels) == 2:
            raise ValueError("channels: one, or three, as 0,1,2")
        return self

    @model_validator(mode="after")
    def _fractions_sum_to_one(self) -> Self:
        if abs(sum(self.fractions) - 1) > 1e-6 or min(self.fractions) < 0 or self.fractions[0] == 0:
            raise ValueError("fractions: three shares from 0 to 1 that sum to 1, train above 0")
        return self


class Arms(Section):
    """The two networks that teach each other."""

    cnn: str = Field("resnet50", description="timm model of the first arm (Sec. 4)")
    vit: str = Field("vit_base_patch16_384", description="timm model of the second arm (Sec. 4)")
    init: Literal["imagenet", "random"] = Field("imagenet", description="starting weights (C.5.1)")
    weights: dict[NetworkName, LocalPath] = Field(
        {}, description="local weight file of an arm, or of distill's targets, instead of timm's hub"
    )
    output_stride: Literal[8, 16] | None = Field(
        None, description="pixels of an image that one cell of the CNN's last map stands for; none: the model's own"
    )
    outputs: int = Field(
        1000, ge=2, le=1_000_000, description="width of both outputs: ImageNet's head is kept (Sec. 3.1)"
    )


class Augment(Section):
    """The single view of C.5.2: every probability is 0.3 and every distortion 0.2 there."""

    perspective_probability: Probability = Field(0.3, description="of the first stage: jitter and perspective")
    affine_probability: Probability = Field(0.3, description="of the second stage: jitter and rotation")
    brightness: Probability = Field(0.2, description="factor drawn from 1 ± this")
    contrast: Probability = Field(0.2, description="factor drawn from 1 ± this")
    saturation: Probability = Field(0.2, description="factor drawn from 1 ± this")
    hue: float = Field(0.2, ge=0, le=0.5, description="shift drawn from ± this, in turns")
    perspective: Probability = Field(0.2, description="distortion scale of the first stage's perspective")
    degrees: float = Field(10.0, ge=0, le=180, description="rotation drawn from ± this, second stage")
    vertical_flip: Probability = Field(0.3, description="probability")
    horizontal_flip: Probability = Field(0.3, description="probability")
    solarise: Probability = Field(0.0, description="probability; the ablation of B.3")
    blur: Probability = Field(0.0, description="probability of Gaussian blur; the ablation of B.3")


class Method(Section):
    """The objective, and the arms that it trains."""

    name: MethodName = Field("cass", description="self-supervised method")
    arm: Literal["both", "cnn", "vit"] = Field("both", description="which arms are trained; cass needs both, mae a ViT")
    objective: Literal["paper", "vicreg"] = Field(
        "paper", description="cass: Eq. 1, which a constant solves, or VICReg's terms across the arms, which none does"
    )
    activation: Literal["none", "softmax", "sigmoid"] = Field(
        "none", description="cass: applied to both outputs before the loss; the ablation of B.5"
    )
    dino_setting: DinoSetting = Field(
        "official", description="dino: its authors' crops, temperatures and head, or those the paper compared with"
    )
    prototypes: int = Field(65_536, ge=2, le=1_000_000, description="dino: width of the projection head's output")
    mask_ratio: float = Field(0.75, gt=0, lt=1, description="mae: share of the patches that is hidden")
    decoder_width: int = Field(512, ge=32, le=65_536, multiple_of=32, description="mae: channels of the decoder")
    decoder_depth: int = Field(8, ge=1, le=1000, description="mae: blocks of the decoder")
    normalise_targets: bool = Field(True, description="mae: draw patches normalised by their own mean and variance")
    targets: str = Field(
        "joint", description="distill: what teaches: the starting cnn, vit, both (joint), or this timm model"
    )

    @property
    def title(self) -> str:
        """What runs, cards and tables call it."""
        return f"{self.name}-{self.objective}" if self.name == "cass" and self.objective != "paper" else self.name

    @property
    def arms(self) -> tuple[ArmName, ...]:
        """The arms that are trained."""
        return ("cnn", "vit") if self.arm == "both" else (self.arm,)

    @property
    def teachers(self) -> tuple[NetworkName, ...]:
        """The frozen networks that teach: starting arms, or one that is named `targets`."""
        if self.targets == "joint":
            return ("cnn", "vit")
        return next(((arm,) for arm in ARM_NAMES if arm == self.targets), ("targets",))


class Optim(Section):
    """Optimisers, their schedule, and weight averaging (C.5.3). Other methods bring their own (`config/recipes.py`)."""

    lr: Positive = Field(1e-3, description="peak learning rate")
    share_cnn: Share = Field(1.0, description="of lr, at which the first arm learns when its heads learn at lr")
    share_vit: Share = Field(1.0, description="of lr, at which the second arm learns when its heads learn at lr")
    lr_min: NotNegative = Field(1e-6, description="lowest learning rate of the schedule")
    schedule: Literal["cyclic", "cosine", "constant"] = Field(
        "cyclic", description="cyclic: down and up with T_max lr_period; cosine: one fall over the run; constant"
    )
    lr_period: Count = Field(16, description="T_max of the cyclic schedule, in optimiser steps: half its period")
    warmup: Probability = Field(0.0, description="share of the run in which the rate rises from 0 (not when cyclic)")
    cnn: OptimiserName = Field("adam", description="optimiser of the first arm; sgd: the ablation of B.4")
    vit: OptimiserName = Field("adam", description="optimiser of the second arm")
    betas: tuple[Annotated[float, Field(ge=0, lt=1)], Annotated[float, Field(ge=0, lt=1)]] = Field(
        (0.9, 0.999), description="of Adam and AdamW"
    )
    momentum: float = Field(0.9, ge=0, lt=1, description="of SGD")
    weight_decay: NotNegative = Field(0.0, description="of weight matrices and kernels; L2 in adam and sgd")
    weight_decay_end: float | None = Field(
        None, ge=0, le=1e6, description="what weight_decay goes to along a cosine over the run; none: it stays"
    )
    clip: float | None = Field(
        None, gt=0, le=1e6, description="largest gradient norm of each parameter tensor; none: any"
    )
    averaging: bool = Field(True, description="stochastic weight averaging (Sec. 3.1)")
    averaging_start: Probability = Field(
        0.75, description="share of the epochs after which averaging begins (Izmailov et al. 2018)"
    )


class Train(Section):
    """How long, on what, and what to do when it goes wrong."""

    epochs: Count = Field(100, description="passes over the training split (Sec. 4.2)")
    batch_size: Count = Field(16, description="images an optimiser step, over all processes (Sec. 4.2)")
    accumulate: Count = Field(1, description="forward passes a batch is split into, to save memory")
    gradient_checkpointing: bool = Field(
        False, description="keep few activations and compute the others again: less memory, about a third slower"
    )
    seed: int = Field(0, ge=0, lt=2**32, description="decides splits, augmentation, order and initialisation")
    device: str = Field("auto", description="auto, cpu, cuda, cuda:N or mps")
    precision: Literal["auto", "fp32", "bf16"] = Field(
        "auto",
        description="auto: the faster, measured on a CPU, bf16 on a GPU, fp32 on MPS; fp32 uses TF32 products on a GPU",
    )
    channels_last: Switch = Field(
        "auto", description="memory format of images and kernels; auto: on, unless measured slower on a CPU"
    )
    threads: int = Field(
        0, ge=0, le=1024, description="of the networks on a CPU; 0: one a processor, or a core where measured faster"
    )
    compile: Switch = Field("auto", description="torch.compile; auto: long runs on a GPU")
    on_collapse: Literal["warn", "stop"] = Field("warn", description="what to do when an arm collapses")
    probe_every: int = Field(
        0,
        ge=0,
        le=1_000_000_000,
        description="epochs between kNN and linear probes on the validation split, where labels exist; 0: none",
    )
    advice: bool = Field(
        True, description="after the last epoch, where labels exist: probe each arm as it was before and as it is"
    )
    save_minutes: Positive = Field(10.0, description="longest time between checkpoints, in minutes")
    track: Trackers = Field((), description="trackers that show the curves: tensorboard, mlflow, wandb")


class Finetune(Section):
    """From few labels to classifiers (Sec. 4.3, C.6), and what these are judged by (C.7)."""

    recipe: RecipeName = Field(
        "paper",
        description="probe: one pass and a regression on frozen features; tuned: every weight, gently, from the probe; "
        "paper: every weight, as in C.6",
    )
    fractions: tuple[Annotated[float, Field(gt=0, le=1)], ...] = Field(
        (1.0,), min_length=1, description="shares of the training labels that may be seen (Sec. 4.3)"
    )
    arm: Literal["both", "cnn", "vit"] = Field("both", description="which arms; both: all that the run has")
    init: StartName = Field(
        "pretrained",
        description="starting weights; imagenet: the transfer baseline (Sec. 5.2); best: of these two, for each arm",
    )
    freeze: bool = Field(False, description="train the new head alone: a linear probe")
    seed: int = Field(0, ge=0, lt=2**32, description="first seed: of label subset, head, order and augmentation")
    seeds: int = Field(1, ge=1, le=1000, description="repetitions, with consecutive seeds (the paper: 5, C.6)")
    folds: int | None = Field(
        None, ge=2, le=1000, description="of a cross-validation, in place of the run's own split; none: that split"
    )
    pretrain_once: bool = Field(
        False, description="folds: take arms that were pretrained on images of the test folds, which is said of scores"
    )
    head: Literal["new", "probe"] = Field(
        "new", description="what an arm that is trained begins with: a new head, or the probe's over several layers"
    )
    optimiser: Literal["adam", "adamw"] = Field("adam", description="of arms that are trained (C.6)")
    lr: Positive = Field(3e-4, description="peak learning rate, falling to 0 along a cosine (C.6)")
    share_cnn: Share = Field(1.0, description="of lr, at which the first arm's last layer learns; its head: at lr")
    share_vit: Share = Field(1.0, description="of lr, at which the second arm's last layer learns")
    layer_decay: Share = Field(
        1.0, description="factor of the rate from each block of a Transformer, or stage of a CNN, to the one below it"
    )
    warmup: Probability = Field(0.0, description="share of the steps in which the rate rises from 0")
    weight_decay: NotNegative = Field(0.0, description="L2 penalty in adam; adamw spares biases and norms")
    clip: float | None = Field(None, gt=0, le=1e6, description="largest gradient norm of an arm; none: any")
    drop_path: float = Field(0.0, ge=0, lt=1, description="probability that a residual branch is left out (deepest)")
    batch_norm: Literal["learned", "frozen"] = Field(
        "learned", description="statistics while training: each batch's, or those that the arm came with"
    )
    averaging: float = Field(
        0.0, ge=0, lt=1, description="decay of the moving average of the weights, which answers; 0: none"
    )
    epochs: Count = Field(50, description="passes over the labelled images, at most (Sec. 4.3)")
    steps: int = Field(
        0, ge=0, le=10**9, description="optimiser steps, at least: of few images an epoch takes several passes"
    )
    patience: int | None = Field(
        5,
        ge=1,
        le=1_000_000_000,
        description="epochs without a lower validation loss until an arm stops (C.6); none: all epochs, last weights",
    )
    batch_size: int = Field(16, ge=2, le=1_000_000_000, description="images an optimiser step")
    loss_form: Literal["softmax", "sigmoid"] = Field(
        "softmax", description="focal loss of one class out of C, or of C yes/no decisions (multi-label: always)"
    )
    gamma: NotNegative = Field(2.0, description="focusing exponent of the focal loss; 0: cross-entropy (C.6)")
    alpha: Positive = Field(1.0, description="factor of the focal loss (C.6)")
    class_weights: Literal["paper", "inverse", "effective", "none"] = Field(
        "effective", description="of the loss; paper: min-max of class counts (C.6); effective: Cui et al. 2019"
    )
    sampling: Literal["shuffled", "balanced"] = Field(
        "shuffled", description="each image once an epoch, or as many draws, of every class equally often"
    )
    logit_adjustment: NotNegative = Field(
        0.0, description="τ: the loss adds τ · log of its frequency to a class's logit (Menon et al. 2021)"
    )
    thresholds: Literal["tuned", "half"] = Field(
        "tuned", description="multi-label decisions: tuned on validation, or at 0.5 (the paper)"
    )
    metric: Literal["macro_f1", "micro_f1", "balanced_accuracy", "accuracy", "auroc", "average_precision"] = Field(
        "macro_f1", description="shown first, and chosen by (C.7)"
    )
    layers: Count = Field(6, description="probe: layers of an arm that it reads, from the last")
    mirrored: bool = Field(False, description="probe: features are averaged with those of the mirrored image")
    probe_size: int | None = Field(
        None, ge=16, le=2048, description="probe: side in pixels of the images that it reads; none: data.image_size"
    )
    unlabelled: Literal["unused", "cross-teach"] = Field(
        "unused",
        description="training images whose labels are not shown, or that have none; cross-teach: each arm learns what "
        "the other says of them",
    )
    unlabelled_ratio: int = Field(1, ge=1, le=100, description="of those, images of a batch for each labelled one")
    unlabelled_weight: NotNegative = Field(1.0, description="of what they teach, in the loss")
    guard: bool = Field(
        False, description="keep a fine-tuned arm only where validation prefers it to its probe, else the probe"
    )

    @property
    def trains(self) -> bool:
        """Whether the recipe trains arms; else it reads them as they are."""
        return self.recipe != "probe"

    @property
    def cross_teaches(self) -> bool:
        """Whether images without a label that is shown teach."""
        return self.trains and self.unlabelled == "cross-teach"

    @property
    def fits_heads(self) -> bool:
        """Whether heads are fitted on what frozen arms read, for the answer, to begin with, or to hold it against."""
        return not self.trains or self.head == "probe" or self.guard

    @model_validator(mode="after")
    def _folds_are_dealt_once(self) -> Self:
        if self.folds and self.seeds > 1:
            raise ValueError(f"folds: a cross-validation is dealt by one seed, not by {self.seeds}: take --seeds 1")
        if self.folds and self.cross_teaches:
            raise ValueError("folds: images without a label are in no fold, so cross-teach cannot be tested on folds")
        if self.pretrain_once and not self.folds:
            raise ValueError("pretrain_once: without --folds nothing is tested that it could be pretrained on")
        return self

    @model_validator(mode="after")
    def _heads_learn_with_their_arms(self) -> Self:
        if self.trains and self.freeze and self.head == "probe":
            raise ValueError("freeze: a frozen arm with the probe's head is what the recipe probe gives")
        return self

    @model_validator(mode="after")
    def _teachers_know_something(self) -> Self:
        if self.cross_teaches and self.arm != "both":
            raise ValueError("unlabelled: cross-teach needs two arms, each of which teaches the other")
        if self.cross_teaches and not (self.head == "probe" and self.averaging):
            raise ValueError("unlabelled: cross-teach begins with probes and averages weights: take the recipe tuned")
        return self


class Config(Section):
    """Everything a run depends on."""

    data: Data = Data()
    arms: Arms = Arms()
    augment: Augment = Augment()
    method: Method = Method()
    optim: Optim = Optim()
    train: Train = Train()
    finetune: Finetune = Finetune()

    def at_size(self, size: int) -> Self:
        """Return the same for images of `size` pixels a side."""
        return self.model_copy(update={"data": self.data.model_copy(update={"image_size": size})})

    @model_validator(mode="after")
    def _batches_can_be_split(self) -> Self:
        if self.train.accumulate > self.train.batch_size:
            raise ValueError("train.accumulate: cannot split a batch into more parts than it has images")
        return self

    @model_validator(mode="after")
    def _method_suits_the_arms(self) -> Self:
        if self.method.name == "cass" and self.method.arm != "both":
            raise ValueError(f"method.arm: cass trains two arms together, and {self.method.arm} is one")
        if self.method.name == "mae" and self.method.arm != "vit":
            raise ValueError("method.arm: mae hides patches of a Transformer, so it can only be vit")
        if "targets" in self.arms.weights and (self.method.name != "distill" or "targets" not in self.method.teachers):
            raise ValueError("arms.weights: targets is a network that method distill names with method.targets")
        if self.method.targets != "joint" and self.method.name != "distill":
            raise ValueError(f"method.targets: {self.method.targets} could teach only by method distill")
        if self.method.objective != "paper" and (self.method.name != "cass" or self.method.activation != "none"):
            raise ValueError("method.objective: vicreg is of method cass, and knows no activation")
        return self
