"""Pictures from checkers, made harmless: an allow-list of SVG, nothing else survives.

A picture may quote values of a history, and a trial's folder may come from anybody. So it is
parsed as XML (entities and document types refused) and written again with known elements and
attributes only: no script, no link, no style, no reference outside itself, no event handler.
"""

from __future__ import annotations

import re
from typing import Final
from xml.etree import ElementTree

from markupsafe import Markup, escape

SVG: Final = "http://www.w3.org/2000/svg"

#: A deeper or bigger picture is not drawn.
DEPTH_MAX: Final = 40
ELEMENTS_MAX: Final = 5_000

_KNOWN_ELEMENTS: Final = (
    "svg g path rect circle ellipse line polyline polygon text tspan title desc defs marker"
)
_KNOWN_ATTRIBUTES: Final = (
    "id class x y x1 y1 x2 y2 dx dy cx cy r rx ry width height d points viewBox transform fill "
    "stroke stroke-width stroke-dasharray stroke-linecap stroke-linejoin stroke-opacity "
    "fill-opacity fill-rule opacity font-size font-family font-weight font-style text-anchor "
    "dominant-baseline alignment-baseline marker-start marker-mid marker-end markerWidth "
    "markerHeight markerUnits refX refY orient preserveAspectRatio role aria-label"
)
_ELEMENTS: Final = frozenset(_KNOWN_ELEMENTS.split())
_ATTRIBUTES: Final = frozenset(_KNOWN_ATTRIBUTES.split())
_LOCAL: Final = re.compile(r"url\(#([\w.-]+)\)")


def clean(text: str, prefix: str) -> Markup | None:
    """The picture with known elements and attributes only, None where it is no SVG.

    `prefix` goes before every id, so that two pictures on a page do not meet.
    """
    if "<!DOCTYPE" in text or "<!ENTITY" in text:
        return None
    try:
        root = ElementTree.fromstring(text)
    except ElementTree.ParseError:
        return None
    if _local(root.tag) != "svg" or sum(1 for _ in root.iter()) > ELEMENTS_MAX:
        return None
    return Markup(_write(root, prefix, 0))


def _write(node: ElementTree.Element, prefix: str, depth: int) -> str:
    """One element and what is in it; depth is bounded by `DEPTH_MAX`."""
    name = _local(node.tag)
    if name not in _ELEMENTS or depth > DEPTH_MAX:
        return ""
    attributes = "".join(
        f' {key}="{escape(said)}"'
        for key, given in node.attrib.items()
        if key in _ATTRIBUTES and (said := _attribute(key, given, prefix)) is not None
    )
    if depth == 0:
        attributes = _root(node) + attributes
    inside = escape(node.text or "") + Markup("").join(
        Markup(_write(child, prefix, depth + 1)) + escape(child.tail or "") for child in node
    )
    return f"<{name}{attributes}>{inside}</{name}>"


def _root(node: ElementTree.Element) -> str:
    """A viewBox for a picture that has only width and height, so that it scales."""
    width, height = (_size(node.get(side, "")) for side in ("width", "height"))
    if node.get("viewBox") or not (width and height):
        return ""
    return f' viewBox="0 0 {width} {height}"'


def _size(text: str) -> str:
    match = re.fullmatch(r"(\d+(?:\.\d+)?)(?:px)?", text.strip())
    return match[1] if match else ""


def _attribute(key: str, given: str, prefix: str) -> str | None:
    if key == "id":
        return f"{prefix}{given}"
    rest = _LOCAL.sub("", given)
    if "url" in rest.lower() or "javascript:" in rest.lower() or "\\" in rest:
        return None
    return _LOCAL.sub(lambda match: f"url(#{prefix}{match[1]})", given)


def _local(tag: str) -> str:
    """The name without SVG's namespace; a name of another namespace is no name of ours."""
    space, _, name = tag.rpartition("}")
    return name if space in ("", "{" + SVG) else ""
