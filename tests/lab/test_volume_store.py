"""What a loss of power leaves, against a model that keeps a whole copy of the disk."""

from __future__ import annotations

import errno
import stat
import tempfile
from copy import deepcopy
from dataclasses import dataclass, field

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from seatrial.engine.lab.volume.store import BLOCK, ROOT, Metadata, Store

NAMES = (b"a", b"b", b"c")


@dataclass
class Model:
    """A directory by name → file number and the files' contents; the disk holds copies."""

    metadata: Metadata
    names: dict[bytes, int] = field(default_factory=dict)
    contents: dict[int, bytes] = field(default_factory=dict)
    disk_names: dict[bytes, int] = field(default_factory=dict)
    disk_contents: dict[int, bytes] = field(default_factory=dict)

    def sync(self, number: int) -> None:
        if number != ROOT:
            self.disk_contents[number] = self.contents[number]
        if number == ROOT or self.metadata == "journalled":
            self.disk_names = dict(self.names)

    def lose_power(self) -> None:
        self.names = dict(self.disk_names)
        self.contents = {n: self.disk_contents.get(n, b"") for n in self.names.values()}
        self.disk_contents = deepcopy(self.contents)


class Pair:
    """The store and the model, side by side."""

    def __init__(self, folder: str, metadata: Metadata) -> None:
        self.store, self.model = Store(folder, metadata), Model(metadata)

    def do(self, what: str, name: bytes, other: bytes, place: int, fill: int) -> None:
        model, store = self.model, self.store
        number = model.names.get(name)
        if what == "power":
            store.lose_power()
            model.lose_power()
        elif what == "sync-names":
            store.sync(ROOT)
            model.sync(ROOT)
        elif what == "create" and number is None:
            made = store.make(ROOT, name, stat.S_IFREG | 0o600, 0, 0)
            model.names[name], model.contents[made.number] = made.number, b""
        elif number is None:
            return
        elif what == "write":
            data = bytes([fill + 1]) * (1 + fill * 700)
            store.write(number, place, data)
            old = model.contents[number].ljust(place, b"\0")
            model.contents[number] = old[:place] + data + old[place + len(data) :]
        elif what == "truncate":
            store.truncate(number, place)
            model.contents[number] = model.contents[number][:place].ljust(place, b"\0")
        elif what == "allocate":
            store.allocate(number, 0, place, BLOCK)
            model.contents[number] = model.contents[number].ljust(place + BLOCK, b"\0")
        elif what == "sync":
            store.sync(number)
            model.sync(number)
        elif what == "unlink":
            store.unlink(ROOT, name)
            del model.names[name]
        elif what == "rename":
            store.rename(ROOT, name, ROOT, other, replace=True)
            if model.names.get(other) != number:  # two names of one file: nothing happens
                model.names[other] = number
                del model.names[name]
        elif what == "link" and other not in model.names:
            store.link(number, ROOT, other)
            model.names[other] = number

    def compare(self) -> None:
        assert self.store.inode(ROOT).names == self.model.names
        for name, number in self.model.names.items():
            content = self.model.contents[number]
            assert self.store.inode(number).size == len(content)
            assert self.store.read(number, 0, 1 << 20) == content
            links = sum(1 for each in self.model.names.values() if each == number)
            assert self.store.child(ROOT, name).links == links


STEP = st.tuples(
    st.sampled_from(
        (
            *("create", "write", "write", "truncate", "allocate", "sync"),
            *("sync-names", "unlink", "rename", "link", "power"),
        )
    ),
    st.sampled_from(NAMES),
    st.sampled_from(NAMES),
    st.integers(0, 3 * BLOCK),
    st.integers(0, 9),
)


