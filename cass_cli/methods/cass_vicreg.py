"""CASS kept alive: two architectures look at two views of an image and are asked to say the same, by VICReg's terms.

    z_a = projector_a(f_a(x_a))                     [B, K], arms a = cnn, vit, x_a a view of each image of its own
    loss = λ s(z_cnn, z_vit) + μ (v(z_cnn) + v(z_vit)) / 2 + ν (c(z_cnn) + c(z_vit))

s, v and c are those of `methods/vicreg.py`: the arms agree (Eq. 1 of the paper, its idea) while each arm's own answers
stay spread out, so that a constant is no solution. Projectors take the place of the class logits.

Legend: B batch, S image side, D feature width, K projection width.
"""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor, nn

from cass_cli.data.views.draw import FLIP_AND_TILT
from cass_cli.methods.method import Method, View
from cass_cli.methods.teacher import Branch
from cass_cli.methods.vicreg import PROJECTION, projector, vicreg_loss


class CassVicReg(Method):
    """Two arms, each with a projector."""

    def __init__(
        self, arms: Mapping[str, nn.Module], widths: Mapping[str, int], *, projection: int = PROJECTION
    ) -> None:
        """Each of the `arms` maps [B, 3, S, S] to pooled features [B, width]."""
        super().__init__()
        self.branches = nn.ModuleDict(
            {arm: Branch(net, projector(widths[arm], projection)) for arm, net in arms.items()}
        )
        self.views = (View(FLIP_AND_TILT), View(FLIP_AND_TILT))

    @property
    def arms(self) -> Mapping[str, nn.Module]:
        return {arm: branch.network for arm, branch in self._items()}

    @property
    def learners(self) -> Mapping[str, nn.Module]:
        return dict(self.branches.items())

    @property
    def networks(self) -> tuple[nn.Module, ...]:
        return tuple(self.arms.values())

    def forward(self, one: Tensor, two: Tensor, *, progress: float = 0.0) -> Tensor:
        """Return the loss of two views [B, 3, S, S], one for each arm, the same at any `progress`."""
        cnn, vit = (branch(view) for (_, branch), view in zip(self._items(), (one, two), strict=True))
        return vicreg_loss(cnn, vit)

    def after_step(self, progress: float) -> None:
        """Nothing follows a step."""

    def embed(self, arm: str, images: Tensor) -> tuple[Tensor, Tensor]:
        """Return the arm's pooled features [B, D] and their projections [B, K]."""
        branch = dict(self._items())[arm]
        features: Tensor = branch.network.forward(images)  # past torch.compile, as it is called in evaluation mode
        return features, branch.head(features)

    def _items(self) -> list[tuple[str, Branch]]:
        return list(self.branches.items())  # type: ignore[arg-type]  # all are branches
