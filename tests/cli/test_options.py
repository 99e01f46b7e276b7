"""An option that a message names exists in every command that can raise the message."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
import typer

import cass_cli
from cass_cli.cli.app import app

PACKAGE = Path(cass_cli.__file__).parent
GROUP = typer.main.get_command(app)
COMMANDS: dict[str, set[str]] = {
    name: {option for parameter in command.params for option in (*parameter.opts, *parameter.secondary_opts)}
    for name, command in GROUP.commands.items()  # type: ignore[attr-defined]
}
GLOBAL = {"--help", *(option for parameter in GROUP.params for option in parameter.opts)}

TRAIN = ("pretrain", "finetune")
READ = (*TRAIN, "inspect")  # read a folder that is new to cass; others read what a run has read before
NAME = (
    *TRAIN,
    "evaluate",
    "predict",
    "export",
    "embed",
    "errors",
    "compare",
    "report",
    "card",
    "attention-maps",
    "feature-maps",
    "similarity",
)
LOOK = ("attention-maps", "feature-maps", "similarity")
TUNED = ("evaluate", "predict", "errors")
RAISED_BY: dict[str, tuple[str, ...]] = {
    "config": TRAIN,
    "data": READ,
    "data/dataset.py": TRAIN,
    "data/labelled_images.py": TRAIN,
    "data/class_names.py": ("evaluate",),  # of another site's images, which are read as any folder is
    "data/layouts": (*READ, "evaluate"),
    "data/metadata.py": ("evaluate", "predict"),
    "data/splits.py": TRAIN,
    "data/folds.py": ("finetune",),
    "data/store": TRAIN,  # and evaluate, of a file that went bad: the message names who has the option
    "data/layouts/medmnist.py": TRAIN,
    "data/layouts/lookup.py": (*READ, "predict"),
    "data/layouts/scan.py": (*READ, "predict"),
    "data/decode": (*READ, *TUNED, "ensemble", "benchmark-time", *LOOK),
    "data/sets": TRAIN,
    "data/slides": ("tile",),
    "engine": TRAIN,
    "engine/device.py": (*TRAIN, *TUNED, *LOOK, "benchmark-time"),
    "engine/finetuning": ("finetune",),
    "engine/finetuning/ensemble.py": ("ensemble",),
    "engine/finetuning/corrupted.py": ("evaluate",),
    "engine/finetuning/evaluate.py": ("evaluate",),
    "engine/finetuning/external.py": ("evaluate",),
    "engine/finetuning/people.py": ("evaluate",),
    "engine/finetuning/answers.py": ("evaluate", "errors"),
    "engine/finetuning/predict.py": ("predict",),
    "config/grid_file.py": ("grid",),
    "engine/grid": ("grid",),
    "reports/grid.py": ("grid",),
    "engine/grid/tasks.py": ("finetune",),  # whose commands it writes
    "engine/exporting": ("export",),
    "engine/embedding": ("embed",),
    "reports/embedding.py": ("embed",),
    "reports/embedding_plots.py": ("embed",),
    "engine/pretraining": ("pretrain",),
    "engine/looking": LOOK,
    "engine/looking/attention_maps.py": ("attention-maps",),
    "engine/timing/forecast.py": ("pretrain",),
    "engine/timing/finetune_forecast.py": ("finetune",),
    "engine/tiling": ("tile",),
    "engine/timing/job.py": ("benchmark-time",),
    "methods": ("pretrain",),
    "models": TRAIN,
    "runs/names.py": NAME,
    "runs/directory.py": TRAIN,
    "runs/latest.py": TRAIN,
    "runs/compare.py": ("compare",),
    "runs/compare_folds.py": ("compare",),
    "reports/comparison_figures.py": ("compare",),
    "runs/made_from.py": TRAIN,
    "runs/writers.py": TRAIN,
    "runs/images_used.py": ("report",),
    "scores": ("finetune",),
    "scores/goals.py": ("evaluate",),
    "scores/use.py": ("evaluate",),
    "reports/benchmark.py": ("benchmark-time",),
    "reports/trackers": TRAIN,
    "reports/html.py": ("report", "errors"),
    "reports/card_files.py": ("card",),
    "reports/inspection.py": ("inspect",),
    "reports/predictions.py": ("predict",),
    "reports/robustness_in_words.py": ("evaluate",),
    "reports/pretraining.py": ("pretrain",),
    "reports/tiling.py": ("tile",),
    "reports/weights.py": TRAIN,  # "taken only where …"
    "reports/report_sections.html.j2": TRAIN,
    "errors.py": (),  # of all
}
"""Which commands can raise what a file or folder says; the longest name counts."""

ONLY = {
    ("config/flags.py", "--label-fraction"): ("finetune",),
    ("config/flags.py", "--external"): ("evaluate",),
    ("config/flags.py", "--map-class"): ("evaluate",),
    ("reports/card_facts.py", "--corruptions"): ("evaluate",),
    ("reports/card_facts.py", "--external"): ("evaluate",),
    ("reports/card_facts.py", "--subgroup"): ("evaluate",),
    ("config/flags.py", "--split"): ("evaluate",),
    ("data/layouts/columns.py", "--split-column"): READ,  # another site's splits are not asked for
    ("data/layouts/overlays.py", "--split-column"): READ,
    ("data/layouts/split_values.py", "--split-column"): READ,
    ("data/layouts/split_values.py", "--split-values"): READ,
    ("config/recipes.py", "--no-guard"): ("finetune",),
    ("config/schema.py", "--folds"): ("finetune",),
    ("config/schema.py", "--seeds"): ("finetune",),
    ("config/recipes.py", "--recipe"): ("finetune",),
    ("data/dataset.py", "--data"): (*TRAIN, "evaluate", "errors", *LOOK),
    ("data/store/build.py", "--cache"): TRAIN,
    ("data/decode/channels.py", "--channels"): READ,  # others show what the run has shown
    ("data/decode/opening.py", "--channels"): READ,
    ("data/frames.py", "--frames"): READ,
    ("data/frames.py", "--slices"): READ,
    ("data/frames.py", "--channels"): READ,
    ("engine/finetuning/tuned_arms.py", "--across-seeds"): ("ensemble",),  # "cass ensemble …"
    ("engine/starting_arms.py", "--init-from"): ("finetune",),
    ("runs/made_from.py", "--variant"): ("finetune",),
    ("runs/compare_folds.py", "--folds"): ("finetune",),
    ("runs/compare_folds.py", "--seed"): ("finetune",),
    ("data/layouts/overlays.py", "--csv"): ("inspect",),
    ("reports/inspection.py", "--data"): TRAIN,
    ("reports/inspection.py", "--set"): TRAIN,
    ("reports/inspection.py", "--bad-images"): TRAIN,  # "train with …"
    ("reports/inspection.py", "--fit"): TRAIN,  # the same
    ("reports/inspection.py", "--split-by-duplicates"): TRAIN,  # the same
    ("reports/report_sections.html.j2", "--init-from"): ("finetune",),
    ("reports/report_sections.html.j2", "--pretrain-once"): ("finetune",),
    ("runs/names.py", "--run"): (*LOOK, *TUNED, "finetune"),
    ("runs/names.py", "--variant"): ("finetune", *TUNED, "card"),
    ("runs/names.py", "--label-fraction"): (*TUNED, "card"),
    ("runs/names.py", "--seed"): (*TUNED, "card"),
    ("models/arms.py", "--dino-setting"): ("pretrain",),
    ("models/hub.py", "--init"): ("pretrain",),
    ("models/checkpointing.py", "--accumulate"): ("pretrain",),
}
"""Options that fewer commands come to than the rest of the file."""

OF_SLURM = {"--array", "--format", "--me", "--noheader", "--ntasks", "--requeue", "--signal"}
"""What `sbatch`, `squeue` and `srun` are given."""


def said() -> Iterator[tuple[str, str, str]]:
    """Every text outside cli/ that names an option: (file, text, option)."""
    for path in sorted(PACKAGE.rglob("*.py")):
        file = path.relative_to(PACKAGE).as_posix()
        if file.startswith("cli/"):
            continue
        tree = ast.parse(path.read_text(encoding="utf-8"))
        docs = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
        whole = [node for node in ast.walk(tree) if isinstance(node, ast.JoinedStr)]
        parts = {id(part) for node in whole for part in ast.walk(node) if part is not node}
        single = [node for node in ast.walk(tree) if isinstance(node, ast.Constant) and id(node) not in docs | parts]
        texts = [node.value for node in single if isinstance(node.value, str)]
        for text in (*texts, *map(_constant_parts, whole)):
            for option in re.findall(r"(?<![\w-])--[a-z][a-z-]+", text):
                yield file, text, option

    for path in sorted(PACKAGE.rglob("*.j2")):
        for line in path.read_text(encoding="utf-8").splitlines():
            for option in re.findall(r"(?<![\w-])--[a-z][a-z-]+(?![\w:-]|: )", line):
                if "cass " in line:
                    yield path.relative_to(PACKAGE).as_posix(), line, option


def _constant_parts(node: ast.JoinedStr) -> str:
    return "".join(str(part.value) if isinstance(part, ast.Constant) else "{}" for part in node.values)


def raised_by(file: str, option: str) -> tuple[str, ...]:
    if (file, option) in ONLY:
        return ONLY[file, option]
    rooms = [room for room in RAISED_BY if file == room or file.startswith(f"{room}/")]
    assert rooms, f"{file} names {option}: say in RAISED_BY which commands can raise it"
    return RAISED_BY[max(rooms, key=len)]


@pytest.mark.parametrize(("file", "text", "option"), sorted(set(said())))
def test_an_option_that_a_message_names_exists_where_it_is_raised(file: str, text: str, option: str) -> None:
    if option in GLOBAL | OF_SLURM:
        return
    before = text.partition(option)[0]
    told = re.search(r"cass ([a-z-]+)[ {][^`.,]*$", before)  # "do it with: cass finetune --label-fraction 0.1"
    named = told is not None and told[1] in COMMANDS
    for command in [told[1]] if told and named else raised_by(file, option):
        assert option in COMMANDS[command], f"`cass {command}` has no {option}, which {file} names"


def test_the_messages_are_found() -> None:
    found = {(file, option) for file, _, option in said()}
    assert ("data/layouts/columns.py", "--image-column") in found
    assert len(found) > 60


def test_the_folder_of_runs_has_one_name() -> None:
    for command in NAME:
        assert "--runs" in COMMANDS[command]
    for command in ("pretrain", "finetune", "evaluate", "compare"):
        assert "--out" not in COMMANDS[command]
