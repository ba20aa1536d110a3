"""A connection as clients have it: MQTT on TCP, TLS, WebSocket or both, without blocking once it stands.

TLS is Python's `ssl`, WebSocket a few lines of RFC 6455: nothing of the broker's own code is asked whether it is right.
"""

import base64
import os
import select
import socket
import ssl
import struct

import mqtt
from fleet import new_socket, reset

TRANSPORTS = ("tcp", "tls", "ws", "wss")
OPEN_S = 15
BINARY, CLOSE, PING, PONG = 2, 8, 9, 10
MASK = 0x80  # with a key of zeros: masked as clients have to, and what is sent is what is there


class Gone(Exception):
    """The connection is over."""


def upgrade(sock, host):
    """Asks for WebSocket; returns what came behind the answer."""
    key = base64.b64encode(os.urandom(16)).decode()
    sock.sendall(
        f"GET /mqtt HTTP/1.1\r\nHost: {host}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Key: {key}\r\n"
        f"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Protocol: mqtt\r\n\r\n".encode()
    )
    data = b""
    while b"\r\n\r\n" not in data:
        part = sock.recv(4096)
        if not part:
            raise Gone("closed in the upgrade")
        data += part
    head, rest = data.split(b"\r\n\r\n", 1)
    if b" 101 " not in head.split(b"\r\n", 1)[0]:
        raise Gone(f"no WebSocket: {head[:60]!r}")
    return rest


class Link:
    """One connection. `feed` gives the packets that have come, `send` keeps what the socket does not take."""

    def __init__(self, transport, ports, source, authority, receive_bytes=None):
        self.websocket = transport in ("ws", "wss")
        self.reader, self.out, self.frames = mqtt.Reader(), b"", b""
        raw = new_socket(source, receive_bytes)
        raw.settimeout(OPEN_S)
        try:
            raw.connect(("127.0.0.1", ports[transport]))
            if transport in ("tls", "wss"):
                raw = authority.wrap_socket(raw, server_hostname="localhost")
            self.sock = raw
            if self.websocket:
                self.frames = upgrade(raw, "localhost")
        except (OSError, Gone) as error:
            raw.close()
            raise Gone(str(error)) from error
        raw.setblocking(False)

    def fileno(self):
        return self.sock.fileno()

    def send(self, data):
        if self.websocket and data:
            data = self._frame(BINARY, data)
        self.out += data
        self.flush()

    @staticmethod
    def _frame(opcode, data):
        size = len(data)
        if size < 126:
            head = bytes([0x80 | opcode, MASK | size])
        elif size < 1 << 16:
            head = bytes([0x80 | opcode, MASK | 126]) + struct.pack(">H", size)
        else:
            head = bytes([0x80 | opcode, MASK | 127]) + struct.pack(">Q", size)
        return head + bytes(4) + data

    def flush(self):
        while self.out:
            try:
                self.out = self.out[self.sock.send(self.out):]
            except (BlockingIOError, ssl.SSLWantWriteError, ssl.SSLWantReadError):
                return
            except OSError as error:
                raise Gone(str(error)) from error

    def wants(self):
        """What epoll is to wait for."""
        return select.EPOLLIN | (select.EPOLLOUT if self.out else 0)

    def feed(self):
        """Packets that have come. Raises Gone behind the last one of a connection that is over."""
        over = None
        data = b""
        while True:  # until TLS has nothing more either: the socket does not tell of what lies there
            try:
                part = self.sock.recv(1 << 16)
            except (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError):
                break
            except OSError as error:
                over = Gone(str(error))
                break
            if not part:
                over = Gone("closed by the broker")
                break
            data += part
        if self.websocket:
            data, over = self._payload(data, over)
        yield from self.reader.feed(data)
        if over:
            raise over

    def _payload(self, data, over):
        """The payload of frames that are whole, with answers to those of control."""
        self.frames += data
        payload = b""
        while len(self.frames) >= 2:
            opcode, size, at = self.frames[0] & 15, self.frames[1] & 0x7F, 2
            wide = {126: 2, 127: 8}.get(size, 0)
            if len(self.frames) < at + wide:
                break
            if wide:
                size, at = int.from_bytes(self.frames[2 : 2 + wide], "big"), at + wide
            if len(self.frames) < at + size:
                break
            body, self.frames = self.frames[at : at + size], self.frames[at + size :]
            if opcode == PING:
                self.out += self._frame(PONG, body)
            elif opcode == CLOSE:
                over = Gone("closed by the broker")
            elif opcode != PONG:
                payload += body
        return payload, over

    def close(self, how):
        """Ends it: `reset`, `half` (our side only, then all), or `close`."""
        try:
            if how == "half":
                # Past TLS: an end without close_notify.
                socket.socket.shutdown(self.sock, socket.SHUT_WR)
        except OSError:
            pass
        if how == "reset":
            reset(self.sock)
        else:
            self.sock.close()
