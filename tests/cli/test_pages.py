"""Every command on the README and on the pages of docs/ runs, small, on one trained run that they share.

A command runs as it stands, in a folder that holds what it names (FOLDER, HAM10000, labels.csv, runs/NAME, …), with
options behind it that make it small. A launcher (torchrun) is left out: `test_distributed.py` starts processes. What is
no block but stands within a sentence or a table is only read: the command, its options, their choices.
"""

from __future__ import annotations

import re
import shlex
import shutil
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import timm
import torch
import typer
from PIL import Image
from safetensors.torch import save_file

from cass_cli.cli.app import app, run
from tests.conftest import REPO
from tests.data.slides.drawn import draw_six

PAGES = [REPO / "README.md", REPO / "CONTRIBUTING.md", *sorted((REPO / "docs").glob("*.md"))]
BLOCK = re.compile(r"^```sh\n(.*?)^```$", re.DOTALL | re.MULTILINE)
INLINE = re.compile(r"`(cass (?!COMMAND|…)[^`]+)`")
NETWORKS: dict[str, tuple[str, dict[str, Any]]] = {"cnn": ("test_resnet", {}), "vit": ("test_vit", {"img_size": 32})}
STARTS = {"cnn": "resnet50.safetensors", "vit": "vit_base_patch16_384.safetensors"}  # as docs/offline.md calls them
FOLDERS = ("FOLDER", "HAM10000")
TILES = "TILES"  # which cass tile makes, and other commands read
RUNS = ("NAME", "OTHER", "RUN", "ham", "ham-transfer")  # copies of one; the first is the latest

ARMS = ["--cnn", "test_resnet", "--vit", "test_vit", "--image-size", "32", "--device", "cpu", "--precision", "fp32"]
LOADED = [word for arm, file in STARTS.items() for word in ("--weights", f"{arm}={file}")]
NARROW = [
    word for key in ("prototypes=64", "decoder_width=32", "decoder_depth=1") for word in ("--set", f"method.{key}")
]


def lines(page: Path) -> Iterator[list[str]]:
    """The commands in a page's blocks, each as words."""
    for block in BLOCK.findall(page.read_text(encoding="utf-8")):
        for line in block.replace("\\\n", "").splitlines():
            if words := shlex.split(line, comments=True):
                yield words


COMMANDS = {
    " ".join(words): words[words.index("cass_cli" if words[0] == "torchrun" else "cass") + 1 :]
    for page in PAGES
    for words in lines(page)
    if words[0] in ("cass", "torchrun")
}


