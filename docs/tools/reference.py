"""The reference pages, written from the code: every command and option, every setting with its default."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import typer
import yaml
from pydantic_core import PydanticUndefined

import cass_cli
from cass_cli.cli.app import app
from cass_cli.config.presets import preset_names, preset_path
from cass_cli.config.recipes import METHODS, RECIPES, SCALED
from cass_cli.config.schema import Config
from cass_cli.data.sets.catalogue import SETS
from cass_cli.data.sets.public_set import PublicSet
from cass_cli.models.published import bytes_of, published
from cass_cli.reports.sets import TOLD
from cass_cli.reports.sets import commands as commands_of
from docs.tools.tables import markdown


def commands() -> str:
    """Return each command: what it says of itself, its usage, and its options by panel."""
    parts = []
    for panel, found in _panels(typer.main.get_command(app)).items():
        parts.append(f"## {panel}")
        parts += [part for name, command in found for part in _command(f"cass {name}", command)]
    return "\n\n".join(parts)


def _panels(group: Any) -> dict[str, list[tuple[str, Any]]]:
    panels: dict[str, list[tuple[str, Any]]] = {}
    for name, command in group.commands.items():
        panels.setdefault(getattr(command, "rich_help_panel", None) or "Commands", []).append((name, command))
    return panels


def _command(name: str, command: Any) -> Iterator[str]:
    yield f"### {name}"
    yield _prose(command.help or "")
    arguments = [p for p in command.params if p.param_type_name == "argument"]
    usage = " ".join(
        [name, *(["[OPTIONS]"] if len(command.params) > len(arguments) else []), *map(_argument, arguments)]
    )
    yield f"```text\n{usage}\n```"
    options: dict[str, list[list[str]]] = {}
    for parameter in command.params:
        row = [_name(parameter), _prose(parameter.help or ""), _default(parameter)]
        panel = "Arguments" if parameter in arguments else getattr(parameter, "rich_help_panel", None) or "Options"
        options.setdefault(panel, []).append(row)
    for panel, rows in options.items():
        told = any(default for _, _, default in rows)
        yield f"**{panel}**\n\n" + markdown(["", "what", "default"][: 2 + told], [row[: 2 + told] for row in rows])
    for sub, inner in getattr(command, "commands", {}).items():
        yield from _command(f"{name} {sub}", inner)


def _argument(parameter: Any) -> str:
    shown = parameter.metavar or parameter.name.upper()
    shown += "…" if parameter.nargs == -1 else ""
    return shown if parameter.required else f"[{shown}]"


def _name(parameter: Any) -> str:
    if parameter.param_type_name == "argument":
        return _code(parameter.metavar or parameter.name.upper())
    names = _code(", ".join([*parameter.opts, *parameter.secondary_opts]))
    return names if parameter.is_flag or not parameter.metavar else f"{names} {_code(parameter.metavar)}"


def _default(parameter: Any) -> str:
    """Return the default, where the help does not tell it."""
    value = parameter.default
    if callable(value) or value is None or value is False or value == [] or repr(value) == "Sentinel.UNSET":
        return ""
    return "on" if value is True else _code(str(value))


def _code(text: str) -> str:
    """Return `text` as code within a table, where a bare | would end the cell."""
    return "`" + text.replace("|", "\\|") + "`"


def _prose(text: str) -> str:
    """Return help as Markdown: paragraphs kept, and what a reader types set as code."""
    text = re.sub(r"(?<=: )(cass [^`\n]+)$", r"`\1`", text, flags=re.MULTILINE)
    parts = re.split(r"(`[^`]+`)", text.replace("|", "\\|"))
    return "".join(part if part.startswith("`") else _plain(part) for part in parts)


def _plain(text: str) -> str:
    text = text.replace("<", "&lt;").replace("*", "\\*")
    return re.sub(r"(?<![\w-])(--[a-z][a-z-]+)", r"`\1`", text)


def settings() -> str:
    """Return each setting by section: what may be given, the default, and what it means."""
    schema = Config.model_json_schema()
    parts = []
    for section, field in Config.model_fields.items():
        model: Any = field.annotation
        properties = schema["$defs"][model.__name__]["properties"]
        rows = [
            [
                f"`{section}.{name}`",
                _values(properties[name]),
                _shown(inner.get_default()),
                _prose(inner.description or ""),
            ]
            for name, inner in model.model_fields.items()
            if inner.default is not PydanticUndefined
        ]
        parts.append(
            f"## {section}\n\n{model.__doc__.splitlines()[0]}\n\n"
            + markdown(["setting", "values", "default", "what"], rows)
        )
    return "\n\n".join(parts)


def _values(shape: Mapping[str, Any]) -> str:
    """Return what may be given, from a JSON schema."""
    if "enum" in shape:
        return " ".join(f"`{value}`" for value in shape["enum"])
    if "anyOf" in shape:
        return " or ".join(_values(each) for each in shape["anyOf"])
    if "prefixItems" in shape:
        return ", ".join(_values(each) for each in shape["prefixItems"])
    if shape.get("type") == "array":
        return f"list of: {_values(shape['items'])}"
    if shape.get("type") == "object":
        return "names and values"
    name = {"integer": "whole number", "null": "none", "boolean": "`true` `false`", "string": "text"}
    kind = name.get(shape.get("type", ""), shape.get("type", "text"))
    return "path" if shape.get("format") == "path" else kind + _bounds(shape)


def _bounds(shape: Mapping[str, Any]) -> str:
    low = _bound(shape, "minimum", "from ") or _bound(shape, "exclusiveMinimum", "above ")
    high = _bound(shape, "maximum", "to ") or _bound(shape, "exclusiveMaximum", "below ")
    return "".join(f" {part}" for part in (low, high) if part)


def _bound(shape: Mapping[str, Any], key: str, word: str) -> str:
    return f"{word}{shape[key]:g}" if key in shape else ""


def _shown(value: object) -> str:
    if value is None:
        return "none"
    if isinstance(value, bool):
        return f"`{str(value).lower()}`"
    if isinstance(value, tuple | list):
        return ", ".join(_shown(each) for each in value)
    return "" if value == {} else f"`{value}`"


def methods() -> str:
    """Return what each method and each recipe of fine-tuning brings, over the defaults."""
    parts = []
    for title, found in (("method", METHODS), ("recipe", RECIPES)):
        rows = []
        for name, values in found.items():
            scaled = " (`optim.lr`: at 256 images a step)" if name in SCALED else ""
            rows.append(
                [f"**{name}**{scaled}", "<br>".join(f"`{key}` {_shown(value)}" for key, value in values.items())]
            )
        parts.append(markdown([title, "settings that it brings"], rows))
    return "\n\n".join(parts)


def presets() -> str:
    """Return what each preset sets otherwise than the defaults."""
    rows = []
    for name in preset_names():
        given = yaml.safe_load(preset_path(name).read_text(encoding="utf-8"))
        rows.append([f"`{name}`", "<br>".join(f"`{key}` {_shown(value)}" for key, value in _changed(given).items())])
    return markdown(["preset", "settings that it brings"], rows)


def _changed(given: Mapping[str, Any]) -> dict[str, Any]:
    """Return the settings of a preset, by dotted name, that are not the defaults."""
    usual = Config().model_dump(mode="json")
    return {
        f"{section}.{key}": value
        for section, values in given.items()
        if section in usual
        for key, value in values.items()
        if value != usual[section][key]
    }


def functions() -> str:
    """Return the package's functions: how each is called, and what it says of itself."""
    parts = []
    for name in cass_cli.__all__:
        function = getattr(cass_cli, name)
        told = inspect.getdoc(function) or ""
        prose, example, rest = told.partition("\n>>> ")
        parts.append(f"## {name}\n\n```python\n{_call(name, function)}\n```\n\n{_prose(prose)}")
        if example:
            parts.append(f"```pycon\n>>> {rest}\n```")
    return "\n\n".join(parts)