@settings(max_examples=60, deadline=None)
@given(st.lists(STEP, max_size=40), st.sampled_from(("journalled", "strict")))
def test_what_is_there_is_what_the_model_holds(
    steps: list[tuple[str, bytes, bytes, int, int]], metadata: Metadata
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        pair = Pair(folder, metadata)
        for step in [*steps, ("power", b"a", b"a", 0, 0)]:
            pair.do(*step)
            pair.compare()
        assert pair.store.unsynced() == {"files": 0, "blocks": 0, "bytes_appended": 0, "names": 0}
        assert set(pair.store.inodes) == {ROOT, *pair.model.names.values()}, "nothing leaks"
        pair.store.close()


@pytest.mark.parametrize(("metadata", "survives"), [("journalled", True), ("strict", False)])
def test_a_synced_file_keeps_its_name_where_a_journal_is_kept(
    tmp_path: object, metadata: Metadata, survives: bool
) -> None:
    store = Store(str(tmp_path), metadata)
    folder = store.make(ROOT, b"d", stat.S_IFDIR | 0o700, 0, 0).number
    file = store.make(folder, b"f", stat.S_IFREG | 0o600, 0, 0).number
    store.write(file, 0, b"content")
    store.sync(file)

    lost = store.lose_power()

    assert (b"d" in store.inode(ROOT).names) is survives
    assert (lost["names"] == 0) is survives
    store.close()


def test_a_rename_over_a_file_that_was_not_synced_brings_the_old_one_back(
    tmp_path: object,
) -> None:
    store = Store(str(tmp_path), "journalled")
    for name, content in ((b"f", b"old"), (b"f.tmp", b"new")):
        number = store.make(ROOT, name, stat.S_IFREG | 0o600, 0, 0).number
        store.write(number, 0, content)
        store.sync(number)
    store.rename(ROOT, b"f.tmp", ROOT, b"f", replace=True)

    store.lose_power()

    assert store.read(store.child(ROOT, b"f").number, 0, 9) == b"old"
    assert store.read(store.child(ROOT, b"f.tmp").number, 0, 9) == b"new"
    store.close()


def test_names_are_refused_as_the_kernel_refuses_them(tmp_path: object) -> None:
    store = Store(str(tmp_path))
    store.make(ROOT, b"d", stat.S_IFDIR | 0o700, 0, 0)
    file = store.make(ROOT, b"f", stat.S_IFREG | 0o600, 0, 0).number
    inside = store.child(ROOT, b"d").number
    store.make(inside, b"x", stat.S_IFREG | 0o600, 0, 0)

    for number, act in (
        (errno.ENOENT, lambda: store.child(ROOT, b"nothing")),
        (errno.EEXIST, lambda: store.make(ROOT, b"f", stat.S_IFREG, 0, 0)),
        (errno.ENAMETOOLONG, lambda: store.make(ROOT, b"n" * 256, stat.S_IFREG, 0, 0)),
        (errno.EISDIR, lambda: store.unlink(ROOT, b"d")),
        (errno.ENOTEMPTY, lambda: store.rmdir(ROOT, b"d")),
        (errno.ENOTDIR, lambda: store.rmdir(ROOT, b"f")),
        (errno.ENOTDIR, lambda: store.child(file, b"x")),
        (errno.EEXIST, lambda: store.rename(ROOT, b"f", inside, b"x", replace=False)),
        (errno.EISDIR, lambda: store.rename(ROOT, b"f", ROOT, b"d", replace=True)),
        (errno.EOPNOTSUPP, lambda: store.allocate(file, 0x8, 0, 1)),
        (errno.ESTALE, lambda: store.inode(999)),
    ):
        with pytest.raises(OSError) as caught:
            act()
        assert caught.value.errno == number
    store.close()


@pytest.mark.parametrize("metadata", ["journalled", "strict"])
def test_a_probe_brings_its_own_file_to_the_disk_and_nothing_of_the_node(
    tmp_path: object, metadata: Metadata
) -> None:
    store = Store(str(tmp_path), metadata)
    store.make(ROOT, b"not synced", stat.S_IFREG | 0o600, 0, 0)
    probe = store.make(ROOT, b".seatrial-synced", stat.S_IFREG | 0o600, 0, 0).number
    store.write(probe, 0, b"mark")
    store.sync(probe)

    store.lose_power()

    assert set(store.inode(ROOT).names) == {b".seatrial-synced"}
    assert store.read(probe, 0, 9) == b"mark"
    store.close()
