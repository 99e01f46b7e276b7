"""The experiments that ship with cass: each table of the paper as a grid, whose settings cass has.

`NUMBERS` is how many numbers the paper's tables have; those of a network that cass cannot begin as the paper did are
left out, as the file says.
"""

from __future__ import annotations

import re
from collections import Counter
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from cass_cli.config.load import Resolved, flatten
from cass_cli.config.plain_yaml import plain_yaml
from cass_cli.config.presets import preset_names
from cass_cli.config.recipes import asked_settings
from cass_cli.scores.metrics import METRICS

ROOT = Path(__file__).parents[2]
FILES = sorted((ROOT / "experiments").iterdir())
KEYS = {"title", "source", "metric", "settings", "axes", "exclude", "evaluate", "against", "small", "paper"}
SHORT = {
    "method": "method.name",
    "recipe": "finetune.recipe",
    "label_fraction": "finetune.fractions",
    "pretrain_seed": "train.seed",
    "finetune_seed": "finetune.seed",
}
NUMBERS = {
    **{1: 12, 3: 12, 4: 18, 5: 18, 6: 6, 7: 6, 8: 6, 9: 8, 10: 8, 11: 8, 12: 4, 13: 6},
    **{14: 4, 15: 3, 16: 6, 17: 6, 18: 3, 19: 6, 20: 4, 21: 4},
}
LEFT_OUT = {17: [0.8517, 0.874], 19: [0.9898, 0.9276]}  # ResNet-200, which began at random beside a ViT that did not
WITHOUT_PRETRAINING = "transfer"

tables = pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
variants = pytest.mark.parametrize("small", [False, True], ids=["large", "small"])


def read(path: Path) -> dict[str, Any]:
    document = plain_yaml(path.read_text(encoding="utf-8"))
    assert isinstance(document, dict)
    return document


def axes_of(document: dict[str, Any], *, small: bool) -> dict[str, dict[str, dict[str, Any]]]:
    """Return the settings of each value of each axis, by what the value is called."""
    axes = document["axes"] | (document["small"]["axes"] if small else {})
    return {
        axis: {str(key): each for key, each in values.items()}
        if isinstance(values, dict)
        else {str(value): {axis: value} for value in values}
        for axis, values in axes.items()
    }


def resolved(settings: dict[str, Any]) -> Resolved:
    """Return what cass makes of a cell's settings; of a transfer all but the pretraining that it has not."""
    asked = {SHORT.get(key, key): value for key, value in flatten(settings).items()}
    preset = asked.pop("data")
    if asked.get("method.name") == WITHOUT_PRETRAINING:
        del asked["method.name"]
    if "finetune.fractions" in asked:
        asked["finetune.fractions"] = [asked["finetune.fractions"]]
    return asked_settings({}, preset=preset, assignments=asked)


@cache
def cells(path: Path, *, small: bool) -> dict[tuple[str, str], Resolved]:
    """Return the settings of each value of each axis, over the first values of the others."""
    document = read(path)
    base = dict(document["settings"]) | (document["small"]["settings"] if small else {})
    axes = axes_of(document, small=small)
    firsts = {axis: next(iter(values.values())) for axis, values in axes.items()}
    return {
        (axis, name): resolved(base | {k: v for each in (firsts | {axis: own}).values() for k, v in each.items()})
        for axis, values in axes.items()
        for name, own in values.items()
    }


def numbers(document: dict[str, Any]) -> list[float]:
    return [value for entry in document["paper"] for key, value in entry.items() if key not in document["axes"]]


def test_every_table_of_scores_has_a_file() -> None:
    assert {path.name for path in FILES} == {f"table-{number}.yaml" for number in NUMBERS}


@tables
def test_a_file_holds_what_the_format_has_and_says_how_it_is_run(path: Path) -> None:
    document, text = read(path), path.read_text(encoding="utf-8")
    assert document.keys() <= KEYS
    assert document["small"].keys() <= {"settings", "axes"}
    assert document["metric"] == ("balanced_accuracy" if path.stem == "table-5" else "macro_f1")
    assert document["metric"] in METRICS
    assert document["source"].startswith(f"Table {path.stem.removeprefix('table-')}")
    assert f"cass grid {path.stem}\n" in text
    assert f"cass grid {path.stem} --small " in text
    assert document["settings"]["recipe"] == "paper"
    assert document["settings"]["finetune.guard"] is False
    assert document["axes"]["pretrain_seed"] == [0, 1, 2, 3, 4]  # five seeds, C.5.1
    assert set(document["axes"]["data"]) <= {*preset_names()} - {"demo"}
    for entry in [*document.get("exclude", []), document["against"]]:
        for axis, value in entry.items():
            assert str(value) in axes_of(document, small=False)[axis]


