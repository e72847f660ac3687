"""The report as Chromium sees it: scripts on, scripts off, and as the Argo UI serves it."""

from __future__ import annotations

import html
import json
import re
import shutil
from pathlib import Path
from typing import Any

import pytest

from seatrial.report import render
from tests.report import sea
from tests.report.browser import ARGO_POLICY, opened, served

Probed = tuple[dict[str, Any], tuple[str, ...]]
pytestmark = pytest.mark.full

#: Asks the page, from the page around it, what a person would see.
PROBE = """<!doctype html><body style="margin:0"><iframe id="f" src="/report.html" {sandbox}
style="width:{width}px;height:900px;border:0"></iframe><pre id="out"></pre><script>
document.getElementById("f").addEventListener("load", (event) => {{
  const page = event.target.contentDocument, shown = (node) => node.getBoundingClientRect();
  const visible = [...page.querySelectorAll("svg.figure")].filter((n) => shown(n).width > 0);
  const out = {{
    scroll: page.documentElement.scrollWidth, client: page.documentElement.clientWidth,
    figures: visible.map((n) => n.getAttribute("class")),
    width: visible.length && shown(visible[0]).width,
    height: visible.length && shown(visible[0]).height,
    letters: Math.min(...[...visible[0].querySelectorAll("text")].map((n) => shown(n).height)),
    past: [...page.querySelectorAll("main *:not(svg *)")].filter((n) => shown(n).right >
      page.documentElement.clientWidth + 1 && !n.closest(".hidden, thead, .scroll")).map((n) =>
      n.tagName + "." + n.className),
    text: page.body.innerText,
    paths: visible[0].querySelectorAll("path").length,
    loaded: event.target.contentWindow.performance.timing.loadEventEnd -
      event.target.contentWindow.performance.timing.navigationStart,
  }};
  document.getElementById("out").textContent = JSON.stringify(out);
}});
</script>"""


@pytest.fixture(scope="module")
def chromium() -> str:
    """The browser; these tests are for machines that have it (make test-full)."""
    found = shutil.which("chromium") or shutil.which("chromium-browser")
    if found is None:
        pytest.skip("chromium is not installed: apt-get install chromium")
    return found


def seen_text(document: str) -> str:
    """The text of a document, without tags and styles."""
    bare = re.sub(r"<style.*?</style>", "", document, flags=re.S)
    return " ".join(html.unescape(re.sub(r"<[^>]*>", " ", bare)).split())


def probed(report: str, chromium: str, tmp_path: Path, width: int, sandbox: str = "") -> Probed:
    """What a page around the report reads from it, and the console."""
    probe = PROBE.format(width=width, sandbox=sandbox)
    with served({"/report.html": report, "/": probe, "/favicon.ico": ""}) as address:
        seen = opened(chromium, f"{address}/", tmp_path / "profile", "--window-size=1400,900")
    match = re.search(r'<pre id="out">(.*?)</pre>', seen.document, re.S)
    assert match, seen.document[-500:]
    return json.loads(html.unescape(match[1])), seen.console


@pytest.mark.parametrize("policy", ["", ARGO_POLICY], ids=["scripts on", "argo"])
@pytest.mark.parametrize("answer", ["valid", "invalid", "unknown"])
def test_it_is_whole(tmp_path: Path, chromium: str, policy: str, answer: str) -> None:
    """The console is silent, and plots and text are there, also under the Argo UI's policy."""
    report = render(sea.folder(tmp_path / "t", answer, ops=4000))
    with served({"/report.html": report, "/favicon.ico": ""}, policy) as address:
        seen = opened(chromium, f"{address}/report.html", tmp_path / "profile")
    assert seen.console == ()
    assert seen.document.count('class="figure wide"') == 1
    said = seen_text(seen.document)
    for text in (str(sea.verdict(answer, ())["cause"]), "F2 partition n2", sea.plan().repeat):
        assert text in said


@pytest.mark.parametrize("sandbox", ["", 'sandbox="allow-same-origin"'], ids=["on", "off"])
@pytest.mark.parametrize(("width", "figure"), [(360, "figure narrow"), (1280, "figure wide")])
def test_it_fits_the_screen(
    tmp_path: Path, chromium: str, width: int, figure: str, sandbox: str
) -> None:
    """With scripts on and off: no sideways scrolling, one figure, letters that can be read."""
    report = render(sea.folder(tmp_path / "t", "invalid", ops=4000, evil="x" * 400))
    out, console = probed(report, chromium, tmp_path, width, sandbox)
    assert console == ()
    assert out["scroll"] <= out["client"] == width
    assert out["past"] == []
    assert out["figures"] == [figure]
    assert out["letters"] >= 10
    assert out["paths"] >= 8
    assert out["height"] > 200
    assert "Process 5002 wrote 9041" in out["text"]


def test_a_long_trial_opens_fast(tmp_path: Path, chromium: str) -> None:
    """500,000 ops: under 3 MB, loaded and laid out in under 2 s."""
    report = render(sea.folder(tmp_path / "t", "invalid", ops=500_000))
    assert len(report.encode()) < 3_000_000
    out, _ = probed(report, chromium, tmp_path, 1280)
    assert out["loaded"] < 2000
