"""Operators that MPS lacks: PyTorch computes them on the CPU instead, where it is told to before it is imported."""

from __future__ import annotations

import os
import re
import sys
import warnings
from typing import Any

VARIABLE = "PYTORCH_ENABLE_MPS_FALLBACK"
LACKING = re.compile(r"The operator '([^']+)' is not currently supported on the MPS backend")


def allow_fallback() -> None:
    """On a Mac, have such operators computed on the CPU, and each told once in a line; the user's own word counts."""
    if sys.platform != "darwin":
        return
    os.environ.setdefault(VARIABLE, "1")
    show = warnings.showwarning

    def show_warning(message: Warning | str, *others: Any, **named: Any) -> None:
        if found := LACKING.search(str(message)):
            sys.stderr.write(f"MPS lacks {found[1]}: it is computed on the CPU, which takes longer.\n")
        else:
            show(message, *others, **named)

    warnings.showwarning = show_warning


def lacking_operator(error: Exception) -> tuple[str, str] | None:
    """Return what to say of an operator that MPS lacks, and what to try; None for any other error."""
    text = str(error)
    if not isinstance(error, NotImplementedError) or "for the MPS device" not in text:
        return None
    found = re.search(r"operator '([^']+)'", text)
    what = f"MPS lacks the operator {found[1] if found else 'that is needed'}."
    return what, f"Have it computed on the CPU: export {VARIABLE}=1; or use --device cpu."
