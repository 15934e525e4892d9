"""Messages between processes: eight bytes that say how long, and as many bytes."""

import socket
import struct


def send(talk: socket.socket, message: bytes) -> None:
    talk.sendall(struct.pack("<Q", len(message)) + message)


def receive(talk: socket.socket, limit: int = 2**40) -> bytes:
    """One message. Raises `EOFError` where the other side has gone, or says too much."""
    (size,) = struct.unpack("<Q", take(talk, 8))
    if size > limit:
        raise EOFError(f"a message of {size:,} bytes")
    return take(talk, size)


def take(talk: socket.socket, size: int) -> bytes:
    parts, left = [], size
    while left:
        try:
            part = talk.recv(min(left, 2**20))
        except OSError as error:
            raise EOFError("the other side has gone") from error
        if not part:
            raise EOFError("the other side has gone")
        parts.append(part)
        left -= len(part)
    return b"".join(parts)
