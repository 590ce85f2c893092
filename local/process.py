"""Start child processes that end with their parent, optionally as another user.

On Linux the child gets a chosen signal when its parent dies, even by kill -9 (PR_SET_PDEATHSIG). On other systems the
children of a killed parent keep running.

The child is this file run as a script, which drops privileges, asks for the signal and then becomes the command. A
preexec_fn is not safe for this, because it runs in a fork of a process that may have threads.
"""

import ctypes
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import MappingProxyType
from typing import BinaryIO, Final, NamedTuple

_PR_SET_PDEATHSIG = 1
# A child gets other variables only explicitly, because the user's environment has secrets and unrelated settings.
CLEAN: Final[Mapping[str, str]] = MappingProxyType({"PATH": os.defpath, "LC_ALL": "C", "TZ": "UTC"})


class User(NamedTuple):
    """The user and group of a child, by number."""

    uid: int
    gid: int


def spawn(
    command: Sequence[str | Path],
    *,
    output: BinaryIO,
    cwd: Path,
    user: User | None = None,
    death_signal: signal.Signals = signal.SIGTERM,
    env: Mapping[str, str] = CLEAN,
    stdin: BinaryIO | None = None,
) -> subprocess.Popen[bytes]:
    """Start `command`, a full path and its arguments, in its own session, so that Ctrl-C does not reach it.

    Args:
        output: Receives both output streams.
        cwd: With a `user`, it may be in a directory that is closed to that user.
        user: Only root can name one.
        death_signal: The child's signal at the death of this process, not SIGKILL.

    Raises RuntimeError outside the main thread, because Linux sends the signal when the starting *thread* ends.
    """
    if threading.current_thread() is not threading.main_thread():
        raise RuntimeError("A child ends with the thread that starts it: use the main thread.")
    user = user or User(os.geteuid(), os.getegid())
    become = [sys.executable, "-I", "-S", __file__, os.getpid(), int(death_signal), *user]
    return subprocess.Popen(
        [str(word) for word in (*become, *command)],
        stdin=subprocess.DEVNULL if stdin is None else stdin,
        stdout=output,
        stderr=output,
        cwd=cwd,
        env=dict(env),
        start_new_session=True,
    )


def die_with(parent: int, death_signal: signal.Signals = signal.SIGKILL) -> None:
    """Ask Linux for `death_signal` when the thread of `parent` that started this process ends.

    Other systems have no such signal. Raises SystemExit if `parent` has ended, and OSError if Linux refuses."""
    libc = ctypes.CDLL(None, use_errno=True)
    if sys.platform == "linux" and libc.prctl(_PR_SET_PDEATHSIG, death_signal, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "prctl")
    # Check after the request, because no signal comes for a parent that died before it.
    if os.getppid() != parent:
        sys.exit("The parent is gone.")


def end(process: subprocess.Popen[bytes], *signals: signal.Signals, patience_s: float) -> None:
    """Send each signal and wait `patience_s` seconds for the end after each. Then kill the process."""
    for number in signals:
        process.send_signal(number)
        try:
            process.wait(patience_s)
        except subprocess.TimeoutExpired:
            continue
        return
    process.kill()
    process.wait()


def in_words(exit_code: int | None) -> str:
    """Describe an exit code as the end of a sentence. A negative code is the number of a signal."""
    if exit_code is not None and exit_code < 0:
        return f"was killed by signal {-exit_code} ({signal.strsignal(-exit_code) or 'unknown'})"
    return f"ended with exit code {exit_code}"


@contextmanager
def ended_on_error(process: subprocess.Popen[bytes]) -> Iterator[None]:
    """Kill the process if an exception, such as KeyboardInterrupt, ends the block."""
    try:
        yield
    except BaseException:
        end(process, patience_s=0)
        raise


def _become(parent: int, death_signal: int, user: User, command: list[str]) -> None:
    """Turn this process into `command`. The order matters: a change of user clears the death signal."""
    # Python's handler would only record the signal, and exec would lose it.
    signal.signal(death_signal, signal.SIG_DFL)
    if user != (os.geteuid(), os.getegid()):
        os.setgroups([])
        os.setgid(user.gid)
        os.setuid(user.uid)
    die_with(parent, signal.Signals(death_signal))
    os.execv(command[0], command)  # noqa: S606 - no shell is the point


if __name__ == "__main__":
    parent, death_signal, uid, gid = map(int, sys.argv[1:5])
    _become(parent, death_signal, User(uid, gid), sys.argv[5:])
