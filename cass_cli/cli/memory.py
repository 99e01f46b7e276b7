"""What is said when memory ran out: what happened, and which options of the command would have it take less."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping

ON_GPU = ("cuda", "cublas", "cudnn", "hip", "mps")
OF_MACHINE = {"--cache": "--cache disk", "--workers": "--workers 1"}  # what is decoded takes nothing of a GPU's


def memory_error(error: BaseException) -> BaseException | None:
    """Return the error among `error` and its causes that says that memory ran out."""
    from cass_cli.engine.memory import OutOfMemoryError, lacks_memory

    seen: BaseException | None = error
    while seen is not None and not (isinstance(seen, OutOfMemoryError) or lacks_memory(seen)):
        seen = seen.__cause__
    return seen


def memory_message(error: BaseException, options: Collection[str]) -> tuple[str, str]:
    """Return what happened, and what would fit by the `options` that the command has."""
    from cass_cli.engine.memory import OutOfMemoryError, first_line

    said = first_line(error)
    gpu = any(word in said.lower() for word in ON_GPU)
    now = error.now if isinstance(error, OutOfMemoryError) else {}
    proposals = [text for option, text in _proposals(now, gpu=gpu) if option in options]
    if isinstance(error, ImportError):  # PyTorch itself does not fit, whatever the options
        proposals = []
    hint = f"It would take less with {_listed(proposals)}." if proposals else "Close what else takes memory here."
    if not gpu:
        hint += " A limit may be raised: `ulimit -v`, `ulimit -u`, that of a container or of a batch system."
    return f"Not enough memory{' on the GPU' if gpu else ''}: {said.rstrip('.')}.", hint


def _proposals(now: Mapping[str, int], *, gpu: bool) -> Iterator[tuple[str, str]]:
    """Yield options with what to say of them; those whose value matters only where it is known."""
    batch, parts = now.get("--batch-size", 0), now.get("--accumulate", 1)
    if batch >= 4:
        yield "--batch-size", f"--batch-size {batch // 2} (it is {batch})"
    if batch // (2 * parts) >= 2:
        yield "--accumulate", f"--accumulate {2 * parts}"
    if now.get("--gradient-checkpointing") == 0:
        yield "--gradient-checkpointing", "--gradient-checkpointing"
    size = "--probe-size" if "--probe-size" in now else "--image-size"
    yield size, f"a smaller {size}"
    yield from {"--device": "--device cpu"}.items() if gpu else OF_MACHINE.items()


def _listed(texts: list[str]) -> str:
    return texts[0] if len(texts) == 1 else f"{', '.join(texts[:-1])} or {texts[-1]}"
