"""What timm knows of a model's weights, and how their file is found without a network."""

from __future__ import annotations

from pathlib import Path

import pytest
import timm
import torch
from safetensors.torch import save_file

from cass_cli.errors import ModelError
from cass_cli.models.arms import build_arm
from cass_cli.models.published import bytes_of, file_in, published, weights_folder


def keep(path: Path, model: str = "test_resnet", *, seed: int = 0) -> Path:
    torch.manual_seed(seed)
    save_file(timm.create_model(model).state_dict(), path)
    return path


def test_what_timm_says_of_a_model() -> None:
    known = published("resnet50")
    assert (known.tagged, known.hub, known.licence) == ("resnet50.a1_in1k", "timm/resnet50.a1_in1k", "apache-2.0")
    assert known.file == "resnet50.a1_in1k.safetensors"
    assert published("resnet50.a2_in1k").tagged == "resnet50.a2_in1k"
    assert published("gcvit_tiny").url and not published("gcvit_tiny").hub, "had from elsewhere"
    assert published("resnet200").names[0] == "resnet200.safetensors", "a model without published weights"


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("resnet18.tv_in2k", "Did you mean 'tv_in1k'"),
        ("resnet5o", "Did you mean 'resnet50'"),
        ("hf-hub:timm/resnet50.a1_in1k", "would be loaded from elsewhere"),
        ("local-dir:/tmp/x", "would be loaded from elsewhere"),
        ("../resnet50", "would be loaded from elsewhere"),
    ],
)
def test_other_names_are_refused(name: str, said: str) -> None:
    with pytest.raises(ModelError, match=said):
        published(name)


def test_a_file_is_known_by_the_model_with_its_tag_then_without(tmp_path: Path) -> None:
    usual, other = published("test_resnet"), published("resnet50.a2_in1k")
    assert file_in(None, usual) is None and file_in(tmp_path / "not there", usual) is None
    for name in ("test_resnet.pth", "test_resnet.safetensors", "test_resnet.r160_in1k.pth"):
        (tmp_path / name).touch()
        assert file_in(tmp_path, usual) == tmp_path / name, "each goes before the one before"
    for name in ("resnet50.safetensors", "resnet50.a1_in1k.safetensors"):
        (tmp_path / name).touch()
    assert file_in(tmp_path, other) is None, "another tag was asked for"
    (tmp_path / other.file).mkdir()
    assert file_in(tmp_path, other) is None, "a folder is no file"


def test_the_size_is_that_of_the_file(tmp_path: Path) -> None:
    path = keep(tmp_path / "w.safetensors")
    assert 0 <= path.stat().st_size - bytes_of("test_resnet") < 20_000, "but for its header"


def test_a_file_of_the_folder_is_the_start(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Wherever ImageNet's weights are wanted, and nowhere else; a file that is named goes before it."""
    lying, named = keep(tmp_path / "test_resnet.safetensors"), keep(tmp_path / "other.safetensors", seed=1)
    monkeypatch.setenv("CASS_WEIGHTS", str(tmp_path))
    assert weights_folder() == tmp_path
    found = build_arm("test_resnet", image_size=32, outputs=1000, init="imagenet")
    wanted = build_arm("test_resnet", image_size=32, outputs=1000, weights=lying)
    both = zip(found.model.state_dict().values(), wanted.model.state_dict().values(), strict=True)
    assert all(torch.equal(a, b) for a, b in both)
    said = str(found.weights)
    total = len(found.model.state_dict())
    assert said.startswith(f"{total}/{total} tensors from test_resnet.safetensors of $CASS_WEIGHTS (sha256 ")
    assert str(build_arm("test_resnet", image_size=32, outputs=9, init="random").weights).startswith("random")
    other = build_arm("test_resnet", image_size=32, outputs=1000, init="imagenet", weights=named)
    assert "from other.safetensors (sha256 " in str(other.weights) and other.weights.sha256 != found.weights.sha256


def test_a_file_of_the_folder_is_read_as_strictly_as_one_that_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CASS_WEIGHTS", str(tmp_path))
    keep(tmp_path / "test_resnet.safetensors", "test_vit")
    with pytest.raises(ModelError, match=r"test_resnet\.safetensors does not fit this ResNet"):
        build_arm("test_resnet", image_size=32, outputs=10, init="imagenet")
    (tmp_path / "test_resnet.safetensors").write_bytes(b"nothing")
    with pytest.raises(ModelError, match="is not a readable weight file"):
        build_arm("test_resnet", image_size=32, outputs=10, init="imagenet")
