from __future__ import annotations

import math

import pytest
import torch
from lightly.models.utils import update_momentum
from lightly.utils.scheduler import cosine_schedule
from torch import nn

from cass_cli.methods.teacher import Branch, cosine, follow, teacher_of


def branch() -> Branch:
    return Branch(nn.Sequential(nn.Flatten(), nn.BatchNorm1d(12), nn.Linear(12, 6)), nn.Linear(6, 4))


def test_a_teacher_is_a_copy_that_nothing_is_shared_with() -> None:
    student = branch()
    teacher = teacher_of(student)
    x = torch.randn(5, 3, 2, 2)
    assert torch.equal(teacher(x), student(x))
    assert not any(p.requires_grad for p in teacher.parameters())
    assert all(p.requires_grad for p in student.parameters())
    with torch.no_grad():
        student.head.bias.add_(1.0)
    torch.testing.assert_close(student(x) - teacher(x), torch.ones(5, 4))


@pytest.mark.parametrize("momentum", [0.0, 0.9, 0.996, 1.0])
def test_follows_as_in_lightly(momentum: float) -> None:
    student, teacher = branch(), teacher_of(branch())
    theirs = teacher_of(teacher)
    by_hand = [
        momentum * t + (1 - momentum) * s for t, s in zip(teacher.parameters(), student.parameters(), strict=True)
    ]
    follow(teacher, student, momentum)
    with torch.no_grad():
        update_momentum(student, theirs, momentum)
    for ours, lightlys, expected in zip(teacher.parameters(), theirs.parameters(), by_hand, strict=True):
        torch.testing.assert_close(ours, lightlys, atol=1e-6, rtol=1e-5)
        torch.testing.assert_close(ours, expected, atol=1e-6, rtol=1e-5, check_stride=False)


def test_a_teacher_has_batch_statistics_of_its_own() -> None:
    student, teacher = branch(), teacher_of(branch())
    student(torch.randn(50, 3, 2, 2) + 5)
    teacher(torch.randn(50, 3, 2, 2) - 5)
    before = {name: value.clone() for name, value in teacher.named_buffers()}
    follow(teacher, student, 0.5)
    assert all(torch.equal(value, before[name]) for name, value in teacher.named_buffers())


def test_cosine_is_lightlys_and_the_authors() -> None:
    """lightly counts its last step as the end; the authors' and ours would reach the end one step later."""
    for step in range(40):
        assert cosine(step / 39, 0.996, 1.0) == pytest.approx(cosine_schedule(step, 40, 0.996, 1.0), abs=1e-9)
        authors = 1.0 + 0.5 * (0.996 - 1.0) * (1 + math.cos(math.pi * step / 40))
        assert cosine(step / 40, 0.996, 1.0) == pytest.approx(authors, abs=1e-12)
    assert (cosine(0, 3, 7), cosine(0.5, 3, 7), cosine(1, 3, 7)) == pytest.approx((3, 5, 7))
