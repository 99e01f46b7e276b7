"""Reading weight files strictly: every tensor must find its place, and what did not is said."""

from __future__ import annotations

import hashlib
import sys
from collections import defaultdict
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from cass_cli.errors import ModelError
from cass_cli.models.sealed import load_file
from cass_cli.models.torch_file import load_torch
from cass_cli.words import shown

MOST_BYTES = 1_000_000_000  # of a weight file, or for larger networks
BYTES_A_NUMBER = 64  # of the network: with an optimiser's state a file has 16
LONGEST = 100  # characters of a tensor's name, in a message
DIGEST = 16  # hexadecimal digits of a SHA-256 that are kept, as of images
# Where training scripts put the model's tensors inside a checkpoint.
_WRAPPERS = ("state_dict", "model", "model_state_dict", "state_dict_ema")


@dataclass(frozen=True)
class WeightReport:
    """How an arm got its starting weights."""

    source: str
    matched: int
    total: int
    missing: tuple[str, ...] = ()
    sha256: str = ""  # of the file; of an arm of a run, and of what timm fetched, "" (their own records tell)

    def __str__(self) -> str:
        if self.source == "random":
            return f"random weights ({self.total} tensors)"
        text = f"{self.matched}/{self.total} tensors from {self.source}"
        text += f" (sha256 {self.sha256[:DIGEST]})" if self.sha256 else ""
        return text + (f"; at random: {', '.join(self.missing)}" if self.missing else "")


def load_weights(model: nn.Module, path: Path) -> WeightReport:
    """Load the tensors of `path` into `model`, in the model's own precision; raise `ModelError` as `fitting` does."""
    given, report = fitting(model, path)
    model.load_state_dict(model.state_dict() | given, strict=True)
    return report


def fitting(model: nn.Module, path: Path) -> tuple[dict[str, Tensor], WeightReport]:
    """Return the tensors of `path` in the form of `model`, which may be one without numbers (`meta`), and which fit.

    Position embeddings are resampled to the model's image size by timm's own filter of that family. Only
    the classification head may be absent (it then keeps its random start); anything else that is missing,
    unexpected, of another shape or not finite raises `ModelError` naming the tensors.
    """
    wanted = model.state_dict()
    _check_size(path, numbers=sum(tensor.numel() for tensor in wanted.values()))
    given = _fit_to_model(read_tensors(path), model)
    head = _head_prefixes(model)
    missing = [key for key in wanted if key not in given]
    unexpected = [key for key in given if key not in wanted]
    reshaped = [key for key in given if key in wanted and given[key].shape != wanted[key].shape]
    body_missing = [key for key in missing if not key.startswith(head)]
    # A head of another width is a head for other classes: leave it out, as if it were absent.
    foreign_head = [key for key in reshaped + unexpected if key.startswith(head)]
    wrong = [key for key in reshaped + unexpected if key not in foreign_head]
    if body_missing or wrong:
        name = type(model).__name__
        shapes = [f"{k} {tuple(given[k].shape)} for {tuple(wanted[k].shape)}" for k in wrong if k in wanted]
        parts = [
            f"missing: {_some(body_missing)}" if body_missing else "",
            f"of another shape: {_some(shapes)}" if shapes else "",
            f"not in the model: {_some([k for k in wrong if k not in wanted])}" if len(shapes) < len(wrong) else "",
        ]
        raise ModelError(
            f"{path} does not fit this {name}: {'; '.join(part for part in parts if part)}.",
            hint="Name the timm model that the file was saved from with --cnn or --vit.",
        )
    for key in foreign_head:
        del given[key]
    check_finite(given, path)
    left_random = [key for key in wanted if key not in given]
    return given, WeightReport(path.name, len(wanted) - len(left_random), len(wanted), tuple(left_random))