def small(words: list[str]) -> list[str]:
    """What makes a command small: settings that do not change what it is about."""
    command, *given = words
    more: list[str] = []
    if command == "pretrain" and "--resume" in given:
        more = ["--epochs", "2"]  # the shared run is finished after one
    elif command == "pretrain":
        more = [*ARMS, "--epochs", "1", *NARROW, *(["--data", "FOLDER"] if "--data" not in given else [])]
        more += [] if {"--accumulate", "--batch-size"} & set(given) else ["--batch-size", "8"]
        more += [] if {"--init", "--weights"} & set(given) else LOADED
    elif command == "finetune":
        more = ["--device", "cpu", *(["--seeds", "2"] if "--seeds" in given else [])]
        more += [*ARMS, *LOADED] if "--data" in given else []
        more += ["--epochs", "1"] if {"--recipe", "--no-guard"} & set(given) else []
        more += ["--set", "finetune.steps=0"] if "tuned" in given else []  # of few images an epoch has many passes
        more += [] if {"--resume", "--data"} & set(given) else ["--overwrite"]  # the shared run is tuned already
    elif command == "benchmark-time":
        more = [*ARMS, "--steps", "1", "--warmup", "1"]
        more += [] if "--sweep" in given else ["--batch-size", "2"]
    elif command == "tile":
        more = ["--size", "32"]
    elif command in ("attention-maps", "feature-maps"):
        more = ["--samples", "2", "--device", "cpu"]
    elif command == "embed":
        more = ["--device", "cpu", "--overwrite"]
    elif command == "errors":
        more = ["--count", "2", "--device", "cpu"]
    elif command == "similarity":
        more = ["--samples", "8", "--device", "cpu"]
    return [*words, *more]


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with all that the pages' commands name; its runs are copies of one, which is made here."""
    here = tmp_path_factory.mktemp("desk")
    torch.manual_seed(0)
    for arm, (name, options) in NETWORKS.items():
        save_file(timm.create_model(name, num_classes=0, **options).state_dict(), here / STARTS[arm])
    rows = draw_pictures(here / "FOLDER")
    (here / "labels.csv").write_text("image,label,patient,fold\n" + "".join(rows))
    (here / "test_list.txt").write_text("".join(f"{row.split(',')[0]}\n" for row in rows if row.endswith("2\n")))
    people = [f"{row.split(',')[0]},{'fm'[i % 2]},{20 + i}\n" for i, row in enumerate(rows)]
    (here / "people.csv").write_text("image,sex,age\n" + "".join(people))
    (here / "patients.csv").write_text(
        "image,patient\n" + "".join(f"{row.split(',')[0]},{i // 2}\n" for i, row in enumerate(rows))
    )
    elsewhere = [row.replace(",light,", ",bright,") for row in draw_pictures(here / "SITE_B", seed=1)]
    (here / "theirs.csv").write_text("image,label,person,fold\n" + "".join(elsewhere))
    parts = here / "HAM10000"
    for number in (1, 2):
        (parts / f"HAM10000_images_part_{number}").mkdir(parents=True)
    lesions = ["lesion_id,image_id,dx\n"]
    for i, row in enumerate(rows):
        image, label, patient, _ = row.split(",")
        shutil.copy(here / "FOLDER" / image, parts / f"HAM10000_images_part_{1 + i % 2}" / f"ISIC_{i:07d}.png")
        lesions.append(f"HAM_{patient},ISIC_{i:07d},{label}\n")
    (parts / "HAM10000_metadata.csv").write_text("".join(lesions))
    made = ["--runs", str(here / "runs")]
    weights = [word.replace("=", f"={here}/") if "=" in word else word for word in LOADED]
    asked = [*ARMS, *weights, "--epochs", "1", "--batch-size", "8", "--method", "vicreg", "--no-advice"]
    asked += ["--group-pattern", r"/(\d+)_"]
    assert run(["pretrain", *asked, "--data", str(here / "FOLDER"), *made, "--name", "NAME"]) == 0
    assert run(["finetune", *made]) == 0
    assert run(["finetune", *made, "--recipe", "paper", "--no-guard", "--epochs", "1"]) == 0
    assert run(["evaluate", *made, "--run", "NAME/finetune/pretrained-probe"]) == 0
    (here / "runs" / "latest").unlink()
    (here / "runs" / "latest").symlink_to("NAME")
    assert run(["inspect", str(here / "FOLDER"), "--csv", str(here / "images.csv")]) == 0
    slides = draw_six(here / "SLIDES")
    told = [f"{path.name},{'benign' if i % 2 else 'malignant'}\n" for i, path in enumerate(slides.iterdir())]
    (here / "slides.csv").write_text("slide,label\n" + "".join(told))
    assert run(["tile", str(slides), "--out", str(here / TILES), "--size", "32"]) == 0
    return here


