"""A child process that does not outlive its parent, optionally under another user.

The rule this file protects: whatever kills the parent, kill -9 included, ends the child too. Linux sends the
child a signal of our choice (PR_SET_PDEATHSIG); elsewhere a killed parent leaves its children running.

The child is this file run as a script: it drops privileges, asks for the signal and then becomes the command.
A preexec_fn would do the same between fork and exec, in a copy of a process that may have threads.
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
    """Whom a child runs as, by number."""

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
    """Start `command`, a full path and its arguments, with both output streams in `output`, and in a session
    of its own, so that Ctrl-C does not reach it. It gets `death_signal`, which cannot be SIGKILL, when this
    process dies. To name a `user` takes root; `cwd` may then lie below directories closed to that user.

    Raises RuntimeError outside the main thread: the signal comes when the *thread* that started it ends.
    """
    if threading.current_thread() is not threading.main_thread():
        raise RuntimeError("A child is tied to the life of the thread that starts it: use the main thread.")
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
    """Have this process sent `death_signal` when the thread of `parent` that started it ends. Where there is no such
    signal it goes on. Raises SystemExit when `parent` has ended already, OSError when the system refuses."""
    libc = ctypes.CDLL(None, use_errno=True)
    if sys.platform == "linux" and libc.prctl(_PR_SET_PDEATHSIG, death_signal, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "prctl")
    # Only after asking for the signal can a parent that died before be told from one that lives.
    if os.getppid() != parent:
        sys.exit("The parent is gone.")


def end(process: subprocess.Popen[bytes], *signals: signal.Signals, patience_s: float) -> None:
    """Send each signal in turn, giving the process `patience_s` seconds after each, then kill it."""
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
    """How a process ended, as the end of a sentence. A negative code is the number of a signal."""
    if exit_code is not None and exit_code < 0:
        return f"was killed by signal {-exit_code} ({signal.strsignal(-exit_code) or 'unknown'})"
    return f"ended with exit code {exit_code}"


@contextmanager
def ended_on_error(process: subprocess.Popen[bytes]) -> Iterator[None]:
    """Kill the process when the block is left by an exception, Ctrl-C's too."""
    try:
        yield
    except BaseException:
        end(process, patience_s=0)
        raise


def _become(parent: int, death_signal: int, user: User, command: list[str]) -> None:
    """Turn this process into `command`. The order matters: a change of user clears the death signal."""
    # Python would only note the signal, and forget it in exec.
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
