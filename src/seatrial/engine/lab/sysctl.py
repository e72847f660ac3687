"""Settings of network devices. /proc/sys/net is that of the calling thread's own namespace."""

from __future__ import annotations

import contextlib
from pathlib import Path


def no_ipv6(device: str) -> None:
    """Leave no second way around a cut."""
    with contextlib.suppress(FileNotFoundError):
        _set(f"ipv6/conf/{device}/disable_ipv6", "1")


def no_reverse_path_filter(device: str) -> None:
    """Take packets from the device also when the way back leads elsewhere (RFC 3704).

    The way back of a shaped link leads into the TUN device. The kernel takes the larger of the
    device's setting and that for `all`, and new namespaces may inherit 1 from the host.
    """
    for name in ("all", device):
        _set(f"ipv4/conf/{name}/rp_filter", "0")


def _set(name: str, value: str) -> None:
    Path(f"/proc/sys/net/{name}").write_text(value, encoding="ascii")
