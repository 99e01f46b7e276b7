from __future__ import annotations

from typing import Any

import pytest
import torch
import torch.nn.functional as F
from lightly.loss import DINOLoss
from lightly.utils.scheduler import cosine_schedule, linear_warmup_schedule
from torch import Tensor, nn

from cass_cli.methods import dino
from cass_cli.methods.dino import OFFICIAL, PAPER, SETTINGS, Dino, Head, dino_loss, small_side, teacher_temperature
from cass_cli.methods.teacher import cosine

EVEN = {"student_temperature": 0.1, "teacher_temperature": 0.04}
SMALL: dict[str, Any] = {"width": 12, "prototypes": 7, "small": 2}


def network() -> nn.Module:
    """From images [B, 3, S, S] of any size to features [B, 12], with a batch norm in it."""
    return nn.Sequential(nn.AdaptiveAvgPool2d(2), nn.Flatten(), nn.BatchNorm1d(12), nn.Linear(12, 12), nn.Tanh())


def crops(method: Dino, batch: int = 3, side: int = 4) -> list[Tensor]:
    return [torch.randn(batch, 3, view.size or side, view.size or side) for view in method.views]


# ---- the loss


@pytest.mark.parametrize("views", [2, 10])
def test_loss_equals_lightly(views: int) -> None:
    student, teacher, centre = torch.randn(views, 5, 11), torch.randn(2, 5, 11), torch.randn(11)
    theirs = DINOLoss(output_dim=11, student_temp=0.1)
    theirs.center = centre[None, None].clone()
    expected = theirs(list(teacher), list(student), teacher_temp=0.04)
    torch.testing.assert_close(dino_loss(student, teacher, centre, **EVEN), expected, atol=1e-5, rtol=1e-5)


def test_loss_equals_algorithm_1_pair_by_pair() -> None:
    student, teacher, centre = torch.randn(4, 5, 11), torch.randn(2, 5, 11), torch.randn(11)
    terms = []
    for t in range(2):
        for s in range(4):
            if t != s:
                p = ((teacher[t] - centre) / 0.04).softmax(1)
                terms += [-(p[i] * (student[s, i] / 0.1).softmax(0).log()).sum() for i in range(5)]
    assert len(terms) == 5 * 6
    torch.testing.assert_close(dino_loss(student, teacher, centre, **EVEN), torch.stack(terms).mean())


def test_loss_is_fp32_under_autocast_too() -> None:
    student, teacher, centre = torch.randn(4, 3, 50), torch.randn(2, 3, 50), torch.randn(50)
    expected = dino_loss(student, teacher, centre, **EVEN)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        torch.testing.assert_close(dino_loss(student, teacher, centre, **EVEN), expected)


def test_loss_of_the_package_that_the_paper_used() -> None:
    """vit-pytorch's: the mean of (teacher 1, student 2) and (teacher 2, student 1)."""
    student, teacher, centre = torch.randn(2, 5, 11), torch.randn(2, 5, 11), torch.randn(11)

    def entropy(t: Tensor, s: Tensor) -> Tensor:
        return -(((t - centre) / 0.04).softmax(-1) * torch.log((s / 0.9).softmax(-1) + 1e-20)).sum(-1).mean()

    expected = (entropy(teacher[0], student[1]) + entropy(teacher[1], student[0])) / 2
    ours = dino_loss(student, teacher, centre, student_temperature=0.9, teacher_temperature=0.04)
    torch.testing.assert_close(ours, expected, atol=1e-5, rtol=1e-5)


def test_pairs_of_the_same_crop_are_left_out() -> None:
    """Student view s is compared with the teacher's views of other crops alone, so only those move its gradient."""
    student = torch.randn(3, 4, 6, requires_grad=True)
    teacher = torch.randn(2, 4, 6)
    (before,) = torch.autograd.grad(dino_loss(student, teacher, torch.zeros(6), **EVEN), student)
    teacher[0] += torch.randn(4, 6)
    (after,) = torch.autograd.grad(dino_loss(student, teacher, torch.zeros(6), **EVEN), student)
    changed = (before != after).flatten(1).any(1).tolist()
    assert changed == [False, True, True]


def test_half_precision_logits_are_compared_in_full() -> None:
    student, teacher = torch.randn(2, 4, 6).bfloat16(), torch.randn(2, 4, 6).bfloat16()
    assert dino_loss(student, teacher, torch.zeros(6), **EVEN).dtype == torch.float32


# ---- the head


