"""From presets and methods to measured steps and projected hours: the paper's Table 2 on this machine."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from cass_cli.config.load import Layer, Resolved
from cass_cli.config.presets import preset_about, preset_layer
from cass_cli.config.recipes import resolve_with_recipe
from cass_cli.config.schema import METHOD_NAMES, Config
from cass_cli.data.dataset import find_dataset, load_training_images
from cass_cli.data.store.store import ImageStore
from cass_cli.engine.batches import batch_bounds
from cass_cli.engine.device import choose_device
from cass_cli.engine.timing.measure import Machine, Timing, time_methods
from cass_cli.engine.timing.stepper import synthetic_store
from cass_cli.errors import ConfigError, did_you_mean

PAPER_PRESETS = ("autoimmune", "dermofit", "brain-mri", "isic2019")
SWEPT = {"batch-size": "train.batch_size", "image-size": "data.image_size"}
ON_A_CPU = {"data.image_size": 96, "train.batch_size": 4}  # where ResNet-50 + ViT-B/16 take seconds a step
SYNTHETIC_BATCHES = 4


@dataclass(frozen=True)
class Projection:
    """What the pretraining of one preset would take here, and what the paper says that it took there."""

    preset: str
    images: int  # of the training split
    hours: Mapping[str, float]  # by method
    paper_hours: Mapping[str, float]


@dataclass(frozen=True)
class Round:
    """All methods at one size, and the presets that this speaks for."""

    setting: str  # of the sweep, "" without one
    timings: Mapping[str, Timing]
    projections: tuple[Projection, ...]


@dataclass(frozen=True)
class Benchmark:
    """A finished measurement."""

    machine: Machine
    epochs: int
    images: str  # what was trained on
    reduced: str  # how this falls short of the presets' own sizes, "" if it doesn't
    rounds: tuple[Round, ...]


def benchmark_job(
    presets: Sequence[str],
    methods: Sequence[str],
    settings: Mapping[str, Any],
    *,
    steps: int,
    warmup: int,
    epochs: int | None = None,
    sweep: tuple[str, Sequence[int]] | None = None,
    data: Path | None = None,
    on_step: Callable[[str, str, int], None] = lambda _setting, _method, _step: None,
) -> Benchmark:
    """Time the methods on the arms and at the sizes of the presets, `settings` (dotted keys) going before those.

    Presets that train the same arms at the same size are measured once. On a CPU, sizes that `settings` leaves open
    are reduced. The images are noise, or those of `data`. Raises what a pretraining with these settings would.
    """
    for method in methods:
        if method not in METHOD_NAMES:
            what = f"There is no method '{method}'.{did_you_mean(method, METHOD_NAMES)}"
            raise ConfigError(what, hint=f"Methods: {', '.join(METHOD_NAMES)}.")
    device = choose_device(str(settings.get("train.device", "auto")))
    layer = Layer("option", {**settings, "arms.init": "random"})
    reduction = {key: value for key, value in ON_A_CPU.items() if key not in settings and key not in _swept(sweep)}
    reduced = ""
    if device.type == "cpu" and reduction:
        layer = replace(layer, values={**reduction, **layer.values})
        reduced = "no GPU: " + ", ".join(f"{key.split('.')[1].replace('_', ' ')} {v}" for key, v in reduction.items())
    rounds = []
    for group in _groups(presets, methods, layer, sweep, data):
        told = partial(on_step, group.setting)
        store = _store(next(iter(group.cases.values())), data)
        machine, timings = time_methods(group.cases, store, steps=steps, warmup=warmup, on_step=told)
        projections = tuple(_project(preset, group.cases, timings, epochs) for preset in group.presets)
        rounds.append(Round(group.setting, timings, projections))
    return Benchmark(
        machine=machine,
        epochs=epochs or next(iter(group.cases.values())).train.epochs,
        images=f"the images of {data.name}" if data else "noise in place of images",
        reduced=reduced,
        rounds=tuple(rounds),
    )


@dataclass(frozen=True)
class _Group:
    """Presets that ask for the same work."""

    setting: str
    cases: dict[str, Config]
    presets: list[str]


def _groups(
    presets: Sequence[str],
    methods: Sequence[str],
    layer: Layer,
    sweep: tuple[str, Sequence[int]] | None,
    data: Path | None,
) -> list[_Group]:
    """Return what is to be timed: at each value of the sweep, each kind of work that the presets ask for."""
    groups: dict[str, _Group] = {}
    name, values = sweep or ("", [0])
    for value in values:
        swept = {SWEPT[name]: value} if sweep else {}
        own = replace(layer, values={**layer.values, **swept})
        for preset in presets:
            cases = {_label(method, own): _config(preset, method, own, data) for method in methods}
            work = [(c.arms, c.data.image_size, c.train, c.method, c.augment) for c in cases.values()]
            group = _Group(f"{name} {value}" if sweep else "", cases, [])
            groups.setdefault(repr((value, work)), group).presets.append(preset)
    return list(groups.values())


def parse_sweep(text: str) -> tuple[str, list[int]]:
    """Read `batch-size=8,16,32`."""
    name, _, values = text.partition("=")
    numbers = [value.strip() for value in values.split(",")]
    if name not in SWEPT or not all(number.isdigit() and int(number) for number in numbers):
        raise ConfigError(
            f"--sweep {text} is not of the form NAME=N,N,….", hint=f"NAME is {' or '.join(SWEPT)}: batch-size=8,16,32."
        )
    return name, [int(number) for number in numbers]


def _swept(sweep: tuple[str, Sequence[int]] | None) -> tuple[str, ...]:
    return (SWEPT[sweep[0]],) if sweep else ()


def _label(method: str, layer: Layer) -> str:
    return f"dino ({layer.values.get('method.dino_setting', 'official')})" if method == "dino" else method


def _config(preset: str, method: str, layer: Layer, data: Path | None) -> Config:
    own: dict[str, Any] = {**layer.values, "method.name": method}
    if data is not None:
        own["data.path"] = data
    resolved: Resolved = resolve_with_recipe([preset_layer(preset)], [Layer(layer.origin, own)])
    return resolved.config


def _store(config: Config, data: Path | None) -> ImageStore:
    if data is None:
        return synthetic_store(SYNTHETIC_BATCHES * config.train.batch_size, config.data.image_size)
    dataset = find_dataset(config.data, seed=config.train.seed)
    return load_training_images(dataset, config.data, device=choose_device(config.train.device))


def _project(preset: str, cases: Mapping[str, Config], timings: Mapping[str, Timing], epochs: int | None) -> Projection:
    about = preset_about(preset)
    hours = {}
    for method, timing in timings.items():
        train = cases[method].train
        if timing.seconds is not None:
            steps = len(batch_bounds(about.train_images, train.batch_size)) * (epochs or train.epochs)
            hours[method] = steps * timing.seconds / 3600
    paper = {method: minutes / 60 for method, minutes in about.paper_minutes.items()}
    return Projection(preset, about.train_images, hours, paper)
