"""Connections are bounded: of those that nobody trusts yet the oldest gives way."""

import socket
from collections.abc import Callable, Iterator

import pytest

from k8s_audit_otlp.receiver.sources.listener import Listener

Connect = Callable[[], socket.socket]


@pytest.fixture
def listener() -> Iterator[Listener]:
    with Listener.at("127.0.0.1:0", most=2) as made:
        yield made


@pytest.fixture
def connect(listener: Listener) -> Iterator[Connect]:
    """Connect, and say something: the kernel keeps back who does not."""
    made: list[socket.socket] = []

    def one() -> socket.socket:
        made.append(socket.create_connection(listener.getsockname(), timeout=60))
        made[-1].sendall(b"x")
        return made[-1]

    yield one
    for client in made:
        client.close()


def has_ended(client: socket.socket) -> bool:
    try:
        return client.recv(1) == b""
    except ConnectionResetError:
        return True


def test_the_oldest_that_is_not_trusted_gives_way(listener: Listener, connect: Connect) -> None:
    """It sees the end of its connection; who is trusted stays, however old."""
    trusted = connect()
    kept, address = listener.accept()
    listener.trust(address)
    silent = connect()
    turned_away, _ = listener.accept()
    connect()
    third, _ = listener.accept()
    assert has_ended(silent)
    kept.sendall(b"y")
    assert trusted.recv(1) == b"y"
    for connection in (kept, turned_away, third):
        connection.close()


def test_where_all_are_trusted_the_newest_is_refused(listener: Listener, connect: Connect) -> None:
    """And let in once one of them has gone."""
    connect(), connect()
    accepted = [listener.accept() for _ in range(2)]
    for _, address in accepted:
        listener.trust(address)
    refused = connect()
    with pytest.raises(BlockingIOError):
        listener.accept()
    assert has_ended(refused)
    accepted[0][0].close()
    connect()
    another, _ = listener.accept()
    another.close()
    accepted[1][0].close()


def test_a_connection_that_was_turned_away_takes_no_other_out_of_the_count(
    listener: Listener, connect: Connect
) -> None:
    """It is closed later, when whoever reads from it sees its end."""
    clients = [connect() for _ in range(3)]
    first, second, third = (listener.accept()[0] for _ in range(3))
    assert has_ended(clients[0])
    first.close()
    connect()
    fourth, _ = listener.accept()  # two are open: again the oldest gives way
    assert has_ended(clients[1])
    for connection in (second, third, fourth):
        connection.close()


@pytest.mark.parametrize("endpoint", ["[::1]:0", ":0"])
def test_an_address_of_ipv6_and_every_interface_are_listened_at(endpoint: str) -> None:
    """As in Go: brackets for IPv6, no host for all."""
    try:
        listener = Listener.at(endpoint)
    except OSError:
        pytest.skip("there is no IPv6 here")
    with listener:
        port = listener.getsockname()[1]
        socket.create_connection(("::1" if "[" in endpoint else "127.0.0.1", port), 60).close()


def test_an_address_that_is_taken_is_refused() -> None:
    with Listener.at("127.0.0.1:0") as first:
        port = first.getsockname()[1]
        with pytest.raises(OSError, match="in use"):
            Listener.at(f"127.0.0.1:{port}")
