"""Features in a plane, to look at: t-SNE, UMAP or the first two principal components.

Shapes: n images, D features.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cass_cli.errors import ConfigError, DataError, did_you_mean
from cass_cli.words import count

PROJECTIONS = {"tsne": "t-SNE", "umap": "UMAP", "pca": "PCA"}
AXES = 50  # principal components that t-SNE and UMAP see, as van der Maaten and Hinton (2008, Sec. 4.2) had it: 30
PERPLEXITY = 30.0
NEIGHBOURS = 15  # of UMAP, its usual number
LEAST = 5  # images


@dataclass(frozen=True)
class Plane:
    """Where each image lies, and how that was found, in a few words."""

    points: NDArray[np.float64]  # [n, 2]
    how: str


def check_projection(name: str) -> None:
    """Raise `ConfigError` for an unknown projection, or one of which a part is missing."""
    if name not in PROJECTIONS:
        raise ConfigError(
            f"There is no --projection {name}.{did_you_mean(name, list(PROJECTIONS))}", hint=", ".join(PROJECTIONS)
        )
    if name == "umap":
        _umap()


def check_images(images: int) -> None:
    """Raise `DataError` where there are too few images for a figure."""
    if images < LEAST:
        raise DataError(
            f"A figure needs {LEAST} images, and there {'is' if images == 1 else 'are'} {images}.",
            hint="Leave --figure out.",
        )


def project(rows: NDArray[np.float32], *, name: str, seed: int) -> Plane:
    """Return unit rows [n, D] in a plane: a function of its arguments on one machine.

    The principal components come first; between unit rows, Euclidean distances order as cosines do.
    """
    from sklearn.decomposition import PCA  # takes a second, and few commands draw this

    kept = min(AXES if name != "pca" else 2, len(rows) - 1, rows.shape[1])
    axes = PCA(kept, svd_solver="randomized", random_state=seed).fit(rows)
    narrow: NDArray[np.float64] = axes.transform(rows).astype(np.float64)
    if narrow.shape[1] < 2:
        narrow = np.pad(narrow, ((0, 0), (0, 2 - narrow.shape[1])))
    if name == "pca":
        shares = 100 * axes.explained_variance_ratio_
        return Plane(narrow, f"the first two principal components, {shares.sum():.0f} % of the variance")
    first = f"of {count(kept, 'principal component')}, seed {seed}"
    if name == "umap":
        k = min(NEIGHBOURS, len(rows) - 1)
        found = _umap().UMAP(n_neighbors=k, random_state=seed, n_jobs=1).fit_transform(narrow)
        return Plane(np.asarray(found, dtype=np.float64), f"{k} neighbours, {first}")
    from sklearn.manifold import TSNE

    perplexity = min(PERPLEXITY, (len(rows) - 1) / 3)  # scikit-learn's neighbours are three times as many
    made = TSNE(2, perplexity=perplexity, init="pca", random_state=seed, n_jobs=1).fit_transform(narrow)
    return Plane(np.asarray(made, dtype=np.float64), f"perplexity {perplexity:.3g}, {first}")


def _umap() -> Any:
    try:
        import umap
    except ImportError as error:
        command = "pip install 'cass-cli[umap]'"
        raise ConfigError(
            f"UMAP needs an optional part: {command}", hint=f"Run: {command}, or take --projection tsne."
        ) from error
    return umap
