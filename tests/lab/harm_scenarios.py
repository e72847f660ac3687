"""Scenarios of the lab's own file system, and of what faults would leave behind (see `inner`)."""

from __future__ import annotations

import asyncio
import errno
import mmap
import os
from collections.abc import Callable
from pathlib import Path

from seatrial import vdso
from seatrial.engine.lab.world import Lab
from seatrial.fault import Burn, DiskRule, VolumeNeed
from tests.lab.tiny import TinyTarget


def _lab(isolation: str, folder: Path, need: VolumeNeed) -> Lab:
    return Lab(
        TinyTarget(),
        ("n1", "n2", "n3"),
        scratch=folder / "data",
        logs=folder / "logs",
        isolation=isolation,
        volumes=need,
    )


async def volumes(isolation: str, folder: Path) -> None:
    """The mounted file system does what a file system does, and forgets what was not synced."""
    async with _lab(isolation, folder, VolumeNeed("fuse", "journalled")) as lab:
        there = lab.nodes[0].data_dir
        await asyncio.to_thread(_use, there)
        await lab.world.kill("n1")
        await lab.world.cut_disk_power("n1")
        assert (await lab.world.restore_disk_power("n1"))["names"]
        await asyncio.to_thread(_look_again, there)
        await lab.world.restart("n1")
        assert await lab.world.ready("n1", 10.0)
        assert lab.audit() == ()


def _use(there: Path) -> None:
    (there / "folder").mkdir()
    for number in range(300):  # more than one answer of READDIR holds
        (there / "folder" / f"{'n' * 100}-{number}").write_bytes(b"x" * number)
    assert len(os.listdir(there / "folder")) == 300
    big = os.urandom(3 << 20)
    (there / "big").write_bytes(big)
    assert (there / "big").read_bytes() == big
    with (there / "big").open("r+b") as file, mmap.mmap(file.fileno(), 0) as view:
        assert view[: 1 << 16] == big[: 1 << 16]
        view[4096:4100] = b"MMAP"
        view.flush()
    assert (there / "big").read_bytes()[4090:4110] == big[4090:4096] + b"MMAP" + big[4100:4110]
    os.truncate(there / "big", 5000)
    assert (there / "big").stat().st_size == 5000
    os.symlink("big", there / "link")
    assert os.readlink(there / "link") == "big" and (there / "link").stat().st_size == 5000
    os.link(there / "big", there / "hard")
    assert (there / "big").stat().st_nlink == 2
    (there / "hard").rename(there / "moved")
    (there / "moved").chmod(0o640)
    assert (there / "moved").stat().st_mode & 0o777 == 0o640
    os.utime(there / "moved", ns=(10**18, 2 * 10**18))
    assert (there / "moved").stat().st_mtime_ns == 2 * 10**18
    for number, act in (
        (errno.ENOENT, lambda: (there / "nothing").read_bytes()),
        (errno.ENOTEMPTY, lambda: (there / "folder").rmdir()),
        (errno.EEXIST, lambda: (there / "folder").mkdir()),
        (errno.EISDIR, lambda: (there / "moved").rename(there / "folder")),
    ):
        _refused(number, act)
    unlinked = os.open(there / "moved", os.O_RDONLY)
    (there / "moved").unlink()
    (there / "big").unlink()
    assert os.read(unlinked, 4) == big[:4], "an open file outlives its names"
    os.close(unlinked)
    _write_for_later(there)


def _refused(number: int, act: Callable[[], object]) -> None:
    try:
        act()
    except OSError as error:
        assert error.errno == number, error
        return
    raise AssertionError(f"not refused with {errno.errorcode[number]}")


def _write_for_later(there: Path) -> None:
    """Some of it on the disk, some of it not."""
    flags = os.O_RDWR | os.O_CREAT
    for name, extra in (("synced", 0), ("at-once", os.O_DSYNC)):
        file = os.open(there / name, flags | extra, 0o600)
        os.write(file, b"on the disk")
        if not extra:
            os.fsync(file)
        os.close(file)
    file = os.open(there / "synced", os.O_RDWR)
    os.posix_fallocate(file, 0, 1 << 16)
    os.pwrite(file, b"IN THE CACHE", 3)
    os.close(file)
    (there / "late").write_text("never synced")
    (there / "folder" / ("n" * 100 + "-7")).unlink()


def _look_again(there: Path) -> None:
    assert (there / "synced").read_bytes() == b"on the disk"
    assert (there / "at-once").read_bytes() == b"on the disk"
    assert not (there / "late").exists()
    assert len(os.listdir(there / "folder")) == 300, "the name is back"


async def left_behind(isolation: str, folder: Path) -> None:
    """Whatever a fault leaves is in the audit, is undone by healing, and ends with the lab."""
    async with _lab(isolation, folder, VolumeNeed("fuse")) as lab:
        world = lab.world
        await world.rule_disk("n1", "late", (DiskRule(("fsync",), latency_s=0.01),))
        await world.limit_disk("n2", "full", 0)
        await world.cut_disk_power("n3")
        await world.burn("n1", "hot", Burn(2, load_percent=50))
        await world.burn("n2", "big", Burn(1, memory_bytes=8 << 20))
        expected = [
            "the volume of n2 is still limited",
            "late still acts on the disk of n1",
            "the disk of n3 is still without power",
            "hot still takes resources beside n1",
            "big still takes resources beside n2",
        ]
        if not vdso.why_not():
            await world.shift_clock("n3", "wrong", 10**12)
            expected.append("the clock of n3 is still off")
        assert set(expected) <= set(lab.audit()), lab.audit()
        assert (await world.fill_disk("n2", 1 << 20)).errno == errno.ENOSPC
        await lab.heal_everything()
        assert lab.audit() == ()
        assert (await world.fill_disk("n2", 1 << 20)).errno == 0
        pid = world.pid("n1")
        assert pid is not None
        assert os.sched_getaffinity(pid) == os.sched_getaffinity(0)
        await world.burn("n1", "again", Burn(1, load_percent=50))
        burning = await world.burnt("n1", "again", 0.2)
        assert burning.processes == 1 and burning.ran_s + burning.waited_s > 0.02
    assert not (folder / "data").exists()
