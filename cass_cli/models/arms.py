"""An arm: a timm network with a classification head, built for one image size.

Legend: B batch, S image side, D feature width, K output width.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

import timm
import torch
from torch import Tensor, nn

from cass_cli.errors import ModelError
from cass_cli.models.card import ArmCard, read_card
from cass_cli.models.header import Header, check_form, read_header
from cass_cli.models.hub import fetch_pretrained
from cass_cli.models.published import VARIABLE, check_name, file_in, published, weights_folder
from cass_cli.models.sealed import load_file, write_sealed
from cass_cli.models.unreal import unreal
from cass_cli.models.weights import WeightReport, check_finite, first_words, load_weights, sha256_of


@dataclass(frozen=True)
class Arm:
    """A network, what timm needs to build it again, and how it got its weights."""

    model: nn.Module
    name: str
    options: Mapping[str, Any]
    weights: WeightReport


def build_arm(
    name: str,
    *,
    image_size: int,
    outputs: int,
    init: str = "random",
    weights: Path | None = None,
    seed: int = 0,
    several_sizes: bool = False,
    output_stride: int | None = None,
    of_a_run: bool = False,
) -> Arm:
    """Build the timm model `name` for square images of `image_size` pixels with `outputs` outputs (0: no head).

    `weights` names a local file and goes before `init`: `imagenet` takes timm's published weights, from the folder that
    `$CASS_WEIGHTS` names if they lie there, else from timm's hub; `random` leaves the start to `seed`. The digest of a
    file is reported, but for an arm `of_a_run`, which its own records trace. With `several_sizes` it takes smaller
    images as well. `output_stride` is that of a CNN whose last stages are dilated instead of strided (Yu and Koltun
    2016). Raises `ModelError` for an unknown name, an image size that the patches do not divide, a stride that it
    cannot have, weights that do not fit, or a download that fails.
    """
    options = arm_options(name, image_size=image_size, outputs=outputs, output_stride=output_stride)
    built = _any_size(name, options) if several_sizes else options
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        lying = file_in(weights_folder(), published(name)) if weights is None and init == "imagenet" else None
        path = weights or lying
        if path is None and init == "imagenet":
            model = fetch_pretrained(name, built)
            total = len(model.state_dict())
            return Arm(model, name, options, WeightReport(f"timm {_tag(model)}", total, total))
        model = timm.create_model(name, **built)
    if path is not None:
        report = load_weights(model, path)
        if not of_a_run:
            report = replace(report, sha256=sha256_of(path))
        if path == lying:
            report = replace(report, source=f"{path.name} of ${VARIABLE}")
        return Arm(model, name, options, report)
    total = len(model.state_dict())
    return Arm(model, name, options, WeightReport("random", 0, total))


@cache
def arm_options(name: str, *, image_size: int, outputs: int, output_stride: int | None = None) -> Mapping[str, Any]:
    """Return the keyword arguments for `timm.create_model`, after checking that `name` can take size and stride."""
    published(name)
    options: dict[str, Any] = {"num_classes": outputs}
    with unreal():
        plain = timm.create_model(name, num_classes=outputs)
    if hasattr(getattr(plain, "patch_embed", None), "patch_size"):
        options["img_size"] = image_size
        patch = patch_size(plain)
        if image_size % patch:
            lower, upper = image_size // patch * patch, (image_size // patch + 1) * patch
            raise ModelError(
                f"{name} cuts images into patches of {patch} pixels, and {image_size} is no multiple of {patch}.",
                hint=f"Try --image-size {f'{lower} or {upper}' if lower else upper}.",
            )
    if output_stride:
        options["output_stride"] = output_stride
        _check_stride(name, options, image_size)
    try:
        _dry_forward(name, options, image_size)
    except TypeError:  # a family that takes any size and has no such argument
        options.pop("img_size", None)
        _dry_forward(name, options, image_size)
    return options


def _check_stride(name: str, options: Mapping[str, Any], image_size: int) -> None:
    """Raise `ModelError` unless timm can build the network so that its last map is as fine as asked for."""
    try:
        with unreal(), torch.no_grad():
            network: Any = timm.create_model(name, **options).eval()
            cells = network.forward_features(torch.empty(1, 3, image_size, image_size)).shape[2:]
        if len(cells) != 2 or min(cells) < image_size // options["output_stride"]:
            raise ValueError(f"{tuple(cells)} cells")
    except (TypeError, AssertionError, ValueError, RuntimeError) as error:
        raise ModelError(
            f"{name} has no other output stride than its own.",
            hint="Try --set arms.output_stride=null, or a ResNet, a ConvNeXt or an EfficientNet.",
        ) from error


def _dry_forward(name: str, options: Mapping[str, Any], image_size: int) -> None:
    """Run one image through the model without data, to learn whether it takes the size."""
    try:
        with unreal(), torch.no_grad():
            timm.create_model(name, **options).eval()(torch.empty(1, 3, image_size, image_size))
    except (AssertionError, ValueError, RuntimeError) as error:
        raise ModelError(
            f"{name} cannot take images of {image_size} pixels: {str(error).splitlines()[0]}",
            hint="Try the size in the model's name, or another model.",
        ) from error


def check_takes(arm: Arm, side: int) -> None:
    """Raise `ModelError` unless `arm`, built for several sizes, takes images of `side` pixels."""
    try:
        _dry_forward(arm.name, _any_size(arm.name, arm.options), side)
    except ModelError as error:
        raise ModelError(error.what, hint="Choose a ResNet or a timm ViT, or --dino-setting paper.") from error


def _any_size(name: str, options: Mapping[str, Any]) -> dict[str, Any]:
    """Return options with which a Transformer takes images of any size; a CNN does so anyway."""
    if "img_size" not in options:
        return dict(options)
    freed = {**options, "dynamic_img_size": True}
    try:
        with unreal():
            timm.create_model(name, **freed)
    except TypeError as error:
        raise ModelError(
            f"{name} takes images of one size only, and DINO's official setting shows crops of two.",
            hint="Choose a timm ViT, or --dino-setting paper.",
        ) from error
    return freed


def patch_size(model: nn.Module) -> int:
    """Return the side in pixels that an image's must be a multiple of: a Transformer's patch, 1 for a CNN."""
    patches: Any = getattr(model, "patch_embed", None)
    size = getattr(patches, "patch_size", 1)
    return int(size if isinstance(size, int) else size[0])


def embed(model: nn.Module, images: Tensor) -> tuple[Tensor, Tensor]:
    """Return the pooled features [B, D] and the outputs [B, K] of `images` [B, 3, S, S]."""
    network: Any = model
    heads = network.get_classifier()
    head: nn.Module = heads[0] if isinstance(heads, (tuple, list)) else heads  # distilled models have two
    seen: list[Tensor] = []
    with_features = head.register_forward_pre_hook(lambda _module, inputs: seen.append(inputs[0]))
    try:
        outputs: Tensor = network.forward(images)  # past torch.compile, which a hook would make compile again
    finally:
        with_features.remove()
    return seen[-1].flatten(1), outputs


def save_arm(path: Path, model: nn.Module, card: ArmCard) -> None:
    """Write `path`.safetensors and `path`.json: enough to load the arm with timm alone, strictly.

    >>> arm = json.load(open("cnn.json"))
    >>> model = timm.create_model(arm["model"], **arm["options"])
    >>> model.load_state_dict(load_file("cnn.safetensors"), strict=True)
    """
    tensors = {key: value.detach().cpu().contiguous().clone() for key, value in model.state_dict().items()}
    write_sealed(path, tensors, card.as_dict())


def load_arm(path: Path) -> tuple[nn.Module, ArmCard]:
    """Return the network saved as `path`.safetensors with `path`.json, and what the JSON says of it.

    Raises `RunError` and `ModelError` as `check_arm` does, and `ModelError` for tensors that are not finite.
    """
    card, header = check_arm(path)
    try:
        model: nn.Module = timm.create_model(card.model, **card.options)
        tensors = load_file(path.with_suffix(".safetensors"), header)
        model.load_state_dict(tensors, strict=True)
    except Exception as error:
        raise _no_arm(path, error) from error
    check_finite(tensors, path.with_suffix(".safetensors"))
    return model, card


def check_arm(path: Path) -> tuple[ArmCard, Header]:
    """Return the card of `path`.json, and the header of `path`.safetensors.

    Raises `RunError` for a damaged card; `ModelError` unless timm has the network that it names, and the header says
    that the tensors are those of that network. None is built for that, and no tensor is read.
    """
    card = read_card(path.with_suffix(".json"))
    try:
        check_name(card.model)
        header = read_header(path.with_suffix(".safetensors"))
        with unreal():
            form = timm.create_model(card.model, **card.options).state_dict()
        check_form(header, form, of=f"the {card.model} of its card")
    except Exception as error:
        raise _no_arm(path, error) from error
    return card, header


def _no_arm(path: Path, error: Exception) -> ModelError:
    return ModelError(
        f"{path}.safetensors with {path.name}.json is not an arm saved by cass: {first_words(error)}.",
        hint="Name a run directory that `cass pretrain` finished.",
    )


def _tag(model: nn.Module) -> str:
    config: Mapping[str, Any] = getattr(model, "pretrained_cfg", {})
    return f"{config.get('architecture', '')}.{config.get('tag', '')}".strip(".")
