"""Connections of a run's processes to its first one: who does not come, and who ends too soon.

JAX's own service leaves processes whose peer was killed at the start waiting for minutes, and then aborts.
"""

import contextlib
import math
import os
import select
import socket
import sys
import threading
import time
from collections.abc import Iterator, Mapping

from lib.errors import ConfigError

_ALL_HERE, _END, _LOST = b"\1", b"\2", b"\3"  # what processes say; after _LOST comes the number of one
_ID_BYTES = 4
_SECONDS_TO_HEAR_IT = 0.3
_SECONDS_BETWEEN_TRIES = 0.2
_SECONDS_WITHOUT_A_WORD = 5.0
_KEEPALIVE = {"TCP_KEEPIDLE": 30, "TCP_KEEPINTVL": 10, "TCP_KEEPCNT": 6}  # seconds, seconds, times


@contextlib.contextmanager
def meeting(coordinator: str, num_processes: int, process_id: int, seconds: float) -> Iterator[None]:
    """Meets the other processes, and watches until the block ends that none of them ends before.

    If one does, this process prints that and ends at once: it could only wait for the other.

    Args:
      coordinator: HOST:PORT of process 0; the port is free again when all have met.
      num_processes: how many there are.
      process_id: which one this is.
      seconds: how long to wait for the others.

    Raises:
      ConfigError: some do not come, or the port cannot be listened on.
    """
    host, _, port = coordinator.rpartition(":")
    host = host.strip("[]")  # of IPv6
    until = time.monotonic() + seconds
    if process_id == 0:
        peers = _receive(int(port), num_processes, until, seconds)
    else:
        peers = {0: _join(host, int(port), process_id, until, seconds)}
    for peer in peers.values():
        peer.settimeout(None)
        peer.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        for option, value in _KEEPALIVE.items():
            peer.setsockopt(socket.IPPROTO_TCP, getattr(socket, option), value)
    threading.Thread(target=_watch, args=(dict(peers),), daemon=True).start()
    try:
        yield
    finally:
        for peer in peers.values():
            with contextlib.suppress(OSError):
                peer.sendall(_END)


def _receive(port: int, num_processes: int, until: float, seconds: float) -> dict[int, socket.socket]:
    """Waits for all other processes, as the first one; returns {process: its connection}."""
    peers: dict[int, socket.socket] = {}
    missing = set(range(1, num_processes))
    speak_at = time.monotonic() + _SECONDS_WITHOUT_A_WORD
    with _listening(port) as listener:
        while missing:
            ready, _, _ = select.select([listener, *peers.values()], [], [], _SECONDS_BETWEEN_TRIES)
            for process, peer in peers.items():
                if peer in ready:  # before all are here, they say nothing: it has ended
                    others = {number: other for number, other in peers.items() if number != process}
                    _tell(others, process)
                    raise ConfigError(_ended(process), "--distributed")
            if listener in ready:
                connection, _ = listener.accept()
                connection.settimeout(_SECONDS_WITHOUT_A_WORD)
                process = _number(connection)
                if process not in missing:
                    connection.close()  # none of this run, or twice the same
                    continue
                peers[process] = connection
                missing.remove(process)
            if missing and time.monotonic() > speak_at:
                print(f"waiting for {_named(missing)} of {num_processes}", flush=True)
                speak_at = math.inf
            if missing and time.monotonic() > until:
                _tell(peers, min(missing))
                raise ConfigError(f"{_named(missing)} did not come in {seconds:.0f} s", "--distributed")
    for peer in peers.values():
        with contextlib.suppress(OSError):  # whoever has ended meanwhile is found by `_watch`
            peer.sendall(_ALL_HERE)
    return peers


def _join(host: str, port: int, process_id: int, until: float, seconds: float) -> socket.socket:
    """Meets process 0, and waits until it has met all; returns the connection to it."""
    while True:
        try:
            connection = socket.create_connection((host, port), timeout=_SECONDS_WITHOUT_A_WORD)
            break
        except UnicodeError as error:
            raise ConfigError(f"'{host}' is no name of a machine", "--coordinator") from error
        except OSError as error:
            if time.monotonic() > until:
                text = f"process 0 did not come to {host}:{port} in {seconds:.0f} s ({error})"
                raise ConfigError(text, "--distributed") from error
            time.sleep(_SECONDS_BETWEEN_TRIES)
    with contextlib.suppress(OSError):  # process 0 may end before it takes the connection
        connection.sendall(process_id.to_bytes(_ID_BYTES))
    connection.settimeout(max(until - time.monotonic(), 0) + 2 * _SECONDS_WITHOUT_A_WORD)
    word = _read(connection, 1)
    if word != _ALL_HERE:
        lost = _number(connection) if word == _LOST else 0
        raise ConfigError(_ended(lost), "--distributed")
    return connection


@contextlib.contextmanager
def _listening(port: int) -> Iterator[socket.socket]:
    """Listens on a port, as JAX's service will."""
    bound_to, _, _ = os.environ.get("JAX_COORDINATOR_BIND_ADDRESS", "").rpartition(":")
    bound_to = bound_to.strip("[]")
    both = not bound_to and socket.has_dualstack_ipv6()
    family = socket.AF_INET6 if both or ":" in bound_to else socket.AF_INET
    try:
        listener = socket.create_server(
            (bound_to, port), family=family, backlog=128, reuse_port=True, dualstack_ipv6=both
        )
    except (OSError, OverflowError) as error:
        raise ConfigError(
            f"cannot listen on port {port} ({error}); use another", "--coordinator"
        ) from error
    with listener:
        yield listener


def _watch(peers: Mapping[int, socket.socket]) -> None:
    """Ends this process when another ends without a word."""
    left = dict(peers)
    while left:
        ready, _, _ = select.select(list(left.values()), [], [])
        for process, peer in list(left.items()):
            if peer in ready:
                word = _read(peer, 1)
                del left[process]
                if word != _END:
                    lost = _number(peer) if word == _LOST else process
                    _tell(left, lost)
                    end_without(f"process {lost}")


def _tell(peers: Mapping[int, socket.socket], lost: int) -> None:
    """Tells the others which process has ended, and lets them end first: they say so too."""
    for peer in peers.values():
        with contextlib.suppress(OSError):
            peer.sendall(_LOST + lost.to_bytes(_ID_BYTES))
    time.sleep(_SECONDS_TO_HEAR_IT if peers else 0)


def end_without(lost: str) -> None:
    """Ends this process at once, with a line that says which other one is gone."""
    line = f"error: {lost} of this run has ended; start all of them again, and they go on from the newest"
    print(f"{line} checkpoint", file=sys.stderr, flush=True)
    os._exit(1)


def _read(connection: socket.socket, n: int) -> bytes | None:
    """Reads n bytes; None where the other side is gone."""
    try:
        return connection.recv(n, socket.MSG_WAITALL) or None
    except OSError:
        return None


def _number(connection: socket.socket) -> int:
    """Reads the number of a process; 0 where the other side is gone."""
    return int.from_bytes(_read(connection, _ID_BYTES) or b"")


def _ended(process: int) -> str:
    return f"process {process} did not come, or has ended while the others started; see its output"


def _named(processes: set[int]) -> str:
    numbers = ", ".join(map(str, sorted(processes)))
    return f"process {numbers}" if len(processes) == 1 else f"processes {numbers}"
