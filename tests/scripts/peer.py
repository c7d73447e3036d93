"""A host that sends what kernels do not send, and tells what arrives. One request a line, one answer a line.

| request | answer |
|---|---|
| `do STATEMENT` | `0`, after the statement: a name for later requests |
| `send FRAMES` | how many frames were sent: one, or a list of them, as they are |
| `heard CONDITION` | how many frames that arrived since `forget` are so; `p` is the frame |
| `show CONDITION` | the same frames, in words |
| `forget` | `0` |

Whatever fails is answered with `!` and the reason.
"""

import logging
import socket
import sys
import threading

logging.getLogger("scapy.runtime").setLevel(logging.ERROR)  # what it warns of is what is wanted

from scapy.all import *  # the names that the requests use

LINK = sys.argv[1]
names = globals()
arrived = []

sender = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
sender.bind((LINK, 0))
listener = conf.L2listen(iface=LINK)


def listen():
    while True:
        frame = listener.recv()
        if frame is not None:
            arrived.append(frame)


def send(frames):
    frames = frames if isinstance(frames, (list, PacketList)) else [frames]
    for frame in frames:
        sender.send(bytes(frame))
    return len(frames)


def those(condition):
    found = []
    for p in list(arrived):
        try:
            if eval(condition, {**names, "p": p}):
                found.append(p)
        except (IndexError, AttributeError):
            pass  # it has no such layer
    return found


def answer(request):
    verb, _, rest = request.partition(" ")
    if verb == "do":
        exec(rest, names)
        return 0
    if verb == "send":
        return send(eval(rest, names))
    if verb == "heard":
        return len(those(rest))
    if verb == "show":
        return "; ".join(frame.summary() for frame in those(rest))
    if verb == "forget":
        arrived.clear()
        return 0
    raise ValueError(f"no such request: {verb}")


threading.Thread(target=listen, daemon=True).start()
print("0", flush=True)
for line in sys.stdin:
    try:
        print(answer(line.rstrip("\n")), flush=True)
    except Exception as error:
        print(f"! {type(error).__name__}: {error}".replace("\n", " "), flush=True)
