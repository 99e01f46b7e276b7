"""Whether a GPU trains as the CPU does: a step of every method and mode, on arms and images that are tiny.

Steps are compared in float64, on views and masks that the CPU drew: what is left is rounding, and a limit of 1e-8
finds any fault. In fp32 (without TF32) and in bf16 a step runs as in use, its views made on the GPU, and is held
against the CPU's in float64; those limits leave room for what a CPU shows: 5e-5 of the gradients' norm in fp32, 0.13
in bf16 (BYOL, whose batch norm sees four images here).
"""

from __future__ import annotations

import signal
import tempfile
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np
import torch
import torch.distributed as dist
from gpu_alike import (
    BATCH,
    CPU,
    IMAGES,
    LR,
    Step,
    config_of,
    copied,
    farthest,
    group_of_one,
    in_double,
    light_compiler,
    masks_of_the_cpu,
    relative,
    session_on,
    steady_algorithms,
    take_step,
)
from gpu_record import Case, Difference, SkipError
from timm.layers.norm_act import convert_sync_batchnorm
from torch import nn
from torch.nn.parallel import DistributedDataParallel

from cass_cli.data.views.apply import apply_view
from cass_cli.data.views.draw import draw_view
from cass_cli.data.views.spec import ImageSpec
from cass_cli.engine.checkpoint import load_checkpoint, save_checkpoint
from cass_cli.engine.compute import Compute
from cass_cli.engine.device import set_up_backends
from cass_cli.engine.finetuning.loop import TuneEpoch, finetune
from cass_cli.engine.finetuning.session import Tuning, loss_arguments, prepare_arm, restore_tuning, tuning_state
from cass_cli.engine.pretraining import loop
from cass_cli.engine.pretraining.loop import StepStats, fetch, pretrain, train_step
from cass_cli.engine.pretraining.session import Session, restore_session, session_state
from cass_cli.engine.signals import StopRequest
from cass_cli.engine.timing.stepper import synthetic_store
from cass_cli.errors import Interrupted
from cass_cli.methods.build import build_arms
from cass_cli.seeds import generator

METHODS: dict[str, dict[str, Any]] = {
    "cass": {},
    "dino": {"method.name": "dino", "method.arm": "vit"},  # its heads are large; the other setting has both arms
    "dino, the paper's": {"method.name": "dino", "method.dino_setting": "paper"},
    "byol": {"method.name": "byol"},
    "mae": {"method.name": "mae", "method.decoder_depth": 1},
    "vicreg": {"method.name": "vicreg"},
    "cass, vicreg's terms": {"method.objective": "vicreg"},
}
GROUPED = ("cass", "dino, the paper's")  # DINO's centre is of all processes
CLASSES = 2
VIEWS_MAY = 1e-4  # of a normalised pixel, as in tests/data/views
DOUBLE_MAY, SUMMED_MAY = 1e-8, 1e-6  # a step sums up the loss that it reports in fp32
FP32_MAY, BF16_MAY, TF32_MAY = (1e-4, 3e-3), (3e-2, 0.3), 1e-2  # of the loss, and of the gradients' norm


def training_cases(device: torch.device) -> list[Case]:
    """Return the checks of training, the most telling first; `compile_case` is apart, as it takes the longest."""
    return [
        *(Case(f"step: {name}", 10, partial(same_step, device, values)) for name, values in METHODS.items()),
        Case("step: TF32", 5, partial(same_in_tf32, device)),
        Case("fine-tuning", 10, partial(same_tuning, device)),
        Case("fine-tuning: resume", 10, partial(same_tuning_resumed, device)),
        Case("gradient checkpointing", 5, partial(same_when_checkpointed, device)),
        *(Case(f"resume: {precision}", 10, partial(same_resumed, device, precision)) for precision in ("fp32", "bf16")),
        *(Case(f"one process: {name}", 20, partial(same_in_a_group, device, METHODS[name])) for name in GROUPED),
        Case("one process: SyncBN", 10, partial(same_in_a_group, device, {}, synchronised=True)),
        Case("never waits", 5, partial(never_waits, device)),
    ]


def compile_case(device: torch.device) -> Case:
    """Return the check of torch.compile."""
    return Case("compile", 60, partial(same_when_compiled, device))


def same_step(device: torch.device, settings: Mapping[str, Any]) -> dict[str, Any]:
    """Compare the views and a step in float64, in fp32 without TF32 and in bf16 with the CPU's in float64."""
    with masks_of_the_cpu():
        with in_double():
            here, there = (take_step(session_on(place, **settings)) for place in (device, CPU))
        sessions = [session_on(device, precision=precision, **settings) for precision in ("fp32", "bf16")]
        single, half = map(take_step, sessions)
    return {
        "differences": {
            "views": (_views_apart(sessions[0]), VIEWS_MAY),
            **_apart_in_double(here, there),
            **_apart("fp32", single, there, FP32_MAY),
            **_apart("bf16", half, there, BF16_MAY),
        }
    }


