"""The report's structure, without a browser: whole, self-contained, escaped, bounded."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest

from seatrial.history.stream import write_arrow
from seatrial.report import render, render_history, write
from seatrial.report.picture import clean
from seatrial.trial import TrialFolder
from tests.report import sea

VOID = {"meta", "input", "link", "br", "hr", "img"}
BYTES_MAX = 3_000_000
NODES_MAX = 20_000


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
    assert ("its last: F4 partition n2." in page.said) == (answer == "invalid")
    assert ("Process 5002 wrote 9041" in page.said) == (answer == "invalid")
    assert ("All 20 packets still arrived." in page.said) == (answer == "unknown")
    if answer == "unknown":
        assert "no effect was measured: All 20 packets" in page.said


def test_a_value_of_a_history_cannot_become_markup(tmp_path: Path) -> None:
    """Markup in values, errors, explanations, causes and details stays text."""
    evil = "\"><script>alert(1)</script><img src=x onerror=alert(2)>'&{{ 7 * 7 }}"
    trial = sea.folder(tmp_path / "t", "invalid", ops=500, evil=evil)
    made = sea.history(500, evil=evil)
    document = sea.verdict("invalid", (*made.proof, *_indexes_of(made, evil)))
    document["cause"] = evil
    checkers = document["checkers"]
    assert isinstance(checkers, dict)
    linear = checkers["linearizable"]
    assert isinstance(linear, dict)
    linear |= {"cause": evil, "details": {evil: {evil: [evil]}}}
    linear["anomalies"][0] |= {"name": evil, "explanation": evil, "steps": [evil]}
    checkers[evil] = {"verdict": "unknown", "cause": evil, "anomalies": [{"name": evil}]}
    trial.verdict.write_text(json.dumps(document), encoding="utf-8")
    text = render(trial)
    page = assert_alone(text)
    assert_drawn(text, at_least=10)
    assert page.said.count("<script>alert(1)</script>") > 10
    assert "7 * 7" in page.said


def _indexes_of(made: sea.Sea, value: str) -> list[int]:
    rows = [row for row in range(len(made.history)) if made.history.value(row) == value]
    assert len(rows) == 2
    return [int(made.history.index[row]) for row in rows]


def test_a_picture_is_drawn_without_what_could_act(tmp_path: Path) -> None:
    """The checker's picture keeps its shapes and text and loses script, link and handler."""
    text = render(sea.folder(tmp_path / "t", "invalid", ops=500))
    picture = text.partition('<figure class="picture">')[2].partition("</figure>")[0]
    assert "read 3 → 9017" in picture
    assert 'marker-end="url(#anomaly-linearizable-0-tip)"' in picture
    assert 'id="anomaly-linearizable-0-tip"' in picture
    assert 'width="420"' in picture
    for gone in ("script", "alert", "href", "evil", "onclick", "gone"):
        assert gone not in picture


@pytest.mark.parametrize(
    "bad",
    [
        "",
        "no xml",
        "<svg><g></svg>",
        "<html/>",
        '<!DOCTYPE svg [<!ENTITY a "b">]><svg xmlns="http://www.w3.org/2000/svg"/>',
        "<svg>" + "<g>" * 6000 + "</g>" * 6000 + "</svg>",
    ],
)
def test_what_is_no_picture_is_left_out(bad: str) -> None:
    """Text that is no SVG, or has a document type, or is too big, is not drawn."""
    assert clean(bad, "p-") is None


@pytest.mark.parametrize(
    "attribute",
    ['fill="url(http://evil.example/#a)"', 'fill="URL(//evil)"', 'style="a:b"', 'onload="a()"'],
)
def test_a_picture_refers_to_nothing_outside(attribute: str) -> None:
    """An attribute that could reach out or act is dropped, the element stays."""
    drawn = clean(f'<svg xmlns="http://www.w3.org/2000/svg"><rect x="1" {attribute}/></svg>', "p-")
    assert drawn == '<svg><rect x="1"></rect></svg>'


def test_styles_of_a_picture_stay_inside_it() -> None:
    """Rules and style attributes become attributes; rules that are not plain are dropped."""
    drawn = clean(
        '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 90 40" style="max-width:90px">'
        "<style>body{display:none}text{font:13px serif;fill:#123}.l{fill:red;position:fixed}"
        '@import "x";.u{fill:url(http://evil.example/)}</style><text class="l verdict">a</text>'
        '<text class="u" style="fill:blue;cursor:url(x)">b</text></svg>',
        "p-",
    )
    assert drawn == (
        '<svg viewBox="0 0 90 40" width="90">'
        '<text font-size="13px" font-family="serif" fill="red">a</text>'
        '<text font-size="13px" font-family="serif" fill="blue">b</text></svg>'
    )