def draw_pictures(folder: Path, seed: int = 0) -> list[str]:
    """Draw 40 pictures of 20 patients in two class folders; return a row of a table for each."""
    rng, rows = np.random.default_rng(seed), []
    for i in range(40):
        label, patient = ("dark", "light")[i % 2], i // 2 % 20 * 2 + i % 2
        (folder / label).mkdir(parents=True, exist_ok=True)
        pixels = rng.integers(0, 128, (40, 40, 3)) + rng.integers(0, 60) + 60 * (i % 2)
        Image.fromarray(pixels.clip(0, 255).astype(np.uint8)).save(folder / label / f"{patient:02d}_{i:02d}.png")
        rows.append(f"{label}/{patient:02d}_{i:02d}.png,{label},{patient},{(0, 0, 0, 1, 2)[patient // 2 % 5]}\n")
    return rows


@pytest.mark.parametrize("line", COMMANDS)
def test_a_command_of_the_pages_runs(
    line: str, desk: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for path in desk.iterdir():
        if path.name != "runs" and (path.name, COMMANDS[line][0]) != (TILES, "tile"):
            (tmp_path / path.name).symlink_to(path)
    words = COMMANDS[line]
    named = {word.split("/")[0] for word in words} - {new for flag, new in pairwise(words) if flag == "--name"}
    for name in {"NAME", *named & set(RUNS)}:
        shutil.copytree(desk / "runs" / "NAME", tmp_path / "runs" / name)
    (tmp_path / "runs" / "latest").symlink_to("NAME")
    monkeypatch.chdir(tmp_path)
    code = run(small(words))
    told = capsys.readouterr()
    assert code == 0, f"{shlex.join(small(words))}\n{told.out}\n{told.err}"


def complaints(words: list[str]) -> list[str]:
    """What is wrong with a command, by its options and their choices alone."""
    command: Any = typer.main.get_command(app)
    while words and words[0] in getattr(command, "commands", {}):
        command = command.commands[words.pop(0)]
    options = {name: option for option in command.params for name in (*option.opts, *option.secondary_opts)}
    options |= {"--help": None, "--debug": None}
    found = []
    for word, value in pairwise([*words, ""]):
        name = word.partition("=")[0]
        if name.startswith("--") and name not in options:
            found.append(f"{name} is no option")
        elif name in options and options[name] and "|" in (options[name].metavar or ""):
            choices = options[name].metavar.split("|")
            found += [f"{name} {value}"] if "|" not in value and value not in choices else []
    if hasattr(command, "commands") and words and not words[0].startswith("-"):
        found.append(f"{words[0]} is no command")
    return found


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_what_sentences_name_is_there(page: Path) -> None:
    """Commands within sentences, and options that stand alone there, are those of the program."""
    text = BLOCK.sub("", page.read_text(encoding="utf-8"))
    told = {line: complaints(shlex.split(line)[1:]) for line in INLINE.findall(text)}
    assert {line: wrong for line, wrong in told.items() if wrong} == {}
    known = {name for option in every_option() for name in (*option.opts, *option.secondary_opts)} | {
        "--help",
        "--debug",
    }
    alone = {match.group(1) for match in re.finditer(r"`(--[a-z-]+)[^`]*`", text)}
    assert alone - known == set()


def every_option() -> Iterator[Any]:
    waiting: list[Any] = [typer.main.get_command(app)]
    while waiting:
        command = waiting.pop()
        yield from command.params
        waiting += getattr(command, "commands", {}).values()


def test_make_has_the_targets_of_the_pages() -> None:
    targets = set(re.findall(r"^([a-z-]+):", (REPO / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
    for page in PAGES:
        text = page.read_text(encoding="utf-8")
        named = {words[1] for words in lines(page) if words[0] == "make"} | set(re.findall(r"`make ([a-z-]+)`", text))
        assert named - targets == set(), page


@pytest.mark.parametrize(
    ("line", "wrong"),
    [
        ("cass pretrain --fold 3", "--fold is no option"),
        ("cass finetune --recipe best", "--recipe best"),
        ("cass cache lits", "lits is no command"),
        ("cass finetune --init-from best", ""),
    ],
)
def test_complaints(line: str, wrong: str) -> None:
    assert complaints(shlex.split(line)[1:]) == [wrong] * bool(wrong)
