"""Many connections of one process: opened a bounded number ahead of the broker's answers, and watched with epoll."""

import errno
import select
import socket
import struct
import time

import mqtt

CONNECT_S = 10
IP_BIND_ADDRESS_NO_PORT = 24
GONE = select.EPOLLRDHUP | select.EPOLLHUP | select.EPOLLERR
RECEIVE_BYTES = 1 << 18
AHEAD = 24  # of four processes less than the 100 that Mosquitto lets the kernel queue: beyond, connecting takes a second


def new_socket(source, receive_bytes=None):
    """An unconnected socket of this source address; its port is chosen when it connects."""
    sock = socket.socket()
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    sock.setsockopt(socket.IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, 1)
    if receive_bytes:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_bytes)
    if source:
        sock.bind((source, 0))
    return sock


def reset(sock):
    """Closes with a reset: no TIME_WAIT holds the port."""
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    except OSError:
        pass
    sock.close()


class Client:
    """One connection. `ready`: the broker has let it in; `maximum`: its receive maximum."""

    __slots__ = ("index", "sock", "reader", "version", "ready", "maximum", "out", "at", "reads")

    def __init__(self, index, sock, version):
        self.index, self.sock, self.version = index, sock, version
        self.reader = mqtt.Reader()
        self.ready, self.maximum, self.out, self.at, self.reads = False, 65535, b"", time.monotonic(), True


class Fleet:
    """`on_packet(client, first, body)` gets everything but CONNACK, `on_ready(client)` and `on_close(client)` the rest."""

    def __init__(self, worker):
        self.worker = worker
        self.poll = select.epoll()
        self.by_fd = {}
        self.waiting = 0
        self.refusals = {}
        self.on_packet = self.on_ready = self.on_close = lambda *_: None

    def open(self, index, opening, version=mqtt.V3, source=None, receive_bytes=None):
        """Connects and sends `opening`. None if the broker takes no connection."""
        self.worker.count("attempts")
        sock = new_socket(source or next(self.worker.sources), receive_bytes)
        sock.settimeout(CONNECT_S)
        try:
            sock.connect(("127.0.0.1", self.worker.port))
            sock.sendall(opening)
        except OSError as error:
            self._note(errno.errorcode.get(error.errno, "timeout"))
            sock.close()
            return None
        sock.setblocking(False)
        client = Client(index, sock, version)
        self.by_fd[sock.fileno()] = client
        self.poll.register(sock, select.EPOLLIN | select.EPOLLRDHUP)
        self.waiting += 1
        return client

    def open_all(self, number, opening, version=mqtt.V3, ahead=AHEAD, receive_bytes=None):
        """Opens clients 0 to number with the bytes that `opening(index)` gives, and waits for their answers a while."""
        for index in range(number):
            if self.worker.over:
                return
            self.open(index, opening(index), version, receive_bytes=receive_bytes)
            if self.waiting >= ahead or index % 32 == 0:
                self.turn(0)
            deadline = time.monotonic() + CONNECT_S
            while self.waiting >= ahead and time.monotonic() < deadline and not self.worker.over:
                self.turn(0.05)
        self.wait(lambda: self.waiting == 0, 2 * CONNECT_S)

    def wait(self, until, seconds):
        """Turns until a condition holds; whether it does."""
        deadline = time.monotonic() + seconds
        while not until() and time.monotonic() < deadline and not self.worker.over:
            self.turn(0.05)
        return until()

    def turn(self, timeout):
        """Handles what has come."""
        for fd, events in self.poll.poll(timeout):
            client = self.by_fd.get(fd)
            if client is None:
                continue
            if events & select.EPOLLOUT:
                self._flush(client)
            if client.reads and events & select.EPOLLIN:
                self._receive(client)
            elif events & GONE:
                self.close(client, lost=True)

    def _receive(self, client):
        try:
            data = client.sock.recv(RECEIVE_BYTES)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if not data:
            self.close(client, lost=True)
            return
        self.worker.count("received_bytes", len(data))
        for first, body in client.reader.feed(data):
            if first >> 4 == mqtt.CONNACK:
                self._connack(client, body)
            else:
                self.on_packet(client, first, body)

    def _connack(self, client, body):
        self.waiting -= not client.ready
        code, client.maximum = mqtt.connack(body, client.version)
        if code:
            self._note(f"0x{code:02X}")
            client.ready = True
            self.close(client)
            return
        client.ready = True
        self.worker.count("connected")
        self.on_ready(client)

    def _note(self, why):
        self.worker.count("refused")
        self.refusals[why] = self.refusals.get(why, 0) + 1

    def send(self, client, data):
        """Sends, or keeps what the socket does not take."""
        client.out += data
        self._flush(client)

    def _flush(self, client):
        try:
            sent = client.sock.send(client.out) if client.out else 0
        except BlockingIOError:
            sent = 0
        except OSError:
            self.close(client, lost=True)
            return
        self.worker.count("sent_bytes", sent)
        client.out = client.out[sent:]
        self.interest(client)

    def interest(self, client):
        """Tells epoll what the client waits for."""
        want = select.EPOLLRDHUP | (select.EPOLLIN if client.reads else 0) | (select.EPOLLOUT if client.out else 0)
        if client.sock.fileno() in self.by_fd:
            self.poll.modify(client.sock, want)

    def stop_reading(self, client):
        client.reads = False
        self.interest(client)

    def close(self, client, lost=False):
        """Ends a connection; `lost`: it was not we."""
        if self.by_fd.pop(client.sock.fileno(), None) is None:
            return
        if not client.ready:
            self.waiting -= 1
            if lost:
                self._note("closed before CONNACK")
        elif lost:
            self.worker.count("closed")
        reset(client.sock)
        if lost:
            self.on_close(client)

    def close_all(self):
        for client in list(self.by_fd.values()):
            self.close(client)
        self.poll.close()