FILES = ["plan.json", "trial.json", "history.arrow", "verdict.json"]


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("damage", ["missing", "empty", "half", "noise"])
def test_it_is_drawn_whatever_is_missing(tmp_path: Path, name: str, damage: str) -> None:
    """Each file may be missing or damaged: the report is drawn and names the file."""
    trial = sea.folder(tmp_path / "t", "invalid", ops=800)
    path = trial.root / name
    whole = path.read_bytes()
    path.unlink()
    if damage != "missing":
        noise = {"empty": b"", "half": whole[: len(whole) // 2], "noise": b"\x00\xff{]" * 50}
        path.write_bytes(noise[damage])
    text = render(trial)
    page = assert_alone(text)
    assert name in page.said.partition("vacuous, unknown or missing")[2]


def test_an_empty_folder_has_a_report(tmp_path: Path) -> None:
    """With nothing at all the report says unknown, and everything that is missing."""
    page = assert_alone(render(TrialFolder(tmp_path)))
    assert "unknown" in page.said
    for name in FILES:
        assert f"{name} is not there" in page.said


def test_an_interrupted_trial_shows_what_there_was(tmp_path: Path) -> None:
    """No verdict, a fault still open, a fault never begun: drawn, and said."""
    trial = sea.folder(tmp_path / "t", "valid", ops=800)
    trial.verdict.unlink()
    (trial.evidence / "f4.json").unlink()
    seen = sea.evidence(sea.FAULTS[2], "valid")
    cut = seen.model_copy(update={"heal_ns": None, "healed_ns": None, "recovery": None})
    (trial.evidence / "f3.json").write_text(cut.model_dump_json(), encoding="utf-8")
    made = sea.history(800, stale=False).history
    write_arrow(made.take(made.time_ns < sea.LOAD_NS + 31 * sea.S), trial.history)
    record = sea.record("valid").model_copy(update={"status": "interrupted", "reason": "Ctrl-C"})
    trial.record.write_text(record.model_dump_json(), encoding="utf-8")
    text = render(trial)
    page = assert_alone(text)
    assert_drawn(text, at_least=5)
    assert "The trial has no verdict" in page.said
    assert "26.01 s, no end" in page.said
    assert "it was planned and never injected" in page.said
    assert "the trial is interrupted Ctrl-C" in page.said


def test_a_history_without_a_trial(tmp_path: Path) -> None:
    """A judged file has no plan, no phases, no faults: its ops and its anomaly are shown."""
    made = sea.history(800).history
    alone = made.take(made.client)
    proof = sea.history(800).proof
    text = render_history(alone, sea.verdict("invalid", proof), title="register.edn")
    page = assert_alone(text)
    assert_drawn(text, at_least=3)
    assert "start of the history" in page.said
    assert "register.edn" in page.said and "write 3 := 9041" in page.said


def test_faults_are_read_from_a_history_alone() -> None:
    """Where only the nemesis' ops tell of faults, kind, victim and real window come from them."""
    made = sea.history(800)
    text = render_history(
        made.history, sea.verdict("invalid", made.proof) | {"faults": []}, title="t"
    )
    page = assert_alone(text)
    assert "F1 kill on n1" in page.said
    assert "12.04 to 16.70 s" in page.said
    assert "F1 kill n1" in page.said


def test_a_history_without_times(tmp_path: Path) -> None:
    """An import may know no times: no plot over time, the lanes still in order."""
    made = sea.history(800)
    timeless = replace(made.history, time_ns=np.full(len(made.history), -1))
    text = render_history(timeless, sea.verdict("invalid", made.proof), title="t")
    assert "carries a time" in assert_alone(text).said
    assert 'class="lanes wide"' in text


def test_its_size_is_bounded(tmp_path: Path) -> None:
    """Many ops, four hundred faults, a thousand anomalies: under 3 MB, few nodes."""
    trial = sea.folder(tmp_path / "t", "invalid", ops=60_000)
    many = [
        sea.FAULTS[0].model_copy(update={"id": f"x{i}", "start_s": i / 10, "duration_s": 0.05})
        for i in range(400)
    ]
    plan = sea.plan().model_copy(update={"faults": tuple(many)})
    trial.plan.write_text(plan.to_text(), encoding="utf-8")
    document = sea.verdict("invalid", tuple(range(100)))
    checkers = document["checkers"]
    assert isinstance(checkers, dict) and isinstance(checkers["linearizable"], dict)
    checkers["linearizable"]["anomalies"] *= 1000
    trial.verdict.write_text(json.dumps(document), encoding="utf-8")
    text = render(trial)
    page = assert_alone(text)
    assert len(text.encode()) < BYTES_MAX
    assert len(page.elements) < NODES_MAX
    assert "988 more are in verdict.json" in page.said


def test_the_same_trial_gives_the_same_bytes(tmp_path: Path) -> None:
    """Drawing twice gives the same report."""
    trial = sea.folder(tmp_path / "t", "invalid", ops=800)
    assert render(trial) == render(trial)
