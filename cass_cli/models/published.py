"""The published weights of a timm model: what timm knows of them without a network, and where their file lies here.

`$CASS_WEIGHTS` is one folder, of a stick say, in which cass looks before it asks the hub. A file there is called as the
model is: MODEL.TAG.safetensors with timm's tag of the weights, or MODEL.safetensors for those that timm takes
by default.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import timm
import torch

from cass_cli.errors import ModelError, did_you_mean
from cass_cli.models.unreal import unreal
from cass_cli.words import shown, shown_list

VARIABLE = "CASS_WEIGHTS"
ENDINGS = (".safetensors", ".pth", ".pt")  # the first of a name that is there counts
ON_THE_HUB = ("model.safetensors", "pytorch_model.bin")  # what timm asks for, in its order
LONGEST = 100  # characters of a name, in a message


@dataclass(frozen=True)
class Published:
    """What timm knows of the weights of a model."""

    model: str  # as it was asked for
    tagged: str  # with timm's tag of the weights: resnet50.a1_in1k
    hub: str  # their name on the hub, "" where they are not there
    url: str  # where they are had if not from the hub, "" where nowhere
    licence: str  # "" where timm does not say

    @property
    def file(self) -> str:
        """Return the name of their file in the folder of weights."""
        return f"{self.tagged}{ENDINGS[0]}"

    @property
    def names(self) -> tuple[str, ...]:
        """Return every name under which the file is looked for, the best first."""
        stems = dict.fromkeys((self.tagged, self.model))
        return tuple(f"{stem}{ending}" for stem in stems for ending in ENDINGS)


def published(name: str) -> Published:
    """Return what timm knows of the weights of the model `name`; raise `ModelError` where it has none of that name.

    A model without published weights is known too: its file has the model's own name.
    """
    check_name(name)
    try:
        known: Any = timm.models.get_pretrained_cfg(name)
    except RuntimeError as error:
        model = name.partition(".")[0]
        tags = [tagged.partition(".")[2] for tagged in timm.list_models(f"{model}.*", pretrained=True)]
        raise ModelError(
            f"timm has no weights '{shown(name)}'.{did_you_mean(name.partition('.')[2], tags)}",
            hint=f"Those of {model}: {shown_list(tags)}." if tags else f"There are none of {model}.",
        ) from error
    if known is None or not known.has_weights:
        return Published(name, name, "", "", getattr(known, "license", None) or "")
    tagged = name if "." in name or not known.tag else f"{name}.{known.tag}"
    url = known.url if isinstance(known.url, str) else (known.url or ("",))[0]
    return Published(name, tagged, known.hf_hub_id or "", "" if known.hf_hub_id else url, known.license or "")


def check_name(name: str) -> None:
    """Raise `ModelError` unless `name` is that of a model that timm itself has.

    timm also knows names that load from elsewhere, hf-hub:… and local-dir:…, which could stand in a stranger's file.
    """
    said = shown(name) if len(name) <= LONGEST else f"{shown(name[:LONGEST])}…"
    if ":" in name or "/" in name or "\\" in name:
        raise ModelError(
            f"'{said}' would be loaded from elsewhere, and cass builds timm's own models only.",
            hint="Name the model as timm.list_models() does; a file with its weights is named by --weights.",
        )
    if not timm.is_model(name):
        raise ModelError(
            f"timm has no model '{said}'.{did_you_mean(name.partition('.')[0], timm.list_models())}",
            hint="`python -c \"import timm; print(timm.list_models('resnet*'))\"` lists names.",
        )


def weights_folder() -> Path | None:
    """Return the folder that `$CASS_WEIGHTS` names; it may not be there."""
    named = os.environ.get(VARIABLE, "")
    return Path(named).expanduser() if named else None


def file_in(folder: Path | None, known: Published) -> Path | None:
    """Return the file of a model's weights in the `folder`, if it lies there."""
    if folder is None:
        return None
    return next((folder / name for name in known.names if (folder / name).is_file()), None)


def file_in_cache(known: Published) -> Path | None:
    """Return the file that timm fetched earlier, from the hub or elsewhere, if it is still there."""
    if not known.hub:
        folder, name = Path(torch.hub.get_dir()) / "checkpoints", known.url.rpartition("/")[2]
        return folder / name if name and (folder / name).is_file() else None
    from huggingface_hub import try_to_load_from_cache

    found = (try_to_load_from_cache(known.hub, name) for name in ON_THE_HUB)
    return next((Path(path) for path in found if isinstance(path, str)), None)


def bytes_of(name: str) -> int:
    """Return how many bytes the weights of a model have as a file, by its form alone: four a number."""
    with unreal():
        tensors = timm.create_model(name).state_dict().values()
    return sum(tensor.numel() * tensor.element_size() for tensor in tensors)