def same_in_tf32(device: torch.device) -> dict[str, Any]:
    """Compare the loss with TF32 products, which fp32 has in use, with that without."""
    _needs_cuda(device)
    with_it, without = (take_step(session_on(device), tf32=tf32) for tf32 in (True, False))
    return {"differences": {"loss": (relative([with_it.loss], [without.loss]), TF32_MAY)}}


def same_tuning(device: torch.device) -> dict[str, Any]:
    """Compare an epoch of fine-tuning in float64, validation included, with the CPU's; bf16 by its losses alone."""
    with in_double():
        tuned, epochs = zip(*(_tuned(_tuning_on(place, double=True, epochs=1)) for place in (device, CPU)), strict=True)
    _, half = _tuned(_tuning_on(device, precision="bf16", epochs=1))
    far: dict[str, Difference] = {}
    for arm in tuned[0].arms:
        here, there = (copied(t.arms[arm].network) for t in tuned)
        far[f"float64: {arm}, weights"] = (farthest(here, there), DOUBLE_MAY)
        for precision, (mine, theirs), may in (
            ("float64", epochs, SUMMED_MAY),
            ("bf16", (half, epochs[1]), BF16_MAY[0]),
        ):
            ours, others = (torch.tensor([e.arms[arm].loss, e.arms[arm].val_loss]) for e in (mine, theirs))
            far[f"{precision}: {arm}, losses"] = (relative([ours], [others]), may)
    return {"differences": far}


def same_tuning_resumed(device: torch.device) -> dict[str, Any]:
    """Compare fine-tuning that was saved after its first epoch and gone on with, with one that went through."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "last.pt"

        def keep_first(t: Tuning) -> None:
            if t.epoch == 1:
                save_checkpoint(path, tuning_state(t))

        (whole, _), (again, _) = (_tuned(_tuning_on(device), save=keep_first) for _ in range(2))
        resumed = _tuning_on(device)
        restore_tuning(resumed, load_checkpoint(path))
    _tuned(resumed)
    apart, noise = (
        max(farthest(copied(t.arms[arm].network), copied(whole.arms[arm].network)) for arm in whole.arms)
        for t in (resumed, again)
    )
    return _as_far_as_twins(apart, noise)


def same_when_checkpointed(device: torch.device) -> dict[str, Any]:
    """Compare a step that computes activations again with one that keeps them."""
    with in_double():
        again, kept = (take_step(session_on(device, **{"train.gradient_checkpointing": on})) for on in (True, False))
    return {"differences": _apart_in_double(again, kept)}


def same_resumed(device: torch.device, precision: str) -> dict[str, Any]:
    """Compare a run that was stopped within an epoch, saved and restored, with one that went through."""
    build = partial(session_on, device, precision=precision, measure=True)
    whole, again = (copied(_trained(build()).method) for _ in range(2))
    resumed = build()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "last.pt"
        try:
            _trained(build(), stop_after=1, save=lambda s: save_checkpoint(path, session_state(s)))
        except Interrupted:
            restore_session(resumed, load_checkpoint(path))
    assert (resumed.epoch, resumed.batch) == (0, 1), "it was stopped elsewhere"
    apart, noise = (farthest(other, whole) for other in (copied(_trained(resumed).method), again))
    return _as_far_as_twins(apart, noise)


def same_in_a_group(device: torch.device, settings: Mapping[str, Any], *, synchronised: bool = False) -> dict[str, Any]:
    """Compare an epoch under DistributedDataParallel, in a group of this process alone, with a plain one.

    With one process PyTorch's SyncBN falls back on batch norm: what is checked then is that the arms are converted
    and train on.
    """
    if synchronised:
        _needs_cuda(device)
    build = partial(session_on, device, measure=True, **{**settings, "train.epochs": 1})
    with in_double():
        plain = copied(_trained(build()).method)
        with group_of_one(device):
            s = build()
            if synchronised:
                convert_sync_batchnorm(s.method)
                assert any(isinstance(m, nn.SyncBatchNorm) for m in s.method.modules()), "nothing was converted"
            s.parallel = DistributedDataParallel(s.method, device_ids=[device] if device.type == "cuda" else None)
            grouped, backend = copied(_trained(s).method), dist.get_backend()
            s.parallel = s.method
    return {"differences": {"weights": (farthest(grouped, plain), DOUBLE_MAY)}, "backend": backend}


def never_waits(device: torch.device) -> dict[str, Any]:
    """Take a step of every method during which PyTorch raises where the CPU would wait for the GPU."""
    _needs_cuda(device)
    waits = {}
    for name, values in METHODS.items():
        s = session_on(device, precision="bf16", **values)
        rows = torch.arange(BATCH)
        images = fetch(s, rows)
        train_step(s, rows, images, lr=LR)  # the first one allocates
        torch.cuda.set_sync_debug_mode("error")
        try:
            train_step(s, rows, images, lr=LR)
        except RuntimeError as error:
            waits[name] = str(error).splitlines()[0]
        finally:
            torch.cuda.set_sync_debug_mode("default")
    return {"differences": {"methods that wait": (float(len(waits)), 0.0)}, "waits": waits}


def same_when_compiled(device: torch.device) -> dict[str, Any]:
    """Compare a compiled step with an eager one, in fp32 without TF32 and in bf16."""
    far: dict[str, Difference] = {}
    with light_compiler(device):
        for precision, may in {"fp32": FP32_MAY, "bf16": BF16_MAY}.items():
            compiled, eager = (
                take_step(session_on(device, precision=precision, **{"train.compile": mode})) for mode in ("on", "off")
            )
            far |= _apart(precision, compiled, eager, may)
    return {"differences": far}


def _trained(
    s: Session, *, stop_after: int | None = None, save: Callable[[Session], None] = lambda _session: None
) -> Session:
    """Train to the last epoch; or ask for a stop after so many steps of the first, which ends in `Interrupted`."""
    stop = StopRequest()

    def note(stats: StepStats) -> None:
        if stats.batch == stop_after:
            stop.number = signal.SIGTERM

    with steady_algorithms(s.device), patch.object(loop, "GPU_CHECK_EVERY", 1):
        for _ in pretrain(s, stop=stop, save=save, on_step=note):
            pass
    return s


def _views_apart(s: Session) -> float:
    """Return by how much a number of the session's views differs between its device and the CPU."""
    rows = torch.arange(BATCH)
    apart = []
    for index, view in enumerate(s.method.views):
        drawn = draw_view(BATCH, generator=generator(0, "views", index), **view.knobs)
        here, there = (
            apply_view(s.store.batch(rows, place), drawn, s.spec.at(view.size)).cpu() for place in (s.device, CPU)
        )
        apart.append((here - there).abs().max())
    return float(torch.stack(apart).max())


