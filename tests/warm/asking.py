"""`asking.py SOCKET MODULE WORDS..`: `python -m MODULE WORDS..`, as a fork of the process that listens there."""

import json
import os
import signal
import socket
import sys

with socket.socket(socket.AF_UNIX) as connection:
    connection.connect(sys.argv[1])
    socket.send_fds(connection, [b"."], [0, 1, 2])
    order = {
        "words": sys.argv[2:],
        "folder": os.getcwd(),  # noqa: PTH109 (pathlib takes longer to import)
        "environment": dict(os.environ),
        "group": os.getpgrp(),
    }
    for number in (signal.SIGINT, signal.SIGTERM):  # handed on: the program ends in its own way, and we after it
        signal.signal(number, lambda number, _: connection.sendall(bytes([number])))
    connection.sendall(json.dumps(order).encode() + b"\n")
    told = connection.recv(16)
code = int(told or b"1")
sys.exit(code if code >= 0 else 128 - code)
