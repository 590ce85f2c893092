"""Sockets for httpcore with one clock for a whole exchange.

A socket's own timeout restarts with every read. So each operation gets the time until the deadline of its thread's
exchange. Closing interrupts look-ups, connects, reads and writes of all threads.
"""

import select
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, InvalidStateError
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from ipaddress import ip_address
from typing import Any, Final, cast

import httpcore
from httpcore._backends.sync import TLSinTLSStream

# The share of the time for look-up, connecting and TLS. A request that is sent late may be billed without an answer.
CONNECT_SHARE: Final = 0.5
# Seconds after which the next address is tried.
NEXT_ADDRESS_S: Final = 1.0

_Address = tuple[int, int, int, str, Any]


class Clock:
    """The time of one exchange. `began`: a byte of its request may have left."""

    def __init__(self, deadline: float) -> None:
        now = time.monotonic()
        self.deadline = deadline
        self.until = now + (deadline - now) * CONNECT_SHARE
        self.began = False

    def left(self) -> float:
        """Return the seconds that are left, more than 0. Raises TimeoutError if there are none."""
        left = self.until - time.monotonic()
        if left <= 0:
            raise TimeoutError
        return left

    def begin(self) -> None:
        """Note that the request is about to be sent. Raises TimeoutError if no time is left."""
        self.until = self.deadline
        self.left()
        self.began = True


_CLOCK: Final[ContextVar[Clock]] = ContextVar("clock")


@contextmanager
def keeping(clock: Clock) -> Iterator[None]:
    """Apply the clock to this thread's sockets."""
    token = _CLOCK.set(clock)
    try:
        yield
    finally:
        _CLOCK.reset(token)


class Sockets(httpcore.NetworkBackend):
    """Safe from any number of threads."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.closed = False
        # Each interrupts one operation, from another thread.
        self._breaks: set[Callable[[], object]] = set()

    def connect_tcp(self, host: str, port: int, *_: object, **__: object) -> httpcore.NetworkStream:
        """Connect to the first address of the host that answers."""
        addresses = self._addresses(host, port)
        failure: OSError = ConnectionError("the name has no address")
        for number, address in enumerate(addresses, start=1):
            try:
                return self._connected(address, is_last=number == len(addresses))
            except OSError as error:
                failure = error
        raise failure

    def close(self) -> None:
        """Interrupt the operations of all threads. Every later operation fails."""
        with self.lock:
            self.closed = True
            for break_off in self._breaks:
                break_off()

    def add(self, break_off: Callable[[], object]) -> None:
        """Register a function for `close` to call. Raises ConnectionAbortedError after `close`."""
        with self.lock:
            self.check_open()
            self._breaks.add(break_off)

    def drop(self, break_off: Callable[[], object]) -> None:
        self._breaks.discard(break_off)

    def check_open(self) -> None:
        """Raise ConnectionAbortedError after `close`. A closed socket reads as ended, although the provider did not end
        it."""
        if self.closed:
            raise ConnectionAbortedError

    def _addresses(self, host: str, port: int) -> Sequence[_Address]:
        with suppress(ValueError):
            ip_address(host)
            return _look_up(host, port)
        # A look-up cannot be interrupted, so it runs in a thread that can be abandoned.
        found: Future[Sequence[_Address]] = Future()
        self.add(found.cancel)
        try:
            threading.Thread(target=_tell, args=(found, host, port), name="llm-look-up", daemon=True).start()
            return found.result(_CLOCK.get().left())
        finally:
            with self.lock:
                self.drop(found.cancel)

    def _connected(self, address: _Address, *, is_last: bool) -> "_Stream":
        family, kind, protocol, _, place = address
        stream = _Stream(self, socket.socket(family, kind, protocol))
        try:
            self.add(stream.shut_down)
            left = _CLOCK.get().left()
            stream.connect(place, left if is_last else min(left, NEXT_ADDRESS_S))
            self.check_open()
        except BaseException:
            stream.close()
            raise
        return stream


class _Stream(httpcore.NetworkStream):
    """A connection that uses the clock instead of httpcore's timeouts. It has a socket's methods too, so that TLS can
    run inside a proxy's TLS."""

    def __init__(self, sockets: Sockets, sock: socket.socket) -> None:
        self._sockets = sockets
        self._socket = sock

    def connect(self, place: Any, timeout: float) -> None:
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._socket.settimeout(timeout)
        self._socket.connect(place)

    def read(self, max_bytes: int, *_: object, **__: object) -> bytes:
        self._socket.settimeout(_CLOCK.get().left())
        data = self._socket.recv(max_bytes)
        self._sockets.check_open()
        return data

    def write(self, buffer: bytes, *_: object, **__: object) -> None:
        # A proxy's CONNECT has nothing of the request's body.
        if buffer and not buffer.startswith(b"CONNECT "):
            self._sockets.check_open()
            _CLOCK.get().begin()
        self.sendall(buffer)

    def start_tls(
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, *_: object, **__: object
    ) -> httpcore.NetworkStream:
        try:
            if isinstance(self._socket, ssl.SSLSocket):
                return _InnerTls(cast(socket.socket, self), ssl_context, server_hostname)
            self._handshake(ssl_context, server_hostname)
        except BaseException:
            self.close()
            raise
        return self

    def close(self) -> None:
        # The system reuses the number of a closed socket, so one lock guards closing and shutting down.
        with self._sockets.lock:
            self._sockets.drop(self.shut_down)
            self._socket.close()

    def get_extra_info(self, info: str) -> Any:
        if info != "is_readable":
            return None
        poll = select.poll()
        poll.register(self._socket, select.POLLIN)
        return bool(poll.poll(0))

    def shut_down(self) -> None:
        """Wake the thread that waits for the socket."""
        with suppress(OSError):
            # SSLSocket.shutdown drops TLS first, so a concurrent write would leave unencrypted.
            socket.socket.shutdown(self._socket, socket.SHUT_RDWR)

    def sendall(self, data: bytes) -> None:
        rest = memoryview(data)
        try:
            while rest:
                self._socket.settimeout(_CLOCK.get().left())
                rest = rest[self._socket.send(rest) :]
        except TimeoutError:
            raise
        except OSError as error:
            # httpcore then reads the answer: a server may refuse a request before it has read all of it.
            raise httpcore.WriteError(str(error)) from error

    def recv(self, max_bytes: int) -> bytes:
        return self.read(max_bytes)

    def settimeout(self, _timeout: float | None) -> None:
        """Ignore the timeout, because the clock applies."""

    def fileno(self) -> int:
        return self._socket.fileno()

    def _handshake(self, ssl_context: ssl.SSLContext, server_hostname: str | None) -> None:
        with self._sockets.lock:
            # wrap_socket detaches the first socket. The lock keeps `close` from shutting down the detached one.
            self._socket = secured = ssl_context.wrap_socket(
                self._socket, server_hostname=server_hostname, do_handshake_on_connect=False
            )
        self._sockets.check_open()
        secured.settimeout(_CLOCK.get().left())
        secured.do_handshake()


class _InnerTls(TLSinTLSStream):
    """TLS to the provider inside TLS to a proxy."""

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        _CLOCK.get().begin()
        super().write(buffer, timeout)


def _look_up(host: str, port: int) -> Sequence[_Address]:
    return socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)


def _tell(found: "Future[Sequence[_Address]]", host: str, port: int) -> None:
    with suppress(InvalidStateError):
        try:
            found.set_result(_look_up(host, port))
        except Exception as error:  # noqa: BLE001 - it is raised again in the thread that waits
            found.set_exception(error)