def _tuning_on(device: torch.device, *, precision: str = "fp32", double: bool = False, epochs: int = 2) -> Tuning:
    """Return a tiny fine-tuning, its weights the same on every device; `double` within `in_double` only."""
    settings = {"arms.outputs": CLASSES, "finetune.epochs": epochs, "finetune.batch_size": BATCH}
    config = config_of(device, precision=precision, **settings)
    networks = {name: arm.model.double() if double else arm.model for name, arm in build_arms(config).items()}
    labels = np.arange(IMAGES) % CLASSES
    set_up_backends(device)
    compute = Compute(device, precision)
    return Tuning(
        store=synthetic_store(2 * IMAGES, config.data.image_size),
        train_rows=torch.arange(IMAGES),
        train_labels=torch.from_numpy(labels).to(device),
        val_rows=torch.arange(IMAGES, 2 * IMAGES),
        val_labels=labels,
        seed=0,
        arm_index={"cnn": 0, "vit": 1},
        compute=compute,
        spec=ImageSpec(config.data.image_size, config.data.mean, config.data.std),
        view=config.augment.model_dump(),
        loss=loss_arguments(config.finetune, labels, CLASSES, device),
        settings=config.finetune,
        save_minutes=config.train.save_minutes,
        unlabelled=None,
        arms={name: prepare_arm(network, name, config.finetune, compute) for name, network in networks.items()},
    )


def _tuned(t: Tuning, *, save: Callable[[Tuning], None] = lambda _tuning: None) -> tuple[Tuning, TuneEpoch]:
    """Train to the end; return the fine-tuning, and what the last epoch did."""
    with steady_algorithms(t.device):
        *_, last = finetune(t, stop=StopRequest(), save=save)
    return t, last


def _apart_in_double(one: Step, other: Step) -> dict[str, Difference]:
    return {
        **_apart("float64", one, other, (SUMMED_MAY, DOUBLE_MAY)),
        "float64: weights": (farthest(one.weights, other.weights), DOUBLE_MAY),
    }


def _apart(precision: str, one: Step, other: Step, may: tuple[float, float]) -> dict[str, Difference]:
    return {
        f"{precision}: loss": (relative([one.loss], [other.loss]), may[0]),
        f"{precision}: gradients": (relative(one.gradients, other.gradients), may[1]),
    }


def _as_far_as_twins(apart: float, noise: float) -> dict[str, Any]:
    """Return how far a resumed run is from a whole one, where two whole runs of one seed are `noise` apart.

    It must agree bit for bit where those do. Where they don't, as a GPU may add up in another order each time, it may
    be ten times as far.
    """
    differences = {"weights": (apart, 10 * noise)}
    return {"differences": differences, "two_whole_runs_apart": noise, "bit_for_bit": apart == 0}


def _needs_cuda(device: torch.device) -> None:
    if device.type != "cuda":
        raise SkipError("needs CUDA")
