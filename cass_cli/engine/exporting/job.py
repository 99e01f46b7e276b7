"""What is asked of an export, done: a trial's answer written in a format that runs without cass, and held to it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from cass_cli import __version__
from cass_cli.engine.exporting.formats import (
    FORMATS,
    answers_in,
    largest_difference,
    onnx_bytes,
    program_bytes,
    to_program,
)
from cass_cli.engine.exporting.network import PLAIN, AnswerNetwork, expected_answers
from cass_cli.engine.finetuning.predict import choose_candidate
from cass_cli.engine.finetuning.tuned_arms import TunedArms, load_tuned
from cass_cli.errors import ConfigError, ModelError, RunError, did_you_mean
from cass_cli.files import whole_file
from cass_cli.runs.trials import Trial

FAR = 1e-3  # a difference in probability beyond which the file is not the network; rounding makes some 1e-6


@dataclass(frozen=True)
class Exported:
    """A file that was written."""

    path: Path
    kind: str  # of FORMATS
    candidate: str
    bytes: int
    difference: float  # at most, in probability, from what cass answers
    about: dict[str, Any]


def export(
    trial: Trial,
    *,
    kind: str = "onnx",
    answer_by: str | None = None,
    out: Path | None = None,
    overwrite: bool = False,
    on_stage: Callable[[str], None] = lambda _what: None,
) -> Exported:
    """Write what answers in a finished trial to `out`, by default a file named after the run and the answer.

    It is made and tried on the processor, in fp32, whatever the run computes with. Raises `ConfigError` for an unknown
    format or answer, `RunError` for a file that exists, `ModelError` where the network can't be written in this format,
    or the file, read back, answers otherwise.
    """
    if kind not in FORMATS:
        raise ConfigError(f"There is no --format {kind}.{did_you_mean(kind, tuple(FORMATS))}", hint=", ".join(FORMATS))
    arms = load_tuned(trial, PLAIN)
    candidate = choose_candidate(arms, answer_by)
    path = out or Path(f"{trial.variant.run.path.name}-{candidate}{FORMATS[kind]}")
    if path.exists() and not overwrite:
        raise RunError(f"{path} exists already.", hint="Choose another --out, or replace it with --overwrite.")
    about = about_answer(arms, candidate)
    on_stage("Tracing")
    network = AnswerNetwork(arms, candidate)
    try:
        program = to_program(network, arms.spec.size)
        on_stage("Writing")
        content = program_bytes(program, about) if kind == "program" else onnx_bytes(program, about)
    except (RuntimeError, ValueError, NotImplementedError, TypeError) as error:  # of PyTorch's exporters
        raise ModelError(
            f"PyTorch can't write this network as {kind}: {str(error).splitlines()[0][:300]}",
            hint="Try the other --format, or another arm with --answer-by.",
        ) from error
    on_stage("Checking")
    expected = partial(expected_answers, arms, candidate)
    difference = largest_difference(answers_in(kind, content), expected, arms.spec.size)
    if not difference <= FAR:
        raise ModelError(
            f"The exported network answers up to {difference:.2g} apart from cass's own, so nothing was written.",
            hint="Try the other --format, or another arm with --answer-by.",
        )
    with whole_file(path, hint="Choose another --out.", asked=out is not None) as file:
        file.write(content)
    return Exported(path, kind, candidate, len(content), difference, about)


def about_answer(arms: TunedArms, candidate: str) -> dict[str, Any]:
    """Return what a user of the file must know: what goes in, and what comes out."""
    judged, spec = arms.summary.judgement, arms.spec
    thresholds = judged.threshold(candidate)
    return {
        "classes": list(arms.summary.classes),
        "multilabel": arms.summary.multilabel,
        "thresholds": None if thresholds is None else list(map(float, thresholds)),
        "answer": candidate,
        "input": f"uint8 [N, 3, {spec.size}, {spec.size}], RGB, 0 to 255; mean and std are applied inside",
        "output": "probabilities, float32 [N, classes]",
        "size": spec.size,
        "fit": spec.fit,
        "mean": list(spec.mean),
        "std": list(spec.std),
        "low_confidence_below": judged.flag_below if candidate == judged.pick else None,
        "made_by": f"cass {__version__}",
    }
