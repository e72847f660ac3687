"""The report's structure, without a browser: whole, self-contained, escaped, bounded."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from pathlib import Path
from xml.etree import ElementTree

import pytest

from seatrial.report import render, render_history, write
from seatrial.trial import TrialFolder
from tests.report import sea

VOID = {"meta", "input", "link", "br", "hr", "img"}
BYTES_MAX = 3_000_000
NODES_MAX = 6_000


class Page(HTMLParser):
    """What is in a page: balanced elements, attributes, text."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.text: list[str] = []
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open and self.open[-1] == tag, f"</{tag}> closes {self.open[-3:]}"
        self.open.pop()

    def handle_data(self, data: str) -> None:
        if not self.open or self.open[-1] != "style":
            self.text.append(data)

    @property
    def said(self) -> str:
        return " ".join(" ".join(self.text).split())


def assert_alone(text: str) -> Page:
    """The page needs nothing else, and can do nothing."""
    page = Page(text)
    for tag, attributes in page.elements:
        assert tag not in {"script", "link", "img", "iframe", "object", "embed", "base", "form"}
        for name, given in attributes.items():
            assert not name.startswith("on"), (tag, name)
            if name in {"href", "xlink:href", "src"}:
                assert (given or "").startswith("#"), (tag, name, given)
    style = text.partition("<style>")[2].partition("</style>")[0]
    assert "url(" not in style and "@import" not in style
    return page


def assert_drawn(text: str, at_least: int) -> list[ElementTree.Element]:
    """Every SVG is well-formed XML without a coordinate that is no number."""
    found = [ElementTree.fromstring(svg) for svg in re.findall(r"<svg.*?</svg>", text, re.S)]
    assert len(found) >= at_least
    for svg in found:
        for node in svg.iter():
            for name, given in node.attrib.items():
                if name != "aria-label":
                    assert "nan" not in given.lower() and "inf " not in given, (name, given)
    return found


@pytest.mark.parametrize("answer", ["valid", "invalid", "unknown"])
def test_it_says_all_that_is_known(tmp_path: Path, answer: str) -> None:
    """Verdict, cause, claim, faults with both windows, steady states, command: all in the text."""
    trial = sea.folder(tmp_path / "t", answer, ops=3000)
    path = write(trial)
    text = path.read_text(encoding="utf-8")
    page = assert_alone(text)
    assert_drawn(text, at_least=10)
    for said in (
        answer,
        str(sea.verdict(answer, ())["cause"]),
        sea.plan().title,
        sea.plan().intent.claim,
        sea.plan().intent.refuted_by,
        sea.plan().repeat,
        "12.00 to 16.50 s",
        "12.04 to 16.70 s",
        "The process of n1 was gone 3 ms after SIGKILL.",
        "n2 and n3 of three are impaired",
        "deadline exceeded",
        "throughput comes back",
        "≥ 0.8 × before",
        "3.5.1",
        "cas-register",
        "The longest stretch without an ok op",
    ):
        assert said in page.said, said
    assert ("Process 5002 wrote 9041" in page.said) == (answer == "invalid")
    assert ("All 20 packets still arrived." in page.said) == (answer == "unknown")
    if answer == "unknown":
        assert "no effect was measured: All 20 packets" in page.said
