"""Hearing of the end of the process while answers are still being sent."""

import asyncio
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any


@contextmanager
def before_shutdown(call: Callable[[], None]) -> Iterator[None]:
    """Run `call` in the event loop as soon as the process is asked to end.

    The server waits for every answer to be complete before it ends the lifespan: a stream, which
    never is, has to hear of it sooner. The server's own handler runs after.
    """
    loop = asyncio.get_running_loop()
    before: dict[int, Any] = {}

    def handle(number: int, frame: FrameType | None) -> None:
        loop.call_soon_threadsafe(call)
        before[number](number, frame)

    if threading.current_thread() is threading.main_thread():
        for number in (signal.SIGTERM, signal.SIGINT):
            if callable(known := signal.getsignal(number)):
                before[number] = known
                signal.signal(number, handle)
    try:
        yield
    finally:
        for restored, known in before.items():
            signal.signal(restored, known)
