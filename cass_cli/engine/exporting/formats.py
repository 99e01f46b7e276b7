"""Two formats in which a network runs without cass: ONNX, and PyTorch's exported program.

Both hold the graph with its weights and, as text, what a user must know of it (`about`). Each is read back by the
library that others will read it with, and held to what cass answers.

Shapes: B images, S image side, C classes.
"""

from __future__ import annotations

import io
import json
import logging
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from torch import Tensor

from cass_cli.engine.exporting.network import AnswerNetwork, made_up_pixels
from cass_cli.errors import ModelError
from cass_cli.scores.values import Floats

FORMATS = {"onnx": ".onnx", "program": ".pt2"}  # and how their files end
INPUT, OUTPUT = "pixels", "probabilities"
ABOUT = "cass.json"  # in a program's archive; each key of it by itself in ONNX's metadata
TRACED = 2  # images that a graph is made from: one would be taken for a constant
MOST_IMAGES = 65_536  # at once
MOST_BYTES = 2_000_000_000  # of an ONNX file, which is one protocol buffer


def to_program(network: AnswerNetwork, size: int) -> torch.export.ExportedProgram:
    """Return the graph of a network with any number of images."""
    pixels = made_up_pixels(size, images=TRACED)
    images = torch.export.Dim("images", min=1, max=MOST_IMAGES)
    with _quietly():
        return torch.export.export(network.eval(), (pixels,), dynamic_shapes={INPUT: {0: images}})


def program_bytes(program: torch.export.ExportedProgram, about: Mapping[str, Any]) -> bytes:
    """Return the file that `torch.export.load` reads."""
    buffer = io.BytesIO()
    with _quietly():
        torch.export.save(program, buffer, extra_files={ABOUT: json.dumps(about, ensure_ascii=False)})
    return buffer.getvalue()


def onnx_bytes(program: torch.export.ExportedProgram, about: Mapping[str, Any]) -> bytes:
    """Return the file that ONNX Runtime reads; raise `ModelError` where a part for it is missing or it is too large."""
    if (size := sum(tensor.nbytes for tensor in program.state_dict.values())) > MOST_BYTES:
        raise ModelError(f"The weights have {size / 1e9:.1f} GB, and an ONNX file at most 2.", hint="--format program")
    try:
        import onnx  # noqa: F401
        import onnxruntime  # noqa: F401
        import onnxscript  # noqa: F401
    except ImportError as error:
        command = "pip install 'cass-cli[onnx]'"
        raise ModelError(
            f"ONNX needs an optional part: {command}", hint=f"Run: {command}, or take --format program"
        ) from error
    images = torch.export.Dim("images", min=1, max=MOST_IMAGES)
    with _quietly():
        made = torch.onnx.export(
            program,
            dynamo=True,
            input_names=[INPUT],
            output_names=[OUTPUT],
            dynamic_shapes={INPUT: {0: images}},
            verbose=False,
        )
    assert made is not None, "with dynamo"
    made.model.metadata_props.update({key: _text(value) for key, value in about.items()})
    content: bytes = made.model_proto.SerializeToString()
    return content


def answers_in(kind: str, content: bytes) -> Callable[[Tensor], Floats]:
    """Return what answers images uint8 [B, 3, S, S] by a file of this format, with probabilities [B, C]."""
    if kind == "program":
        with _quietly():
            network = torch.export.load(io.BytesIO(content)).module()
        return lambda pixels: np.asarray(network(pixels).detach().numpy())
    import onnxruntime

    session = onnxruntime.InferenceSession(content, providers=["CPUExecutionProvider"])
    return lambda pixels: np.asarray(session.run([OUTPUT], {INPUT: pixels.numpy()})[0])


def largest_difference(answers: Callable[[Tensor], Floats], expected: Callable[[Tensor], Floats], size: int) -> float:
    """Return how far two ways to answer lie apart at most, in probability, for one image, for three, and for eight."""
    apart = 0.0
    for seed, images in enumerate((1, 3, 8)):
        pixels = made_up_pixels(size, images=images, seed=seed)
        apart = max(apart, float(np.abs(answers(pixels) - expected(pixels)).max()))
    return apart


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


@contextmanager
def _quietly() -> Iterator[None]:
    """Keep to themselves what PyTorch's exporters say of their own workings."""
    loggers = [logging.getLogger(name) for name in ("torch.onnx", "torch.export", "onnxscript", "onnx_ir")]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.ERROR)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield
    for logger, level in zip(loggers, levels, strict=True):
        logger.setLevel(level)