@tables
@variants
def test_every_value_of_every_axis_is_a_setting_that_differs_from_the_others(path: Path, small: bool) -> None:
    document = read(path)
    found = cells(path, small=small)
    for axis, values in axes_of(document, small=small).items():
        pretrained = [found[axis, name] for name, own in values.items() if own.get(axis) != WITHOUT_PRETRAINING]
        told = [repr(each.config) for each in pretrained if axis != "data"]
        assert len(set(told)) == len(told), axis


@tables
def test_full_size_is_the_papers_and_the_small_variant_needs_no_data_and_no_network(path: Path) -> None:
    document = read(path)
    for each in cells(path, small=False).values():
        assert each.config.data.image_size == 384
        assert each.config.finetune.epochs == 50
        assert each.config.finetune.optimiser == "adam"
    for each in cells(path, small=True).values():
        assert each.config.arms.init == "random"
        assert each.config.data.image_size == 64
        assert each.config.train.epochs <= 2 or document["axes"]["method"] == [WITHOUT_PRETRAINING]
        assert each.config.finetune.epochs == 1
    axes = document["axes"] | document["small"]["axes"]
    assert axes["data"] == ["demo"]
    assert all(fraction >= 0.1 for fraction in axes["label_fraction"])  # 42 of 420 images: some of each class


def test_networks_can_be_built_and_those_that_begin_with_imagenet_have_its_weights() -> None:
    from timm import list_pretrained

    from cass_cli.models.arms import arm_options

    networks = set()
    for config in (
        each.config for path in FILES for small in (False, True) for each in cells(path, small=small).values()
    ):
        arms, size = config.arms, config.data.image_size
        networks.add((arms.cnn, size, arms.output_stride, arms.init))
        if config.finetune.arm == "both":
            networks.add((arms.vit, size, None, arms.init))
    assert len(networks) > 12
    for name, size, stride, init in sorted(networks, key=str):
        arm_options(name, image_size=size, outputs=1000, output_stride=stride)
        assert init == "random" or list_pretrained(f"{name}.*"), name


@tables
def test_the_papers_numbers_name_values_of_the_axes_and_scores_of_candidates(path: Path) -> None:
    document = read(path)
    axes = axes_of(document, small=False)
    seen = []
    for entry in document["paper"]:
        values = {key: str(value) for key, value in entry.items() if key in axes}
        scores = {key: value for key, value in entry.items() if key not in axes}
        assert all(value in axes[axis] for axis, value in values.items()), entry
        assert scores.keys() <= {"cnn", "vit"}, entry
        assert all(0 < value < 1 for value in scores.values()), entry
        excluded = [{key: str(value) for key, value in left.items()} for left in document.get("exclude", [])]
        assert not any(left.items() <= values.items() for left in excluded), entry
        varied = {axis for axis, of in axes.items() if len(of) > 1 and axis != "pretrain_seed"}
        assert values.keys() >= varied, entry  # it is of one cell
        seen += [(*sorted(values.items()), key) for key in scores]
    assert len(set(seen)) == len(seen)


@tables
def test_it_holds_as_many_numbers_as_the_table(path: Path) -> None:
    number = int(path.stem.removeprefix("table-"))
    assert len(numbers(read(path))) + len(LEFT_OUT.get(number, [])) == NUMBERS[number]
    said = path.read_text(encoding="utf-8")
    assert all(f"{value:g}".removeprefix("0") in said for value in LEFT_OUT.get(number, []))


@pytest.mark.shared
@tables
def test_its_numbers_are_those_of_the_papers_text(path: Path, shared: Path) -> None:
    number = int(path.stem.removeprefix("table-"))
    before = (
        (shared / "paper" / "cass-paper.txt")
        .read_text(encoding="utf-8")
        .partition(f"\nTable {number}: ")[0]
        .rstrip()
        .splitlines()
    )
    rows = []
    while "\t" in before[-1]:
        rows.append(before.pop())
    printed = [float(found) for row in rows for found in re.findall(r"(0\.\d+)\s*±", row)]
    assert Counter(numbers(read(path))) + Counter(LEFT_OUT.get(number, [])) == Counter(printed)


def test_the_same_experiment_has_the_same_numbers_in_every_table() -> None:
    """What the paper's standard setting scores stands in most tables: but for Tables 7 and 17, whose files say so."""
    standard = {"autoimmune": (0.8650, 0.8894), "brain-mri": (0.9909, 0.9279)}
    rows = {path.stem: [(e.get("cnn"), e.get("vit")) for e in read(path)["paper"]] for path in FILES}
    for path in FILES:
        document = read(path)
        if WITHOUT_PRETRAINING in document["axes"]["method"] and len(document["axes"]["method"]) == 1:
            continue
        if document["axes"]["data"] in (["autoimmune"], ["brain-mri"]) and path.stem != "table-17":
            assert standard[document["axes"]["data"][0]] in rows[path.stem], path.stem
    assert (0.8680, 0.8894) in rows["table-17"]
    assert {"vit": 0.7132, "data": "dermofit", "method": "cass"} in read(ROOT / "experiments/table-7.yaml")["paper"]
