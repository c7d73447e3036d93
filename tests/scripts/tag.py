"""Makes a link tag what it sends as a VLAN does in hardware: beside the frame, not in it.

A program of ten instructions on the link's egress gives every packet with a mark the tag that its mark says: the lower
16 bits are the tag's control field, the upper ones are not 0 for 802.1ad. A driver that offers to insert tags is handed
the frame and the tag; the other end of a veth gets them so, as from a driver that strips tags. It stays for as long as
this runs.
"""

import ctypes
import os
import platform
import signal
import socket
import struct
import sys

SYSCALL = {"x86_64": 321, "aarch64": 280}[platform.machine()]
PROG_LOAD, LINK_CREATE = 5, 28
SCHED_CLS, TCX_EGRESS = 3, 47
VLAN_PUSH = 18


def instruction(code, target=0, source=0, offset=0, value=0):
    return struct.pack("=BBhi", code, source << 4 | target, offset, value)


PROGRAM = [
    instruction(0x61, target=6, source=1, offset=8),  # r6 = mark
    instruction(0x15, target=6, offset=6),  # without one: to the end
    instruction(0xB7, target=2, value=socket.htons(0x8100)),
    instruction(0xBF, target=3, source=6),
    instruction(0x57, target=3, value=0xFFFF),
    instruction(0xB5, target=6, offset=1, value=0xFFFF),  # at most that: an 802.1Q tag
    instruction(0xB7, target=2, value=socket.htons(0x88A8)),
    instruction(0x85, value=VLAN_PUSH),
    instruction(0xB7, target=0, value=0),
    instruction(0x95),
]


def bpf(command, attributes):
    buffer = ctypes.create_string_buffer(attributes, len(attributes))
    libc = ctypes.CDLL(None, use_errno=True)
    result = libc.syscall(SYSCALL, command, buffer, len(attributes))
    if result < 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    return result


code = ctypes.create_string_buffer(b"".join(PROGRAM))
licence = ctypes.create_string_buffer(b"GPL")
load = struct.pack("=IIQQIIQII", SCHED_CLS, len(PROGRAM), ctypes.addressof(code), ctypes.addressof(licence), 0, 0, 0, 0, 0)
program = bpf(PROG_LOAD, load)
bpf(LINK_CREATE, struct.pack("=IIIIIIQ", program, socket.if_nametoindex(sys.argv[1]), TCX_EGRESS, 0, 0, 0, 0))
print("attached", flush=True)
signal.pause()
