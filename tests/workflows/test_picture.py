"""The picture in the documentation is the graph that is rendered today."""

from __future__ import annotations

import xml.etree.ElementTree as ElementTree
from pathlib import Path

import pytest

from seatrial.cli import main
from seatrial.workflows.picture import draw
from tests.workflows.sample import ALL, made

IMAGE = Path(__file__).resolve().parents[2] / "docs" / "images" / "etcd-register-workflow.svg"
COMMAND = ["render", "etcd-register", "--faults", "kill,partition", "--seed", "7", "--picture"]


def test_the_picture_in_the_docs_is_drawn_anew_byte_for_byte(
    capsys: pytest.CaptureFixture[str],
) -> None:
    """`seatrial render … --picture --output docs/images/etcd-register-workflow.svg` mends it."""
    assert main(COMMAND) == 0

    assert capsys.readouterr().out == IMAGE.read_text(encoding="utf-8")


@pytest.mark.parametrize("name", ALL)
def test_every_node_is_in_the_picture_and_inside_of_it(name: str) -> None:
    document = made(name)
    spec = document["spec"].get("workflowSpec", document["spec"])
    templates = {template["name"]: template for template in spec["templates"]}
    tasks = templates[spec["entrypoint"]].get("dag", {}).get("tasks", [])

    picture = ElementTree.fromstring(draw(document))

    words = {element.text for element in picture.iter() if element.text}
    assert {task["name"] for task in tasks} <= words
    width = float(picture.attrib["width"])
    for box in picture.iter("{http://www.w3.org/2000/svg}rect"):
        assert float(box.get("x", "0")) + float(box.attrib["width"]) <= width
