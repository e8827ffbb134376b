"""SIGINT and SIGTERM: the first ends a run where its state is whole, the second at once.

An exception that a signal raises can be lost in a callback of a library, and it waits for
the end of a compilation. So the signal is also noted, and looked at between the chunks and
stages of a run; and a thread that hears of signals at once ends the process at the second.
"""

import contextlib
import os
import signal
import socket
import sys
import threading
import time
from collections.abc import Iterator

HANDLED = (signal.SIGINT, signal.SIGTERM)
_TWICE = 0.5  # seconds: wrappers such as `timeout` send one signal twice at once


class Interrupted(KeyboardInterrupt):
    """A run was asked to end.

    Attributes:
        number: of the signal; the exit status is 128 more.
        stage, step, total: where training was stopped, if it was in training.
        resumes: from where the same command goes on; empty when nothing is saved.
    """

    def __init__(
        self,
        number: int = signal.SIGINT,
        stage: str = "",
        step: int = -1,
        total: int = 0,
        resumes: str = "",
    ):
        super().__init__()
        self.number, self.resumes = number, resumes
        self.stage, self.step, self.total = stage, step, total


class _State:
    asked: int | None = None
    waits: bool = False


_state = _State()


def check(stage: str = "", step: int = -1, total: int = 0) -> None:
    """Raises `Interrupted`, with where it was met, when a signal has come."""
    if _state.asked is not None:
        raise Interrupted(_state.asked, stage, step, total)


def wait(waits: bool) -> None:
    """Whether signals wait for the next `check` from here on."""
    _state.waits = waits


@contextlib.contextmanager
def waiting() -> Iterator[None]:
    """Signals wait for the next `check` after this."""
    wait(True)
    try:
        yield
    finally:
        wait(False)


@contextlib.contextmanager
def handled() -> Iterator[None]:
    """Both signals raise `Interrupted`, or wait for a `check`; see the module.

    A signal that the process was told to ignore stays ignored, and outside the main thread,
    where Python takes no signals, nothing changes.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    _state.asked, _state.waits = None, False
    reading, writing = socket.socketpair()
    writing.setblocking(False)
    watcher = threading.Thread(target=_watch, args=(reading,), daemon=True)
    taken = [n for n in HANDLED if signal.getsignal(n) is not signal.SIG_IGN]
    before = {number: signal.signal(number, _ask) for number in taken}
    wakeup = signal.set_wakeup_fd(writing.fileno(), warn_on_full_buffer=False)
    watcher.start()
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler or signal.SIG_DFL)
        signal.set_wakeup_fd(wakeup)
        writing.close()
        watcher.join()
        reading.close()


def _ask(number, frame) -> None:
    if _state.asked is None:
        _state.asked = number
    if not _state.waits:
        raise Interrupted(number)


def _watch(reading: socket.socket) -> None:
    """Python tells `_ask` of a signal between two of its own steps, and this at once."""
    first = None
    while received := reading.recv(1):
        if received[0] not in HANDLED:
            continue
        if first is None:
            first = time.monotonic()
            if _state.waits:
                _say("stopping after these steps to save them; a second time stops at once")
        elif time.monotonic() - first > _TWICE:
            _say("stopped at once; what was saved before is kept")
            os._exit(128 + received[0])


def _say(sentence: str) -> None:
    with contextlib.suppress(OSError, ValueError):
        sys.stderr.write(f"\n{sentence}\n")
        sys.stderr.flush()
