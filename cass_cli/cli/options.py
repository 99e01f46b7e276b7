"""Every option that several commands have, written once: the same name, the same words, the same panel."""

from __future__ import annotations

import typer

DATA, RUN_, MACHINE, OUTPUT = "Data", "Run", "Machine", "Output"

# Which run, fine-tuning or trial: see `runs/names.py`.
RUN = typer.Option(
    help="Run, fine-tuning or trial: a name below --runs, latest, or a path. Default: the latest run.",
    rich_help_panel=RUN_,
    metavar="RUN",
)
NAMED = typer.Argument(
    help="Run, fine-tuning or trial: a name below --runs, latest, or a path. Default: the latest run.",
    metavar="RUN",
    show_default=False,
)
OR_RUN = typer.Option("--run", help="The same, as other commands call it.", rich_help_panel=RUN_, metavar="RUN")
RUNS = typer.Option("--runs", help="Folder that holds the runs.", rich_help_panel=RUN_, metavar="FOLDER")
VARIANT = typer.Option(
    help="Fine-tuning of the run, as in imagenet. Default: its latest.", rich_help_panel=RUN_, metavar="NAME"
)
FRACTION = typer.Option(help="Label fraction. Default: the largest.", rich_help_panel=RUN_, metavar="F")
TRIAL_SEED = typer.Option("--seed", help="Seed of the trial. Default: the lowest.", rich_help_panel=RUN_)

# How a folder of images is read: see `data/sources.py`.
PRESET = typer.Option(help="Settings of a data set, see `cass presets`.", rich_help_panel=DATA, metavar="NAME")
LABELS = typer.Option(
    help="CSV of image, label or 0/1 columns, optional group and split: here, else in the data's folder.",
    rich_help_panel=DATA,
    metavar="CSV",
)
LAYOUT = typer.Option(
    help="How the folder is laid out: auto, classes, flat, csv, isic2019, dermofit or npz.",
    rich_help_panel=DATA,
    metavar="NAME",
)
IMAGE_COLUMN = typer.Option(
    help="CSV column of image names. Default: recognised.", rich_help_panel=DATA, metavar="NAME"
)
LABEL_COLUMN = typer.Option(
    help="CSV column of labels, 0/1 columns as a,b,c, or none. Default: recognised.",
    rich_help_panel=DATA,
    metavar="NAME",
)
GROUP_COLUMN = typer.Option(
    help="CSV column of patients or lesions, of which none crosses a split, or none. Default: recognised.",
    rich_help_panel=DATA,
    metavar="NAME",
)
SPLIT_COLUMN = typer.Option(
    help="CSV column of train, val, test, or none. Default: recognised.", rich_help_panel=DATA, metavar="NAME"
)
CLASS_LEVEL = typer.Option(
    help="Level of folders that names the classes: 1, those in the data's folder. Default: recognised.",
    rich_help_panel=DATA,
    min=1,
)
LABEL_SEPARATOR = typer.Option(
    help="Between several classes in one cell. Default: ; or |, where they stand.", rich_help_panel=DATA, metavar="TEXT"
)
UNCERTAIN = typer.Option(
    help="What -1 means in 0/1 columns; unknown: left out of that class. Default: unknown.",
    rich_help_panel=DATA,
    metavar="as-negative|as-positive|unknown",
)
GROUP_PATTERN = typer.Option(
    help="Regular expression that finds the patient in an image's path: its first group.",
    rich_help_panel=DATA,
    metavar="REGEX",
)
SPLIT_VALUES = typer.Option(
    help="What the split column's values mean; images of none are left out.",
    rich_help_panel=DATA,
    metavar="train=0,val=1,…",
)
SPLIT_LIST = typer.Option(
    help="Text file that lists the images of a split; once a split. Default: recognised.",
    rich_help_panel=DATA,
    metavar="SPLIT=FILE",
)
MISSING = typer.Option(
    help="Rows of the CSV without a file: stop, or skip and list them. Default: stop.",
    rich_help_panel=DATA,
    metavar="stop|skip",
)
ALLOW_OUTSIDE = typer.Option(
    "--allow-outside", help="Follow paths and links out of the data's folder.", rich_help_panel=DATA
)
SPLIT_BY_DUPLICATES = typer.Option(
    "--split-by-duplicates", help="Keep near-identical images in one split.", rich_help_panel=DATA
)
BAD_IMAGES = typer.Option(
    help="Unreadable images: stop, or skip and record them. Default: stop.",
    rich_help_panel=DATA,
    metavar="stop|skip",
)
MAX_PIXELS = typer.Option(
    help="Largest image that is decoded, in pixels. Default: 100 million, or the run's.", rich_help_panel=DATA, min=1
)
MAX_FILE_MB = typer.Option(
    help="Largest file that is opened, in MB. Default: 2,000, or the run's.", rich_help_panel=DATA, min=1
)
FRAMES = typer.Option(
    help="Of a file of several images (pages, frames): the first, the middle one, all, or N evenly spread, which "
    "stay in one split. Default: first.",
    rich_help_panel=DATA,
    metavar="first|middle|all|N",
)
SLICES = typer.Option(help="Middle slices of a NIfTI volume. Default: 1.", rich_help_panel=DATA, metavar="N")
WINDOW = typer.Option(
    help="Values shown black and white (CT: Hounsfield units), of pixels deeper than 8 bits and DICOM. "
    "Default: the file's own, else percentiles.",
    rich_help_panel=DATA,
    metavar="LOW,HIGH",
)
CHANNELS = typer.Option(
    help="One channel, or three, that are shown, counted from 0: 1 is green alone. Default: all of one or three.",
    rich_help_panel=DATA,
    metavar="C|R,G,B",
)
IMAGE_SIZE = typer.Option(
    help="Side of the square trained on, in pixels. Default: 384.", rich_help_panel=DATA, metavar="PIXELS"
)
FIT = typer.Option(
    help="Images that are not square: squash, pad with the colour of their edges, or crop to the middle. "
    "Default: squash.",
    rich_help_panel=DATA,
    metavar="squash|pad|crop",
)
DOWNLOAD = typer.Option("--download", help="Fetch a missing MedMNIST .npz named by --data.", rich_help_panel=DATA)
MOVED = typer.Option(help="Where the images are now, if they were moved.", rich_help_panel=DATA)
SPLIT = typer.Option(help="Which images.", rich_help_panel=DATA, metavar="test|val|train")

