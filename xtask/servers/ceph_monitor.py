"""ceph_monitor.py CONF JSON…: commands to a Ceph monitor, by way of librados; the `ceph` program needs more."""
import ctypes
import sys

rados, handle = ctypes.CDLL("librados.so.2"), ctypes.c_void_p()


def check(code, what):
    if code < 0:
        sys.exit(f"{what}: {code}")


check(rados.rados_create(ctypes.byref(handle), b"admin"), "create")
check(rados.rados_conf_read_file(handle, sys.argv[1].encode()), "configuration")
for name in (b"rados_mon_op_timeout", b"client_mount_timeout"):
    rados.rados_conf_set(handle, name, b"120")
check(rados.rados_connect(handle), "connect")
for command in sys.argv[2:]:
    commands = (ctypes.c_char_p * 1)(command.encode())
    output, length = ctypes.c_char_p(), ctypes.c_size_t()
    status, status_length = ctypes.c_char_p(), ctypes.c_size_t()
    code = rados.rados_mon_command(
        handle, commands, ctypes.c_size_t(1), b"", ctypes.c_size_t(0),
        ctypes.byref(output), ctypes.byref(length), ctypes.byref(status), ctypes.byref(status_length),
    )
    said = ctypes.string_at(status, status_length.value).decode() if status_length.value else ""
    check(code, f"{command}: {said}")
