"""From defaults, preset, file and flags to one frozen configuration that knows where each value came from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import yaml  # written with it, read by `plain_yaml` alone
from pydantic import BaseModel, ValidationError

from cass_cli.config.plain_yaml import MOST_BYTES, plain_yaml
from cass_cli.config.schema import Config
from cass_cli.errors import ConfigError, RunError, did_you_mean
from cass_cli.reading import read_bytes
from cass_cli.saved import short
from cass_cli.words import shown, shown_list

RESTORE = "Restore it from a copy, or start again."
MOST_TOLD, MOST_CLOSE = 20, 10  # problems that are listed, and for which a setting of a close name is looked for
LONGEST = 200  # characters of a key, in a message
ASSIGNED = "--set"  # the origin of what it, or a mapping in Python, says


@dataclass(frozen=True)
class Layer:
    """Settings from one place, under dotted names, later layers winning over earlier ones."""

    origin: str
    values: Mapping[str, Any]


NOTHING = Layer("flag", {})


@dataclass(frozen=True)
class Resolved:
    """A frozen configuration and, for each dotted key, the layer that decided it."""

    config: Config
    origins: Mapping[str, str]

    def value(self, key: str) -> Any:
        """Return the value behind a dotted key."""
        node: Any = self.config
        for part in key.split("."):
            node = getattr(node, part)
        return node


@cache
def known_keys(model: type[BaseModel] = Config, prefix: str = "") -> Mapping[str, str]:
    """Return every dotted key with its description."""
    keys: dict[str, str] = {}
    for name, field in model.model_fields.items():
        if isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel):
            keys |= known_keys(field.annotation, f"{prefix}{name}.")
        else:
            keys[prefix + name] = field.description or ""
    return keys


def resolve(layers: list[Layer]) -> Resolved:
    """Merge `layers` over the defaults, first to last.

    Raises `ConfigError` that lists every unknown key and every bad value at once.
    """
    keys = known_keys()
    origins = dict.fromkeys(keys, "default")
    merged: dict[str, Any] = {}
    problems: list[str] = []
    for layer in layers:
        for key, value in layer.values.items():
            if key in keys:
                merged[key] = value
                origins[key] = layer.origin
            else:
                close = _nearest_key(key, keys) if len(problems) < MOST_CLOSE else ""
                problems.append(f"{layer.origin}: there is no setting '{shown(key)[:LONGEST]}'.{close}")
    try:
        config = Config.model_validate(_nest(merged))
    except ValidationError as error:
        problems += [_explain(item, origins) for item in error.errors()]
        config = Config()
    if problems:
        hint = "`cass pretrain --dry-run` shows every setting; `--set key.sub=value` takes any of them."
        told = list(dict.fromkeys(problems))
        more = [f"and {len(told) - MOST_TOLD:,} more"] if len(told) > MOST_TOLD else []
        raise ConfigError("\n".join([*told[:MOST_TOLD], *more]), hint=hint)
    return Resolved(config, origins)


def read_config_file(path: Path, origin: str) -> Layer:
    """Read a YAML file of nested settings; an `about` section is prose for people and left aside."""
    try:
        document = plain_yaml(read_bytes(path, MOST_BYTES).decode("utf-8"))
        if document is None:
            document = {}
        if not isinstance(document, dict):
            raise ConfigError(f"{path} holds no settings: expected `section:` lines with `key: value` below them.")
        return Layer(origin, flatten({key: value for key, value in document.items() if key != "about"}))
    except OSError as error:
        reason = error.strerror or str(error)
        raise ConfigError(f"Cannot read the configuration {path}: {reason}.", hint="Check the path.") from error
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path} is not valid YAML: it is no UTF-8.", hint="Save it as UTF-8.") from error
    except ValueError as error:  # also of a date that is none
        raise ConfigError(
            f"{path} is not valid YAML: {error}.", hint="Compare it with `cass presets show demo`."
        ) from error


def parse_assignments(assignments: Sequence[str] | Mapping[str, Any]) -> Layer:
    """Read `--set key.sub=value` flags; values are YAML, so `1e-4`, `true` and `[a, b]` mean what they say.

    In Python they are a mapping of keys to values, or of sections to such.
    """
    if isinstance(assignments, Mapping):
        return Layer(ASSIGNED, flatten(assignments))
    values: dict[str, Any] = {}
    for text in assignments:
        key, equals, raw = text.partition("=")
        if not equals or not key.strip():
            raise ConfigError(f"--set {text!r} is not of the form key.sub=value.", hint="Example: --set optim.lr=1e-4")
        try:
            value = plain_yaml(raw) or _bare(raw)
        except ValueError as error:
            raise ConfigError(
                f"--set {shown(key)[:LONGEST]}: {short(raw)} is not valid YAML: {error}.",
                hint="Quote text that holds : or #.",
            ) from error
        values[key.strip()] = value
    return Layer(ASSIGNED, values)


def asked_layers(
    flags: Mapping[str, Any], *, file: Path | None, assignments: Sequence[str] | Mapping[str, Any]
) -> list[Layer]:
    """Return what was asked for: the `file`, then the `flags` that are not None, then the `assignments` of --set."""
    return [
        *([read_config_file(file, f"file {file}")] if file else []),
        flag_layer(flags),
        parse_assignments(assignments),
    ]


def flag_layer(flags: Mapping[str, Any]) -> Layer:
    """Return what options ask for: those that are not None."""
    return Layer("flag", {key: value for key, value in flags.items() if value is not None})


def _bare(raw: str) -> Any:
    """Return what YAML reads as nothing: signs such as | and > begin a text that never comes, and are meant as such."""
    value = plain_yaml(raw)
    return raw if value == "" and raw.strip() and raw.strip()[0] not in "'\"" else value


def flatten(tree: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Turn nested sections into dotted keys, stopping at the keys that the schema knows."""
    keys = known_keys()
    flat: dict[str, Any] = {}
    for name, value in tree.items():
        key = f"{prefix}{name}"
        if isinstance(value, Mapping) and key not in keys and value:
            flat |= flatten(value, f"{key}.")
        else:
            flat[key] = value
    return flat


