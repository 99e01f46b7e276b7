"""Memory that ran out, on a GPU or in the machine: how it is known, and which settings decided how much it took."""

from __future__ import annotations

import errno
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from cass_cli.errors import RunError

SAID = (  # by PyTorch, CUDA's libraries, C++, threads, and the loader of libraries, in small letters
    *("out of memory", "allocate memory", "alloc_failed", "bad_alloc", "bad allocation"),
    *("start new thread", "failed to map segment", "unable to mmap"),
)


class OutOfMemoryError(RunError):
    """Memory ran out. `now` holds the present values of the options that would have it take less."""

    def __init__(self, error: BaseException, now: Mapping[str, int]) -> None:
        super().__init__(first_line(error))
        self.now = now


def lacks_memory(error: BaseException) -> bool:
    """Whether an error says that memory ran out, on a GPU or in the machine, or that no thread could be had."""
    if isinstance(error, MemoryError) or (isinstance(error, OSError) and error.errno == errno.ENOMEM):
        return True
    return isinstance(error, (RuntimeError, ImportError)) and any(words in str(error).lower() for words in SAID)


def first_line(error: BaseException) -> str:
    """Return what an error says, without what follows on other lines, or its name."""
    lines = str(error).strip().splitlines()
    if not lines:
        return type(error).__name__
    said = lines[0].rpartition("DefaultCPUAllocator: ")[2]
    return said.partition(" Use PYTORCH_MPS_HIGH_WATERMARK_RATIO")[0]  # which may bring the whole machine down


@contextmanager
def memory_for(now: Mapping[str, int]) -> Iterator[None]:
    """Raise `OutOfMemoryError` where memory runs out, with the present values of the options that would help."""
    try:
        yield
    except Exception as error:
        if lacks_memory(error):
            raise OutOfMemoryError(error, now) from error
        raise
