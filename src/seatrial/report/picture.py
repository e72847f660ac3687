"""Pictures from checkers, made harmless: an allow-list of SVG, nothing else survives.

A picture may quote values of a history, and a trial's folder may come from anybody. So it is
parsed as XML (entities and document types refused) and written again with known elements and
attributes only: no script, no link, no reference outside itself, no event handler. A style sheet
inside a page would reach the whole page, so plain rules (`text{…}`, `.name{…}`) and `style`
attributes become attributes of the elements they are about; classes are dropped.
"""

from __future__ import annotations

import re
from typing import Final, TypeAlias
from xml.etree import ElementTree

from markupsafe import Markup, escape

SVG: Final = "http://www.w3.org/2000/svg"

#: A deeper or bigger picture is not drawn.
DEPTH_MAX: Final = 40
ELEMENTS_MAX: Final = 5_000
STYLE_CHARS_MAX: Final = 10_000

_Rules: TypeAlias = dict[str, dict[str, str]]

_KNOWN_ELEMENTS: Final = (
    "svg g path rect circle ellipse line polyline polygon text tspan title desc defs marker"
)
_KNOWN_ATTRIBUTES: Final = (
    "id x y x1 y1 x2 y2 dx dy cx cy r rx ry width height d points viewBox transform fill "
    "stroke stroke-width stroke-dasharray stroke-linecap stroke-linejoin stroke-opacity "
    "fill-opacity fill-rule opacity font-size font-family font-weight font-style text-anchor "
    "dominant-baseline alignment-baseline marker-start marker-mid marker-end markerWidth "
    "markerHeight markerUnits refX refY orient preserveAspectRatio role aria-label"
)
_ELEMENTS: Final = frozenset(_KNOWN_ELEMENTS.split())
_ATTRIBUTES: Final = frozenset(_KNOWN_ATTRIBUTES.split())
#: What a style may say: the attributes about looks, not those about place and identity.
_STYLED: Final = frozenset(
    name for name in _ATTRIBUTES if name.startswith(("fill", "stroke", "font", "opacity", "text-"))
)
_RULE: Final = re.compile(r"(?P<selector>\.?[A-Za-z][\w-]*)\s*\{(?P<body>[^{}]*)\}")
_FONT: Final = re.compile(r"(?P<size>[\d.]+px) (?P<family>.+)")
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
    return Markup(_write(root, _rules(root), prefix, 0))


def _write(node: ElementTree.Element, rules: _Rules, prefix: str, depth: int) -> str:
    """One element and what is in it; depth is bounded by `DEPTH_MAX`."""
    name = _local(node.tag)
    if name not in _ELEMENTS or depth > DEPTH_MAX:
        return ""
    given = dict(node.attrib)
    for selector in (name, *(f".{word}" for word in node.get("class", "").split())):
        given |= rules.get(selector, {})
    given |= _declarations(node.get("style", ""))
    if depth == 0:
        given |= _root(node)
    attributes = "".join(
        f' {key}="{escape(said)}"'
        for key, value in given.items()
        if key in _ATTRIBUTES and (said := _attribute(key, value, prefix)) is not None
    )
    inside = escape(node.text or "") + Markup("").join(
        Markup(_write(child, rules, prefix, depth + 1)) + escape(child.tail or "") for child in node
    )
    return f"<{name}{attributes}>{inside}</{name}>"


def _rules(root: ElementTree.Element) -> _Rules:
    """The plain rules of the picture's style sheets: by element's name and by `.class`."""
    sheets = " ".join(node.text or "" for node in root.iter() if _local(node.tag) == "style")
    return {
        match["selector"]: _declarations(match["body"])
        for match in _RULE.finditer(sheets[:STYLE_CHARS_MAX])
    }


def _declarations(text: str) -> dict[str, str]:
    """`fill:red;font:13px serif` as attributes: fill, font-size, font-family."""
    found: dict[str, str] = {}
    for declaration in text[:STYLE_CHARS_MAX].split(";"):
        name, _, value = (part.strip() for part in declaration.partition(":"))
        font = _FONT.fullmatch(value) if name == "font" else None
        if font:
            found |= {"font-size": font["size"], "font-family": font["family"]}
        elif name in _STYLED:
            found[name] = value
    return found


def _root(node: ElementTree.Element) -> dict[str, str]:
    """A viewBox from width and height or a width from the viewBox: it scales."""
    width, height = (_size(node.get(side, "")) for side in ("width", "height"))
    box = node.get("viewBox", "").split()
    if len(box) == 4 and _size(box[2]):
        return {"width": _size(box[2])}
    return {"viewBox": f"0 0 {width} {height}"} if width and height else {}


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
