"""Volumes that were unpacked a moment ago, kept for the next slice: bounded in bytes, safe in threads."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from typing import Generic, Protocol, TypeVar


class Held(Protocol):
    """What is kept; `bytes` is the memory it takes."""

    @property
    def bytes(self) -> int: ...


T = TypeVar("T", bound=Held)


class Budget:
    """An amount that threads share: who asks for more than is left waits until others have given theirs back."""

    def __init__(self, amount: int) -> None:
        self._left = amount
        self._changed = threading.Condition()

    @contextmanager
    def taking(self, part: int) -> Iterator[None]:
        """Hold a part, which is at most the whole amount."""
        with self._changed:
            self._changed.wait_for(lambda: self._left >= part)
            self._left -= part
        try:
            yield
        finally:
            with self._changed:
                self._left += part
                self._changed.notify_all()


class Kept(Generic[T]):
    """The values used last, `most_bytes` of them in all, or one that is larger; each is made once at a time."""

    def __init__(self, most_bytes: int, most: int = 64) -> None:
        self.most_bytes, self.most = most_bytes, most
        self._values: OrderedDict[Hashable, Future[T]] = OrderedDict()
        self._lock = threading.Lock()

    def get(self, key: Hashable, make: Callable[[], T]) -> T:
        """Return the value of `key`, made if it isn't there; who asks meanwhile waits. What `make` raises, all get."""
        with self._lock:
            future = self._values.get(key)
            ours = future is None
            if future is None:
                future = self._values[key] = Future()
            self._values.move_to_end(key)
        if ours:
            try:
                future.set_result(make())
            except BaseException as error:
                with self._lock:
                    self._values.pop(key, None)
                future.set_exception(error)
            else:
                self._let_go()
        return future.result()

    def _let_go(self) -> None:
        """Forget the values used longest ago until the rest are few enough; those still being made stay."""
        with self._lock:
            done = [key for key, future in self._values.items() if future.done()]
            held = sum(self._values[key].result().bytes for key in done)
            for key in done[:-1]:
                if held <= self.most_bytes and len(self._values) <= self.most:
                    return
                held -= self._values.pop(key).result().bytes
