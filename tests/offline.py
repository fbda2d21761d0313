"""Run Python where there is no network: in an empty namespace, of which only loopback is there (Linux).

python tests/offline.py -m pytest notebooks
"""

import errno
import fcntl
import os
import socket
import struct
import sys

INSIDE = "RUNS_WITHOUT_NETWORK"
UP, SET_FLAGS = 0x1, 0x8914  # IFF_UP and SIOCSIFFLAGS of Linux


def start_loopback():
    """A new namespace has its loopback interface switched off; Jupyter's kernels and Ray talk over it."""
    with socket.socket() as any_socket:
        fcntl.ioctl(any_socket, SET_FLAGS, struct.pack("16sh", b"lo", UP))


def check_cut_off():
    """Raise RuntimeError unless the rest of the world is out of reach."""
    with socket.socket() as outside:
        outside.settimeout(5)
        failed = outside.connect_ex(("1.1.1.1", 443))
    if failed != errno.ENETUNREACH:
        raise RuntimeError(f"The network is not cut off: connecting to the outside gave {os.strerror(failed)}.")


if __name__ == "__main__":
    if INSIDE not in os.environ:
        os.environ[INSIDE] = "1"
        os.execvp("unshare", ["unshare", "--net", "--map-root-user", sys.executable, *sys.argv])
    start_loopback()
    check_cut_off()
    os.execv(sys.executable, [sys.executable, *sys.argv[1:]])
