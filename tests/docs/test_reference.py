"""The reference holds every option of every command and every setting, with its default, and nothing else."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator
from typing import Any

import typer

import cass_cli
from cass_cli.cli.app import app
from cass_cli.config.recipes import METHODS, RECIPES
from cass_cli.config.schema import Config
from cass_cli.models.arms import arm_options
from cass_cli.models.published import published
from docs.tools.fill import filled
from docs.tools.places import REPO
from docs.tools.reference import ENCODERS, commands, encoders, functions, methods, presets, settings


def every_command(name: str, command: Any) -> Iterator[tuple[str, Any]]:
    yield name, command
    for sub, inner in getattr(command, "commands", {}).items():
        yield from every_command(f"{name} {sub}", inner)


def test_every_option_of_every_command_is_in_the_reference() -> None:
    sections = re.split(r"^### ", commands(), flags=re.MULTILINE)[1:]
    told = {section.splitlines()[0]: section.replace("\\|", "|") for section in sections}
    known = dict(list(every_command("cass", typer.main.get_command(app)))[1:])
    assert list(told) == sorted(known, key=list(told).index) and set(told) == set(known)
    for name, command in known.items():
        for parameter in command.params:
            if parameter.param_type_name == "argument":
                assert f"`{parameter.metavar or parameter.name.upper()}`" in told[name], name
            else:
                rows = [line for line in told[name].splitlines() if re.match(rf"\| `{parameter.opts[0]}[ ,`]", line)]
                assert len(rows) == 1, parameter.opts
                row = rows[0]
                plain = row.replace("`", "").replace("\\*", "*").replace("&lt;", "<")
                assert (parameter.help or "").replace("`", "") in plain, parameter.opts
                assert not parameter.metavar or parameter.is_flag or parameter.metavar in row
        options = {name for parameter in command.params for name in (*parameter.opts, *parameter.secondary_opts)}
        assert set(re.findall(r"^\| `(--[a-z-]+)", told[name], re.MULTILINE)) <= options


def test_every_setting_is_in_the_reference_with_its_default() -> None:
    rows = [line for line in settings().replace("\\|", "|").splitlines() if line.startswith("| `")]
    told = {row.split("`")[1]: row for row in rows}
    usual = Config()
    known = {
        f"{section}.{key}": (getattr(usual, section), key)
        for section in Config.model_fields
        for key in type(getattr(usual, section)).model_fields
    }
    assert set(told) == set(known)
    for name, (section, key) in known.items():
        description = type(section).model_fields[key].description
        assert description and description.replace("`", "") in told[name].replace("`", "").replace("\\*", "*"), name
        value = getattr(section, key)
        if isinstance(value, str | int | float) and not isinstance(value, bool):
            assert f"| `{value}` |" in told[name], name


def test_what_methods_recipes_and_presets_bring_is_in_the_reference() -> None:
    for name, values in (METHODS | RECIPES).items():
        row = next(line for line in methods().splitlines() if line.startswith(f"| **{name}**"))
        assert set(
            re.findall(r"`((?:optim|train|method|finetune)\.\w+)`", row.partition("|")[2].partition("|")[2])
        ) == set(values)
    assert "`demo` | " in presets() and "`optim.lr` " in presets()


def test_every_function_is_in_the_reference_with_its_arguments() -> None:
    text = functions()
    for name in cass_cli.__all__:
        section = text.split(f"## {name}\n")[1].split("\n## ")[0]
        function = getattr(cass_cli, name)
        assert f"```python\n{name}(" in section
        assert all(f"{argument}: " in section for argument in inspect.signature(function).parameters)
        assert "```pycon\n>>> " in section


def test_the_pages_are_filled_from_it() -> None:
    for page, word in (
        ("commands.md", "--label-fraction"),
        ("settings.md", "`finetune.logit_adjustment`"),
        ("python.md", "## load_arm"),
        ("data-sets.md", "ISIC_2020_Training_Duplicates.csv"),
    ):
        text = (REPO / "docs" / page).read_text(encoding="utf-8")
        assert word not in text and word in filled(text, f"docs/{page}")


def test_the_encoders_are_those_that_cass_builds() -> None:
    told = encoders()
    for name in (name for names in ENCODERS.values() for name in names):
        (row,) = [line for line in told.splitlines() if f"`{name}`" in line]
        assert published(name).licence in row and published(name).hub.startswith("timm/")
        arm_options(name, image_size=224, outputs=0)