def test_official_head_equals_weight_norm_of_length_one() -> None:
    """As DINOHead with norm_last_layer: weight_norm without bias, its length fixed at 1."""
    head = Head(12, hidden=20, prototypes=7, bent=False, unit=True)
    last = nn.utils.parametrizations.weight_norm(nn.Linear(256, 7, bias=False))
    with torch.no_grad():
        last.parametrizations.weight.original0.fill_(1)
        last.parametrizations.weight.original1.copy_(head.prototypes.weight)
    x = torch.randn(5, 12)
    first, second, third = (layer for layer in head.mlp if isinstance(layer, nn.Linear))
    z = third(F.gelu(second(F.gelu(first(x)))))
    torch.testing.assert_close(head(x), last(F.normalize(z, dim=1)))
    assert float(head(x).detach().abs().max()) <= 1
    assert head.prototypes.bias is None


def test_the_packages_head_bends_all_three_layers_and_has_free_prototypes() -> None:
    head = Head(12, hidden=20, prototypes=7, bent=PAPER.bent_bottleneck, unit=PAPER.unit_prototypes)
    x = torch.randn(5, 12)
    first, second, third = (layer for layer in head.mlp if isinstance(layer, nn.Linear))
    z = F.gelu(third(F.gelu(second(F.gelu(first(x))))))
    torch.testing.assert_close(head(x), head.prototypes(z / z.norm(dim=1, keepdim=True)))
    assert head.prototypes.bias is not None


# ---- schedules


def test_schedules_equal_lightly_at_its_grid() -> None:
    """lightly divides by steps − 1 and so reaches the end in the last step; the authors (and we) divide by steps."""
    steps = 50
    for step in range(steps):
        theirs = cosine_schedule(step, steps, 0.996, 1.0)
        assert cosine(step / (steps - 1), *OFFICIAL.momentum) == pytest.approx(theirs, abs=1e-9)
        warm = linear_warmup_schedule(step, warmup_steps=15, start_value=0.04, end_value=0.07)
        assert teacher_temperature(step / steps, OFFICIAL) == pytest.approx(warm, abs=1e-9)


def test_settings_are_those_of_the_sources() -> None:
    assert (OFFICIAL.student_temperature, OFFICIAL.teacher_temperature) == (0.1, (0.04, 0.07))
    assert (OFFICIAL.momentum, OFFICIAL.hidden, len(OFFICIAL.large), len(OFFICIAL.others)) == ((0.996, 1.0), 2048, 2, 8)
    assert (PAPER.student_temperature, PAPER.teacher_temperature) == (0.9, (0.04, 0.04))
    assert (PAPER.momentum, PAPER.hidden, len(PAPER.large), len(PAPER.others)) == ((0.9, 0.9), 256, 2, 2)
    assert {teacher_temperature(p, PAPER) for p in (0.0, 0.5, 1.0)} == {0.04}
    assert {cosine(p, *PAPER.momentum) for p in (0.0, 0.5, 1.0)} == {0.9}
    scales = [view["crop_scale"] for view in (*OFFICIAL.large, *OFFICIAL.others[:1], *PAPER.large, *PAPER.others)]
    assert scales == [(0.4, 1.0)] * 2 + [(0.05, 0.4)] + [(0.5, 1.0)] * 2 + [(0.05, 0.4)] * 2


