"""The reference of Chaos Mesh's actions says what the values say."""

from __future__ import annotations

import os
from pathlib import Path

from seatrial.faults.chaos.catalogue import actions
from tests.docs.chaos_mesh_page import tables

PAGE = Path(__file__).resolve().parents[2] / "docs" / "reference" / "chaos-mesh.md"


MARK = (
    "<!-- What follows is made from the values: SEATRIAL_REWRITE_GOLDENS=1 pytest tests/docs -->\n"
)


def test_the_tables_are_made_from_the_values() -> None:
    text, made = PAGE.read_text(encoding="utf-8"), tables()
    assert text.count(MARK) == 1
    head, shown = text.split(MARK)
    if os.environ.get("SEATRIAL_REWRITE_GOLDENS") == "1":
        PAGE.write_text(f"{head}{MARK}\n{made}", encoding="utf-8")
        shown = f"\n{made}"

    assert shown == f"\n{made}"


def test_each_action_and_its_fields_stand_on_the_page() -> None:
    text = PAGE.read_text(encoding="utf-8")
    for action in actions():
        assert f"`{action.short()}`" in text
        assert [name for name in action.model_fields if f"| `{name}` |" not in text] == []