def _call(name: str, function: Callable[..., Any]) -> str:
    """Return how a function is called, in lines of up to 100 characters."""
    signature = inspect.signature(function)
    given: list[str] = []
    for parameter in signature.parameters.values():
        if parameter.kind is parameter.KEYWORD_ONLY and "*" not in given:
            given.append("*")
        usual = "" if parameter.default is parameter.empty else f" = {parameter.default!r}"
        given.append(f"{parameter.name}: {parameter.annotation}{usual}")
    lines = ["   "]
    for part in given:
        if len(lines[-1]) + len(part) > 98:
            lines.append("   ")
        lines[-1] += f" {part},"
    return "\n".join([f"{name}(", *lines, f") -> {signature.return_annotation}"])


def data_sets() -> str:
    """Return each public set: a line in a table of all, then what is known of it."""
    rows = [
        [f"[{public.title}](#{public.name})", f"`{public.name}`", _prose(public.holds), _prose(public.split)]
        for public in SETS.values()
    ]
    return "\n\n".join([markdown(["set", "name", "holds", "its split"], rows), *map(_data_set, SETS.values())])


def _data_set(public: PublicSet) -> str:
    facts = [[words, _prose(str(getattr(public, name)))] for name, words in TOLD.items()]
    traps = "\n".join(f"- {_prose(trap)}" for trap in public.traps)
    head = f'<a id="{public.name}"></a>\n\n## {public.title}'
    return f"{head}\n\n{markdown(['', ''], facts)}\n\n{traps}\n\n```sh\n" + "\n".join(commands_of(public)) + "\n```"


ENCODERS = {
    "DINOv2": ("vit_small_patch14_dinov2", "vit_base_patch14_dinov2", "vit_base_patch14_reg4_dinov2"),
    "DINOv3": (
        *("vit_small_patch16_dinov3", "vit_base_patch16_dinov3"),
        *("convnext_tiny.dinov3_lvd1689m", "convnext_base.dinov3_lvd1689m"),
    ),
    "CLIP": (
        *("resnet50_clip_gap.openai", "vit_base_patch16_clip_224.openai", "vit_base_patch16_clip_224.laion2b"),
        *("vit_base_patch16_clip_224.metaclip_2pt5b", "eva02_base_patch16_clip_224.merged2b"),
    ),
    "SigLIP 2": ("vit_base_patch16_siglip_gap_224.v2_webli",),
    "PE Core": ("vit_pe_core_small_patch16_384.fb",),
    "AIMv2": ("aimv2_large_patch14_224.apple_pt",),
    "C-RADIO": ("vit_base_patch16_radio_v3.c_radio",),
}
"""Encoders that timm has by name and cass builds, a family each: the smaller ones."""


def encoders() -> str:
    """Return the encoders with the licence that timm tells, and the size of their file."""
    known = [(family, published(name)) for family, names in ENCODERS.items() for name in names]
    rows = [[family, f"`{one.model}`", f"{bytes_of(one.model) / 1e6:,.0f}", one.licence] for family, one in known]
    return markdown(["", "`--cnn` or `--vit`", "MB", "licence"], rows)


PARTS: dict[str, Callable[[], str]] = {
    "commands": commands,
    "settings": settings,
    "methods": methods,
    "presets": presets,
    "functions": functions,
    "data-sets": data_sets,
    "encoders": encoders,
}