def sha256_of(path: Path) -> str:
    """Return the SHA-256 of a file, in hexadecimal digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _check_size(path: Path, *, numbers: int) -> None:
    """Raise `ModelError` where a file is far too large for a network of so many `numbers`."""
    most = max(MOST_BYTES, BYTES_A_NUMBER * numbers)
    if path.is_file() and path.stat().st_size > most:
        raise ModelError(
            f"{path} has {path.stat().st_size / 1e9:,.1f} GB, and the network {numbers / 1e6:,.1f} million numbers.",
            hint="Name a file that holds the weights of this network alone.",
        )


def read_tensors(path: Path) -> dict[str, Tensor]:
    """Return the named tensors of a safetensors file or a PyTorch checkpoint (tensors only, no code)."""
    if not path.is_file():
        raise ModelError(f"There is no weight file {path}.", hint="Check the path given to --weights.")
    try:
        if path.suffix == ".safetensors":
            return dict(load_file(path))
        return _unwrap(load_torch(path, old=True))
    except MemoryError:
        raise
    except Exception as error:
        raise ModelError(
            f"{path} is not a readable weight file: {first_words(error)}.",
            hint="cass reads .safetensors files and PyTorch state dicts that hold tensors only.",
        ) from error


def first_words(error: Exception) -> str:
    """Return the first line of what an error says, fit for a message."""
    lines = str(error).strip().splitlines() or [type(error).__name__]
    return shown(lines[0])[: 3 * LONGEST].removesuffix(".")


def check_finite(tensors: Mapping[str, Tensor], path: Path) -> None:
    """Raise `ModelError` where one of the `tensors` read from `path` holds a NaN or an infinity."""
    if bad := not_finite(tensors):
        raise ModelError(
            f"{path} holds values that are not finite (NaN or infinite): in {_some(bad)}.",
            hint="The training that wrote it had diverged, or the file is damaged: train again, or take another file.",
        )


@torch.no_grad()
def not_finite(tensors: Mapping[str, Tensor]) -> list[str]:
    """Return the names of the tensors that hold a NaN or an infinity.

    A sum has one wherever a term has. It costs a tenth of looking at every number, and a GPU is waited for once.
    """
    kinds: defaultdict[Any, dict[str, Tensor]] = defaultdict(dict)
    for name, tensor in tensors.items():
        if tensor.is_floating_point():
            kinds[tensor.device, tensor.dtype][name] = tensor
    suspects: dict[str, Tensor] = {}  # large numbers may overflow a sum, and are finite
    for alike in kinds.values():
        fine = torch.stack([tensor.sum() for tensor in alike.values()]).isfinite().tolist()
        suspects |= {name: tensor for (name, tensor), good in zip(alike.items(), fine, strict=True) if not good}
    return [name for name, tensor in suspects.items() if not tensor.isfinite().all()]


def _unwrap(loaded: Any) -> dict[str, Tensor]:
    for key in _WRAPPERS:
        if isinstance(loaded, dict) and isinstance(loaded.get(key), dict):
            loaded = loaded[key]
    if not isinstance(loaded, dict) or not loaded or not all(isinstance(v, Tensor) for v in loaded.values()):
        raise ValueError("it holds no state dict of tensors")
    return {str(key).removeprefix("module."): value for key, value in loaded.items()}


def _fit_to_model(tensors: dict[str, Tensor], model: nn.Module) -> dict[str, Tensor]:
    """Apply the family's own filter (renamed keys, resampled position embeddings), then the model's dtype."""
    tensors = {key: value.float() if value.is_floating_point() else value for key, value in tensors.items()}
    family = sys.modules[type(model).__module__]
    family_filter: Callable[..., Any] | None = getattr(family, "checkpoint_filter_fn", None)
    if family_filter is not None:
        tensors = family_filter(tensors, model)
    return tensors


def _head_prefixes(model: nn.Module) -> tuple[str, ...]:
    """Return what the names of the classifier's tensors begin with (`fc.`, `head.fc.`, …)."""
    named = getattr(model, "default_cfg", {}).get("classifier") or ()
    return tuple(f"{name}." for name in ((named,) if isinstance(named, str) else named))


def _some(names: list[str], most: int = 4) -> str:
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(shown(name)[:LONGEST] for name in names[:most]) + more
