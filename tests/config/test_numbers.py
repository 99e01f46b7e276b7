"""Every number of the schema has two ends, and nothing beyond them is taken."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, get_args, get_origin

import pytest

from cass_cli.config.load import parse_assignments, read_config_file, resolve
from cass_cli.config.recipes import asked_settings
from cass_cli.config.schema import Config
from cass_cli.errors import ConfigError

SILLY = (".nan", ".inf", "-.inf", "1.0e+30", "-1.0e+30", "1" + 400 * "0", "-1" + 400 * "0", "true", "[]", "{}", "many")


def numbers() -> Iterator[tuple[str, str]]:
    """Every numeric setting, with a pattern of YAML in which {} is a number of it."""
    for section, sub in Config.model_fields.items():
        for name, field in sub.annotation.model_fields.items():  # type: ignore[union-attr]
            kinds = get_args(field.annotation) or (field.annotation,)
            inner = [get_args(kind)[0] if get_origin(kind) is Annotated else kind for kind in kinds]
            if any(kind in (int, float) for kind in inner):
                several = get_origin(field.annotation) is tuple
                rest = ", ".join(str(value) for value in field.default[1:]) if several else ""
                yield f"{section}.{name}", f"[{{}}, {rest}]" if rest else "[{}]" if several else "{}"


NUMBERS = dict(numbers())


def test_all_numbers_are_found() -> None:
    assert len(NUMBERS) > 45
    assert NUMBERS["data.std"] == "[{}, 0.224, 0.225]"
    assert NUMBERS["finetune.fractions"] == "[{}]"
    assert NUMBERS["optim.clip"] == NUMBERS["train.save_minutes"] == "{}"


@pytest.mark.parametrize("key", NUMBERS)
def test_what_cannot_be_meant_is_refused_by_name(key: str) -> None:
    for silly in SILLY:
        with pytest.raises(ConfigError, match=key):
            resolve([parse_assignments([f"{key}={NUMBERS[key].format(silly)}"])])
            pytest.fail(f"{silly} was taken")


@pytest.mark.parametrize(
    "assignment",
    [
        *(
            "data.std=[0, 0, 0]",
            "data.std=[-1, 1, 1]",
            "data.std=[58.4, 57.1, 57.4]",
            "data.mean=[123.7, 116.8, 103.9]",
        ),
        *("optim.lr=0", "train.save_minutes=0", "finetune.alpha=0", "optim.clip=0", "finetune.batch_size=1"),
        *("data.fractions=[1, 0.5, -0.5]", "optim.betas=[0.9, 1]", "optim.momentum=1", "optim.averaging_start=1.5"),
    ],
)
def test_ends_that_are_not_meant(assignment: str) -> None:
    with pytest.raises(ConfigError, match=assignment.partition("=")[0]):
        resolve([parse_assignments([assignment])])


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("data.std", [1, 1, 1]),
        ("data.mean", [0, 0, 0]),
        ("optim.lr", 30),
        ("finetune.gamma", 0),
        ("train.compile", True),
    ],
)
def test_what_is_meant_is_taken(key: str, value: Any) -> None:
    resolve([parse_assignments([f"{key}={value}"])])


def test_a_file_is_read_as_strictly(tmp_path: Path) -> None:
    file = tmp_path / "mine.yaml"
    file.write_text("data: {std: [.nan, 1, 1]}\ntrain: {save_minutes: .inf}\n")
    with pytest.raises(ConfigError, match=r"data\.std[\s\S]*train\.save_minutes"):
        resolve([read_config_file(file, "file")])


@pytest.mark.parametrize("value", [5000 * "9", "2020-13-45"])
def test_yaml_that_is_no_value(tmp_path: Path, value: str) -> None:
    """PyYAML leaves it to `int` and `date` to complain."""
    with pytest.raises(ConfigError, match=r"train\.epochs"):
        parse_assignments([f"train.epochs={value}"])
    file = tmp_path / "mine.yaml"
    file.write_text(f"train: {{epochs: {value}}}\n")
    with pytest.raises(ConfigError, match=r"mine\.yaml"):
        read_config_file(file, "file")


def test_a_batch_of_any_size_scales_no_learning_rate_into_a_crash() -> None:
    with pytest.raises(ConfigError, match=r"train\.batch_size"):
        asked_settings({"method.name": "mae", "train.batch_size": 10**400})
