"""A real uvicorn on a loopback socket, and clients that send no request, half of one, or one without end."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import pytest
import uvicorn
from starlette.responses import PlainTextResponse, Response

from sightline.serving.connections import BoundedConnection, bound_connections, most_connections

HEAD = b"GET / HTTP/1.1\r\nHost: here\r\n"
LARGE = b"x" * 2**25  # more than the buffers of both sockets hold


async def app(scope: Any, receive: Any, send: Any) -> None:
    if scope["type"] == "websocket":
        await echo(receive, send)
        return
    while (await receive()).get("more_body"):
        pass
    await (Response(LARGE) if scope["path"] == "/large" else PlainTextResponse("yes"))(scope, receive, send)


async def echo(receive: Any, send: Any) -> None:
    """A websocket that sends back what it gets."""
    await receive()
    await send({"type": "websocket.accept"})
    while (message := await receive())["type"] == "websocket.receive":
        await send({"type": "websocket.send", "text": message["text"]})


@contextmanager
def serving(**bounds: Any) -> Iterator[int]:
    """The port of a server with other bounds than usual."""
    protocol = type("Bounded", (BoundedConnection,), bounds)
    config = uvicorn.Config(app, http=protocol, ws="auto", lifespan="off", log_config=None, timeout_keep_alive=60)
    server = uvicorn.Server(config)
    with socket.create_server(("127.0.0.1", 0)) as listening:
        thread = threading.Thread(target=server.run, args=([listening],), daemon=True)
        thread.start()
        try:
            yield listening.getsockname()[1]
        finally:
            server.should_exit = server.force_exit = True
            thread.join(20)
    assert not thread.is_alive()


def connect(port: int) -> socket.socket:
    return socket.create_connection(("127.0.0.1", port), timeout=20)


def rest(connection: socket.socket) -> bytes:
    """All that comes until the server closes; a TimeoutError where it does not."""
    received = b""
    try:
        while piece := connection.recv(2**16):
            received += piece
    except ConnectionResetError:
        pass
    return received


def ask(port: int) -> bytes:
    with connect(port) as connection:
        connection.sendall(HEAD + b"Connection: close\r\n\r\n")
        return rest(connection)


def assert_answered(answer: bytes) -> None:
    assert answer.startswith(b"HTTP/1.1 200 "), answer
    assert answer.endswith(b"yes"), answer


def feed(connection: socket.socket, piece: bytes, most: int) -> bytes:
    """Send a piece again and again; what comes back once the server has closed."""
    try:
        for _ in range(most):
            connection.sendall(piece)
    except (BrokenPipeError, ConnectionResetError):
        return b"closed"
    return rest(connection)


def test_a_connection_that_sends_nothing_is_closed() -> None:
    with serving(head_s=0.2) as port, connect(port) as connection:
        assert rest(connection) == b""
        assert_answered(ask(port))


@pytest.mark.parametrize("half", [b"GE", b"GET / HTTP/1.1\r\n", HEAD, HEAD + b"X-A: half of a line"])
def test_half_a_head_is_closed(half: bytes) -> None:
    with serving(head_s=0.2) as port, connect(port) as connection:
        connection.sendall(half)
        answer = rest(connection)
        assert answer == b"" or answer.startswith(b"HTTP/1.1 408 ")


def test_a_head_that_comes_byte_by_byte_gets_no_more_time_for_each() -> None:
    with serving(head_s=0.5) as port, connect(port) as connection:
        connection.settimeout(0.05)
        received = None
        for byte in HEAD * 20:  # 28 s, if each byte gave it another half second
            connection.sendall(bytes([byte]))
            try:
                received = connection.recv(2**10)
                break
            except TimeoutError:
                continue
        assert received is not None, "it was never closed"
        assert received.startswith(b"HTTP/1.1 408 ")


def test_half_a_second_request_on_the_same_connection_is_closed() -> None:
    with serving(head_s=0.2) as port, connect(port) as connection:
        connection.sendall(HEAD + b"\r\n")
        assert_answered(connection.recv(2**10))
        connection.sendall(b"\r\n")  # not even the beginning of one, and yet the pause between requests is over
        assert rest(connection).startswith(b"HTTP/1.1 408 ")


def test_a_body_may_take_longer_than_a_head() -> None:
    with serving(head_s=0.2) as port, connect(port) as connection:
        connection.sendall(b"POST / HTTP/1.1\r\nHost: here\r\nConnection: close\r\nContent-Length: 4\r\n\r\n")
        for byte in b"abcd":
            time.sleep(0.1)
            connection.sendall(bytes([byte]))
        assert_answered(rest(connection))


@pytest.mark.parametrize(
    "line",
    [b"X-A: b\r\n", b"X-A: " + b"b" * 3000 + b"\r\n"],
    ids=["short lines", "long lines"],
)
def test_a_head_without_end_is_refused(line: bytes) -> None:
    with serving() as port, connect(port) as connection:
        connection.sendall(HEAD)
        answer = feed(connection, line, 2**25 // len(line))
        assert answer == b"closed" or answer.startswith(b"HTTP/1.1 431 ")


@pytest.mark.parametrize("begun", [b"GET /", HEAD + b"X-A: ", HEAD + b"X-"], ids=["address", "value", "name"])
def test_a_line_without_end_is_refused(begun: bytes) -> None:
    with serving() as port, connect(port) as connection:
        connection.sendall(begun)
        answer = feed(connection, b"b" * 2**12, 2**13)
        assert answer == b"closed" or answer.startswith((b"HTTP/1.1 431 ", b"HTTP/1.1 400 "))


def test_a_trailer_without_end_is_refused() -> None:
    with serving() as port, connect(port) as connection:
        connection.sendall(b"POST / HTTP/1.1\r\nHost: here\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n")
        assert feed(connection, b"X-A: " + b"b" * 3000 + b"\r\n", 2**13) in (b"", b"closed")


def test_a_whole_head_that_is_too_long_says_so() -> None:
    with serving() as port, connect(port) as connection:
        connection.sendall(HEAD + b"X-A: " + b"b" * 40_000 + b"\r\n\r\n")
        answer = rest(connection)
        assert answer.startswith(b"HTTP/1.1 431 ")
        assert b"the head is too long" in answer


def test_heads_as_browsers_send_them_are_answered() -> None:
    with serving() as port, connect(port) as connection:
        for _ in range(20):  # what is counted begins anew with each request
            connection.sendall(HEAD + b"Cookie: " + b"b" * 7000 + b"\r\n\r\n")
            assert_answered(connection.recv(2**10))


def test_where_too_many_wait_the_oldest_makes_room() -> None:
    with serving(most=20) as port, ExitStack() as stack:
        idle = [stack.enter_context(connect(port)) for _ in range(60)]
        assert_answered(ask(port))
        idle[0].settimeout(20)
        assert rest(idle[0]) == b""
        idle[-1].sendall(HEAD + b"Connection: close\r\n\r\n")
        assert_answered(rest(idle[-1]))


def test_a_request_that_is_answered_is_not_closed_for_others() -> None:
    with serving(most=5) as port, connect(port) as working, ExitStack() as stack:
        working.sendall(b"POST / HTTP/1.1\r\nHost: here\r\nConnection: close\r\nContent-Length: 4\r\n\r\n")
        time.sleep(0.1)
        for _ in range(30):
            stack.enter_context(connect(port))
        assert_answered(ask(port))
        working.sendall(b"abcd")
        assert_answered(rest(working))


def test_an_answer_that_nobody_takes_is_given_up() -> None:
    with serving(send_s=0.2) as port, connect(port) as connection:
        connection.sendall(b"GET /large HTTP/1.1\r\nHost: here\r\n\r\n")
        time.sleep(1)
        assert len(rest(connection)) < len(LARGE)


def test_an_answer_that_is_taken_slowly_arrives_whole() -> None:
    with serving(send_s=0.2) as port, connect(port) as connection:
        connection.sendall(b"GET /large HTTP/1.1\r\nHost: here\r\nConnection: close\r\n\r\n")
        taken = 0
        while piece := connection.recv(2**21):
            taken += len(piece)
            time.sleep(0.02)
        assert taken > len(LARGE)


def test_a_server_that_chooses_no_protocol_gets_this_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(uvicorn.config, "HTTP_PROTOCOLS", dict(uvicorn.config.HTTP_PROTOCOLS))
    monkeypatch.setattr("resource.setrlimit", lambda *_: None)
    bound_connections()
    config = uvicorn.Config(app, ws="auto", log_config=None)
    config.load()
    assert config.http_protocol_class is BoundedConnection


def test_connections_leave_descriptors_to_others(monkeypatch: pytest.MonkeyPatch) -> None:
    for soft, most in ((1024, 512), (20_000, 1024), (-1, 1024)):
        monkeypatch.setattr("resource.getrlimit", lambda _, soft=soft: (soft, soft))
        assert most_connections() == most


UPGRADE = (
    b"GET / HTTP/1.1\r\nHost: here\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
    b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
)


def say(connection: socket.socket, word: bytes) -> bytes:
    """Send a frame of text, masked by nulls, and read one (RFC 6455, 5.2)."""
    connection.sendall(bytes([0x81, 0x80 | len(word)]) + bytes(4) + word)
    return connection.recv(2 + len(word))[2:]


def test_a_websocket_outlives_the_time_for_a_head_and_counts_as_a_connection() -> None:
    with serving(head_s=0.2, most=1) as port, connect(port) as connection:
        connection.sendall(UPGRADE)
        assert connection.recv(2**12).startswith(b"HTTP/1.1 101 ")
        assert say(connection, b"before") == b"before"
        time.sleep(0.5)
        assert say(connection, b"after") == b"after"
        with connect(port) as second:
            second.sendall(HEAD + b"\r\n")
            assert rest(second) == b""
        assert say(connection, b"still") == b"still"
