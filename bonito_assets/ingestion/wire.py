"""How a worker and the step that feeds it talk: frames over one socket pair.

A frame is one letter, eight bytes of length, and as many bytes. To the worker: ``S`` the settings,
once; ``J`` a job, followed by the bytes or the descriptor of each of its files. From the worker:
``S`` it has started; ``B`` a file or a member begins; ``R`` rows, as an Arrow record batch; ``A``
it goes on, with nothing to show yet; ``E`` a file has ended; ``D`` the job is done; ``X`` our own
code failed. ``B``, ``A`` and ``E`` tell how many rows of the file were left out so far. Nothing
that is unpickled ever crosses it.
"""

from __future__ import annotations

import socket
import struct

import orjson

_HEAD = struct.Struct("!cQ")


class Closed(EOFError):
    """The other side is gone."""


def send(connection: socket.socket, kind: bytes, payload: bytes | memoryview = b"") -> None:
    """Sends one frame."""
    connection.sendall(_HEAD.pack(kind, len(payload)))
    if len(payload):
        connection.sendall(payload)


def send_json(connection: socket.socket, kind: bytes, value: object) -> None:
    """Sends one frame of plain values."""
    send(connection, kind, orjson.dumps(value))


def receive(connection: socket.socket) -> tuple[bytes, bytearray]:
    """Gives kind and content of the next frame; raises ``Closed`` at the end."""
    kind, length = _HEAD.unpack(receive_bytes(connection, _HEAD.size))
    return kind, receive_bytes(connection, length)


def receive_bytes(connection: socket.socket, length: int) -> bytearray:
    """Gives the next `length` bytes; raises ``Closed`` when they end before."""
    content = bytearray(length)
    view, got = memoryview(content), 0
    while got < length:
        n = connection.recv_into(view[got:])
        if not n:
            raise Closed
        got += n
    return content


def load_json(content: bytes | bytearray) -> object:
    """Gives the values of a frame that ``send_json`` sent."""
    return orjson.loads(content)