VERIFY = typer.Option(
    "--verify",
    help="With --resume: compare what is in the images, not only their sizes, with what was there at the start.",
    rich_help_panel=RUN_,
)

# On what, and how.
DEVICE = typer.Option(help="auto, cpu, cuda, cuda:N or mps. Default: the run's, else auto.", rich_help_panel=MACHINE)
PRECISION = typer.Option(
    help="auto: on a CPU, the faster, which a new run measures. Default: the run's, else auto.",
    rich_help_panel=MACHINE,
    metavar="auto|fp32|bf16",
)
CACHE = typer.Option(
    help="Where decoded images are held; auto: RAM when they fit, else a file. Default: auto.",
    rich_help_panel=MACHINE,
    metavar="auto|ram|disk|device|off",
)
WORKERS = typer.Option(help="Decoding threads; 0: one a core. Default: 0.", rich_help_panel=MACHINE, min=0)
CONFIG = typer.Option(help="YAML file of settings, over the preset's.", rich_help_panel=MACHINE, metavar="FILE")
SET = typer.Option(
    "--set", help="Any setting, by its dotted name; may be repeated.", rich_help_panel=MACHINE, metavar="KEY.SUB=VALUE"
)


# Who answers.
ANSWER_BY = typer.Option(
    help="Who answers. Default: what validation recommends.", rich_help_panel=RUN_, metavar="ARM|mean|…"
)

# What comes out.
TRACK = typer.Option(
    "--track",
    help="Show the curves in a tracker too (extra of that name); may be repeated. Default: none, or the run's.",
    rich_help_panel=OUTPUT,
    metavar="tensorboard|mlflow|wandb|none",
)
JSON = typer.Option("--json", help="Print one JSON result on stdout, all else on stderr.", rich_help_panel=OUTPUT)
PATIENT_RULE = typer.Option(
    help="One answer a patient, beside the images': how those of a patient's images become one.",
    rich_help_panel=OUTPUT,
    metavar="mean|max|noisy-or",
)

# What the three map commands share besides.
ARM = typer.Option(help="Only this arm. Default: both.", rich_help_panel=RUN_, metavar="cnn|vit")
AVERAGED = typer.Option("--averaged", help="The averaged arms (SWA) instead of the last.", rich_help_panel=RUN_)
COMPARE = typer.Option(
    help="With: start (what the training began with), imagenet, random, another run or fine-tuning, or none.",
    rich_help_panel=RUN_,
    metavar="WHAT",
)
IMAGES = typer.Option(
    help="Own pictures, or folders of them, instead of the run's; may be repeated.",
    rich_help_panel=DATA,
    metavar="PATH",
)
SAMPLES = typer.Option(
    help="Images drawn in the split's class distribution. Default: 30; 100 for ISIC 2019.", min=1, rich_help_panel=DATA
)
DRAW_SEED = typer.Option("--seed", help="Decides which images are drawn.", min=0, rich_help_panel=DATA)
PICTURES = typer.Option("--out", help="Folder of the pictures. Default: figures/ in the run.", rich_help_panel=OUTPUT)
PDF = typer.Option("--pdf", help="Write each figure as a PDF too.", rich_help_panel=OUTPUT)


def one_run(named: str | None, run: str | None) -> str | None:
    """Return the run that is asked for, by position or as --run; raise `ConfigError` where they are two."""
    if named and run and named != run:
        from cass_cli.errors import ConfigError
        from cass_cli.words import shown

        raise ConfigError(f"Two runs are named, {shown(named)} and {shown(run)}.", hint="Leave --run out.")
    return named or run