def test_the_method_asks_the_schedules(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[tuple[float, float]] = []

    def loss(student: Tensor, *_: Tensor, student_temperature: float, teacher_temperature: float) -> Tensor:
        asked.append((student_temperature, teacher_temperature))
        return student.sum()

    monkeypatch.setattr(dino, "dino_loss", loss)
    method = Dino(network(), **SMALL)
    for progress in (0.0, 0.15, 0.3, 0.9):
        method(*crops(method), progress=progress)
    assert asked == [(0.1, pytest.approx(t)) for t in (0.04, 0.055, 0.07, 0.07)]


@pytest.mark.parametrize(
    ("large", "patch", "expected"),
    [(224, 16, 96), (224, 14, 98), (384, 16, 160), (224, 1, 96), (32, 16, 16), (16, 16, 16)],
)
def test_small_crops_are_96_of_224_in_whole_patches(large: int, patch: int, expected: int) -> None:
    assert small_side(large, patch=patch) == expected


# ---- the method


def test_loss_of_the_method_is_that_of_its_parts() -> None:
    method = Dino(network(), **SMALL).eval()  # no batch statistics, so views can be looked at one by one
    method.centre.normal_()
    views = crops(method)
    assert [view.shape[-1] for view in views] == [4, 4, *[2] * 8]
    student = torch.stack([method.student(view) for view in views])
    teacher = torch.stack([method.teacher(view) for view in views[:2]])
    expected = dino_loss(student, teacher, method.centre, student_temperature=0.1, teacher_temperature=0.04)
    torch.testing.assert_close(method(*views), expected)


def test_in_the_papers_setting_the_student_sees_the_other_crops_only() -> None:
    method = Dino(network(), setting=PAPER, width=12, prototypes=7, small=2).eval()
    views = crops(method)
    assert [view.shape[-1] for view in views] == [4] * 4
    student = torch.stack([method.student(view) for view in views[2:]])
    teacher = torch.stack([method.teacher(view) for view in views[:2]])
    expected = dino_loss(student, teacher, method.centre, student_temperature=0.9, teacher_temperature=0.04)
    torch.testing.assert_close(method(*views), expected)


def test_no_gradient_reaches_the_teacher() -> None:
    method = Dino(network(), **SMALL)
    method(*crops(method), progress=0.5).backward()
    assert all(p.grad is None and not p.requires_grad for p in method.teacher.parameters())
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in method.student.parameters() if p.ndim > 1)


def test_prototypes_stand_still_in_the_first_hundredth() -> None:
    for progress, frozen in ((0.0, True), (0.009, True), (0.01, False), (0.5, False)):
        method = Dino(network(), **SMALL)
        method(*crops(method), progress=progress).backward()
        gradient = method.student.head.prototypes.weight.grad
        assert gradient is not None  # or DistributedDataParallel would wait for it
        assert bool((gradient == 0).all()) == frozen
    method = Dino(network(), width=12, setting=PAPER, prototypes=7)
    method(*crops(method), progress=0.0).backward()
    assert method.student.head.prototypes.weight.grad.abs().sum() > 0


def test_centre_moves_towards_the_mean_of_both_large_crops() -> None:
    """Eq. 4, and lightly's, from the logits that the teacher gave."""
    method, theirs = Dino(network(), **SMALL).eval(), DINOLoss(output_dim=7)
    expected = torch.zeros(7)
    for _ in range(3):
        views = crops(method)
        teacher = [method.teacher(view) for view in views[:2]]
        expected = 0.9 * expected + 0.1 * torch.cat(teacher).mean(0)
        theirs.update_center(torch.stack(teacher))
        method(*views)
        method.after_step(0.5)
        torch.testing.assert_close(method.centre, expected, atol=1e-5, rtol=1e-5)
        torch.testing.assert_close(method.centre, theirs.center.flatten(), atol=1e-5, rtol=1e-5)


def test_centre_is_the_same_however_a_batch_is_split() -> None:
    """Also into unequal parts, as the last batch of an epoch is."""
    whole = Dino(network(), **SMALL).eval()
    split = Dino(network(), **SMALL).eval()
    split.load_state_dict(whole.state_dict())
    views = crops(whole, batch=5)
    whole(*views)
    split(*(view[:4] for view in views))
    split(*(view[4:] for view in views))
    for method in (whole, split):
        method.after_step(0.5)
    torch.testing.assert_close(split.centre, whole.centre, atol=1e-6, rtol=1e-5)


def test_teacher_follows_with_the_momentum_of_the_moment() -> None:
    method = Dino(network(), **SMALL)
    with torch.no_grad():
        for p in method.student.parameters():
            p.add_(1.0)
    for progress, momentum in ((0.0, 0.996), (0.5, 0.998), (1.0, 1.0)):
        before = [p.clone() for p in method.teacher.parameters()]
        method(*crops(method))
        method.after_step(progress)
        for old, new, p in zip(before, method.teacher.parameters(), method.student.parameters(), strict=True):
            torch.testing.assert_close(new.detach(), momentum * old + (1 - momentum) * p.detach(), atol=1e-6, rtol=1e-5)


@pytest.mark.parametrize(("name", "kept"), [("official", "teacher"), ("paper", "student")])
def test_which_network_is_kept(name: str, kept: str) -> None:
    method = Dino(network(), width=12, setting=SETTINGS[name], prototypes=7, small=2)
    branch = getattr(method, kept)
    assert method.kept is branch.network
    assert method.learner is method.student
    features = torch.randn(3, 12)
    assert torch.equal(method.outputs(features), branch.head(features))
