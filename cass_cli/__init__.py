"""cass: cross-architectural self-supervision for small medical image collections.

The commands as functions: `pretrain`, `finetune`, `ensemble`, `evaluate`, `predict`, `embed`, `grid`; and
`load_run`, `load_arm` for what they left.
Each is imported when it is first asked for, so that `import cass_cli` and `cass --help` need not wait for PyTorch.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from cass_cli.api.embed import embed as embed
    from cass_cli.api.grid import grid as grid
    from cass_cli.api.load import load_arm as load_arm
    from cass_cli.api.load import load_run as load_run
    from cass_cli.api.measure import ensemble as ensemble
    from cass_cli.api.measure import evaluate as evaluate
    from cass_cli.api.measure import predict as predict
    from cass_cli.api.train import finetune as finetune
    from cass_cli.api.train import pretrain as pretrain

__version__ = "0.2.0"
__all__ = ["embed", "ensemble", "evaluate", "finetune", "grid", "load_arm", "load_run", "predict", "pretrain"]

_PLACES = {
    "pretrain": "train",
    "finetune": "train",
    "ensemble": "measure",
    "evaluate": "measure",
    "predict": "measure",
    "embed": "embed",
    "grid": "grid",
    "load_run": "load",
    "load_arm": "load",
}


def __getattr__(name: str) -> Any:
    if name not in _PLACES:
        raise AttributeError(f"module '{__name__}' has no attribute '{name}'")
    found = globals()[name] = getattr(import_module(f"{__name__}.api.{_PLACES[name]}"), name)
    return found


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
