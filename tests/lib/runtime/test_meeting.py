"""The meeting of a run's processes: who is missing, and who ends too soon."""

import contextlib
import socket
import threading

import pytest
from conftest import reserved_address

from lib.errors import ConfigError
from lib.runtime import meeting as module
from lib.runtime.meeting import meeting

SECONDS = 3.0


@pytest.fixture
def address(monkeypatch):
    """Reserves the address where threads meet as processes."""
    with reserved_address() as reserved:
        monkeypatch.setenv("JAX_COORDINATOR_BIND_ADDRESS", reserved)
        yield reserved


class Peer(threading.Thread):
    """A process of a meeting, as a thread: comes, stays until it is let go, and keeps its error."""

    def __init__(self, address, n, i):
        super().__init__(daemon=True)
        self._where, self._met, self._go, self.error = (
            (address, n, i),
            threading.Event(),
            threading.Event(),
            "",
        )
        self.start()

    def run(self):
        try:
            with meeting(*self._where, SECONDS):
                self._met.set()
                self._go.wait(20)
        except ConfigError as error:
            self.error = str(error)

    def has_met(self) -> bool:
        return self._met.wait(10)

    def end(self) -> str:
        self._go.set()
        self.join(20)
        return self.error


def test_all_come_and_end_in_any_order(address, monkeypatch):
    lost = []
    monkeypatch.setattr(module, "end_without", lost.append)
    peers = [Peer(address, 3, i) for i in (2, 0, 1)]
    assert all(peer.has_met() for peer in peers)
    assert [peer.end() for peer in peers] == ["", "", ""]
    assert lost == []


def test_who_does_not_come_is_named_to_all(address):
    peers = [Peer(address, 4, i) for i in (0, 2)]
    first, other = (peer.end() for peer in peers)
    assert first == "--distributed: processes 1, 3 did not come in 3 s"
    assert "process 1 did not come" in other


def test_a_missing_process_0_is_named(address):
    assert "process 0 did not come" in Peer(address, 2, 1).end()


@contextlib.contextmanager
def by_hand(address, i):
    """Comes to the meeting as process i, to end without a word."""
    host, port = address.split(":")
    with socket.socket() as connection:
        connection.settimeout(10)
        while connection.connect_ex((host, int(port))):
            pass
        connection.sendall(i.to_bytes(4))
        yield connection


def test_who_ends_while_the_others_start_is_named(address):
    peers = [Peer(address, 4, i) for i in (0, 1)]
    with by_hand(address, 2):
        pass
    first, other = (peer.end() for peer in peers)
    assert "process 2 did not come, or has ended" in first
    assert "process 2" in other or "process 0 did not come" in other  # it came when that had ended


def test_a_process_0_that_ends_before_it_takes_the_connection_is_named(monkeypatch):
    connect, listener = socket.create_connection, socket.create_server(("127.0.0.1", 0))

    def connect_to_one_that_ends(*args, **kwargs):
        connection = connect(*args, **kwargs)
        listener.close()  # resets what it has not accepted
        with pytest.raises(ConnectionResetError):
            connection.recv(1)
        return connection

    monkeypatch.setattr(socket, "create_connection", connect_to_one_that_ends)
    host, port = listener.getsockname()
    assert "process 0 did not come, or has ended" in Peer(f"{host}:{port}", 2, 1).end()


def test_who_ends_without_a_word_ends_the_others(address, monkeypatch):
    lost, both = [], threading.Event()

    def end_without(process):
        lost.append(process)
        if len(lost) == 2:
            both.set()

    monkeypatch.setattr(module, "end_without", end_without)
    peers = [Peer(address, 3, i) for i in (0, 1)]
    with by_hand(address, 2) as connection:
        assert connection.recv(1) == b"\1"
        assert all(peer.has_met() for peer in peers)
    assert both.wait(10)
    assert lost == ["process 2", "process 2"]
    for peer in peers:
        peer.end()


def test_strangers_are_passed_over(address, monkeypatch):
    monkeypatch.setattr(module, "end_without", lambda process: None)
    peers = [Peer(address, 2, i) for i in (0,)]
    with by_hand(address, 7), by_hand(address, 0):
        peers.append(Peer(address, 2, 1))
        assert all(peer.has_met() for peer in peers)
    assert [peer.end() for peer in peers] == ["", ""]
