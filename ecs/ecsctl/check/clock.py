"""Is the clock synchronised? The kernel knows, whichever program keeps it."""

import ctypes
import os

from ecs.ecsctl.check.findings import Finding, not_checked, ok, warning

_NAME = "clock"
_FIX = "run chrony or systemd-timesyncd, and let it reach a time server"
_NEVER_SYNCHRONISED_SECONDS = 16.0
"""The kernel's estimate grows up to this when nobody corrects the clock, and starts there.

STA_UNSYNC says less: chrony without ``rtcsync`` leaves it set on a clock that is right.
"""


class _Timex(ctypes.Structure):
    """``struct timex`` of adjtimex(2), as far as it is read here, and room for the rest."""

    _fields_ = [
        ("modes", ctypes.c_uint),
        ("offset", ctypes.c_long),
        ("freq", ctypes.c_long),
        ("maxerror", ctypes.c_long),
        ("rest", ctypes.c_char * 256),
    ]


def check_clock() -> Finding:
    """Compare the kernel's largest possible error of the clock with that of an untended one."""
    try:
        error_seconds = _max_error_seconds()
    except (OSError, AttributeError) as error:  # no permission, or no such call in this libc
        return not_checked(_NAME, f"the kernel was not asked: {error}", "see `timedatectl`")
    return finding(error_seconds)


def finding(max_error_seconds: float) -> Finding:
    """Judge the kernel's estimate of how wrong the clock may be."""
    if max_error_seconds >= _NEVER_SYNCHRONISED_SECONDS:
        return warning(_NAME, "is synchronised by nobody, says the kernel", _FIX)
    return ok(_NAME, f"is synchronised, to {max_error_seconds:.3f} seconds at worst")


def _max_error_seconds() -> float:
    libc = ctypes.CDLL(None, use_errno=True)
    timex = _Timex()  # modes of 0: reads, and changes nothing
    if libc.adjtimex(ctypes.byref(timex)) < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
    return int(timex.maxerror) / 1e6
