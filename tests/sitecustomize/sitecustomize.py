"""Block every connection that leaves this machine.

Python imports a module of this name at start-up when its folder is on PYTHONPATH. `make test`
puts it there, so that kernels and other Python children of the tests inherit the block. Loopback
and Unix sockets stay open: Jupyter talks to its kernels through them.
"""

import ipaddress
import socket

_LOCAL_NAMES = {"localhost", "localhost.localdomain", "ip6-localhost", ""}
_original = {
    name: getattr(socket.socket, name, None)
    for name in ("connect", "connect_ex", "sendto", "sendmsg")
}
_getaddrinfo = socket.getaddrinfo


class OutsideNetworkError(OSError):
    """A test or notebook tried to reach another machine."""


def _is_local(host: object) -> bool:
    if host is None:
        return True
    text = host.decode() if isinstance(host, bytes) else str(host)
    if text.lower() in _LOCAL_NAMES or text == socket.gethostname():
        return True
    try:
        address = ipaddress.ip_address(text.split("%")[0])
    except ValueError:
        return False
    return address.is_loopback or address.is_unspecified


def _refuse(host: object) -> None:
    raise OutsideNetworkError(
        f"The tests run without a network, and something tried to reach {host!r}. "
        "Use a bundled model or a file in the repository instead."
    )


def _check(sock: socket.socket, address: object) -> None:
    inet = sock.family in (socket.AF_INET, socket.AF_INET6)
    if inet and isinstance(address, tuple) and not _is_local(address[0]):
        _refuse(address[0])


def _connect(self, address):
    _check(self, address)
    return _original["connect"](self, address)


def _connect_ex(self, address):
    _check(self, address)
    return _original["connect_ex"](self, address)


def _sendto(self, data, *arguments):
    _check(self, arguments[-1])
    return _original["sendto"](self, data, *arguments)


def _sendmsg(self, buffers, ancdata=(), flags=0, address=None):
    if address is None:
        return _original["sendmsg"](self, buffers, ancdata, flags)
    _check(self, address)
    return _original["sendmsg"](self, buffers, ancdata, flags, address)


def _resolve(host, *arguments, **keywords):
    if not _is_local(host):
        _refuse(host)
    return _getaddrinfo(host, *arguments, **keywords)


def block() -> None:
    """Install the block in this process; calling it again changes nothing."""
    socket.socket.connect = _connect
    socket.socket.connect_ex = _connect_ex
    socket.socket.sendto = _sendto
    if hasattr(socket.socket, "sendmsg"):  # missing on Windows
        socket.socket.sendmsg = _sendmsg
    socket.getaddrinfo = _resolve


block()
