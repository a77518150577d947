"""A peer that is gone without a word, as a machine that sleeps or a path that drops packets."""

import ctypes
import socket
import struct

# linux/filter.h and asm-generic/socket.h
_RETURN_NOTHING = struct.pack("HBBI", 0x06, 0, 0, 0)
_SO_ATTACH_FILTER = 26


def vanish(sock: socket.socket) -> None:
    """Have the kernel drop whatever comes for ``sock`` from now on, so that nothing is answered."""
    code = ctypes.create_string_buffer(_RETURN_NOTHING, len(_RETURN_NOTHING))
    program = struct.pack("HL", 1, ctypes.addressof(code))
    sock.setsockopt(socket.SOL_SOCKET, _SO_ATTACH_FILTER, program)
