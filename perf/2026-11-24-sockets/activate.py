#!/usr/bin/env python3
"""Starts a broker with a listening socket that is set up here: activate.py PORT OPTIONS PROGRAM ARGUMENT...

OPTIONS: none, or some of lowat=KIB,send=KIB,receive=KIB. The broker takes the socket over (LISTEN_FDS)."""

import os
import socket
import sys

port, options, *command = sys.argv[1:]
listener = socket.socket()
listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
names = {"lowat": (socket.IPPROTO_TCP, 25), "send": (socket.SOL_SOCKET, socket.SO_SNDBUF),
         "receive": (socket.SOL_SOCKET, socket.SO_RCVBUF)}
for part in options.split(",") if options != "none" else []:
    name, kib = part.split("=")
    listener.setsockopt(*names[name], int(kib) << 10)
listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
listener.bind(("127.0.0.1", int(port)))
listener.listen(4096)
os.dup2(listener.fileno(), 3)
os.set_inheritable(3, True)
os.environ["LISTEN_FDS"], os.environ["LISTEN_PID"] = "1", str(os.getpid())
os.execv(command[0], command)