def to_yaml(resolved: Resolved) -> str:
    """Write the configuration as YAML that `read_config_file` reads back, each line naming its origin."""
    lines: list[str] = []
    for section, values in resolved.config.model_dump(mode="json").items():
        lines.append(f"{section}:")
        for name, value in values.items():
            text = yaml.safe_dump(value, default_flow_style=True, width=10_000).removesuffix("...\n").strip()
            lines.append(f"  {name}: {text}  # {resolved.origins[f'{section}.{name}']}")
    return "\n".join(lines) + "\n"


ASKED_ANEW = {"data.download"}  # a run may come from a stranger, whose word fetches nothing and writes nowhere
SINCE_EVER = {"data", "arms", "augment", "method", "optim", "train"}  # the sections that every saved file has


def read_saved(path: Path) -> Resolved:
    """Read what `to_yaml` wrote, origins included.

    `ASKED_ANEW` is not taken from it. Raises `RunError` for anything else: settings and sections that came later have
    their defaults.
    """
    try:
        layer = read_config_file(path, "the file")
        told = {key: value for key, value in layer.values.items() if key not in ASKED_ANEW}
        resolved = resolve([Layer(layer.origin, told)])
    except ConfigError as error:
        raise RunError(f"{path} is damaged: {error.what.replace(f'{path} ', 'it ')}", hint=RESTORE) from error
    begun = {key.partition(".")[0] for key in layer.values}
    if missing := SINCE_EVER - begun:
        raise RunError(f"{path} is damaged: it has no section {shown_list(sorted(missing))}.", hint=RESTORE)
    origins, section = dict(resolved.origins), ""
    for line in path.read_text(encoding="utf-8").splitlines():
        key, _, rest = line.partition(":")
        if not line.startswith(" "):
            section = key
        elif "  # " in rest:
            origins[f"{section}.{key.strip()}"] = rest.rpartition("  # ")[2]
    return Resolved(resolved.config, origins)


def _nest(flat: Mapping[str, Any]) -> dict[str, Any]:
    tree: dict[str, Any] = {}
    for key, value in flat.items():
        *sections, name = key.split(".")
        node = tree
        for section in sections:
            node = node.setdefault(section, {})
        node[name] = _number(value)
    return tree


def _number(value: Any) -> Any:
    """YAML 1.1 reads `1e-4` (no dot) as text; read it as the number that was meant."""
    if isinstance(value, str):
        try:
            return float(value) if "e" in value.lower() else value
        except ValueError:
            return value
    return value


def _nearest_key(key: str, keys: Mapping[str, str]) -> str:
    by_last_part = [known for known in keys if known.rsplit(".", 1)[-1] == key.rsplit(".", 1)[-1]]
    return f" Did you mean '{by_last_part[0]}'?" if by_last_part else did_you_mean(key, list(keys))


def _explain(item: Any, origins: Mapping[str, str]) -> str:
    location = [shown(str(part))[:LONGEST] for part in item["loc"]]
    key = ".".join(location[:2])
    message = str(item["msg"]).removeprefix("Value error, ")
    if item["type"] == "value_error":
        return message if not key else f"{location[0]}.{message}"
    given = f" (given: {short(item['input'])}, from {origins.get(key, 'the configuration')})"
    return f"{'.'.join(location)}: {message[0].lower()}{message[1:]}{given}"
