"""Builds HTML and SVG as a tree, and writes it out with everything escaped.

Markup exists only as elements made here, text only as text, so nothing from data can become markup, whatever it says:
the writer of the standard library escapes every text and every attribute. There is no way to put a script, a style, an
event handler or an address from data into a page: `el` refuses them.
"""

from __future__ import annotations

import re
from xml.etree import ElementTree as Tree

from audit.report.visible import visible

__all__ = ["Element", "Node", "el", "number", "written"]

Element = Tree.Element
Node = Tree.Element | str | None
_NAME = re.compile(r"[a-z][a-zA-Z0-9-]*")
_REFUSED = frozenset({"script", "iframe", "object", "embed", "base", "form", "link", "img", "style"})
_ADDRESS = frozenset({"href", "src", "action", "formaction", "data", "style", "srcdoc", "ping", "xlinkhref"})
_INSIDE = re.compile(r"#[a-z][a-z0-9-]*")


def el(tag: str, *children: Node, **attributes: str | float | bool | None) -> Element:
    """An element.

    Args:
        tag: its name.
        children: elements and texts; None is left out.
        attributes: `class_` stands for class, `aria_label` for aria-label; None and False are left out, True has no
            value of its own.

    Raises:
        ValueError: a tag or an attribute by which something could run or be fetched.
    """
    if tag in _REFUSED or not _NAME.fullmatch(tag):
        raise ValueError(f"element {tag!r}: could run or fetch something. Reports have none.")
    made = Tree.Element(tag)
    for key, value in attributes.items():
        name = key.rstrip("_").replace("_", "-")
        if value is None or value is False:
            continue
        shown = "" if value is True else number(value) if isinstance(value, float) else str(value)
        _check(name, shown)
        made.set(name, visible(shown).replace("\n", " "))
    for child in children:
        _put(made, child)
    return made


def _check(name: str, value: str) -> None:
    if name.startswith("on") or (name in _ADDRESS and not (name == "href" and _INSIDE.fullmatch(value))):
        raise ValueError(f"attribute {name}={value!r}: could run or fetch something. Links lead to sections alone.")


def _put(parent: Element, child: Node) -> None:
    if child is None:
        return
    if isinstance(child, str):
        text = visible(child)
        if len(parent):
            parent[-1].tail = (parent[-1].tail or "") + text
        else:
            parent.text = (parent.text or "") + text
    else:
        parent.append(child)


def number(value: float) -> str:
    """A coordinate: at most two decimals, no exponent."""
    return f"{value:.2f}".rstrip("0").rstrip(".")


def written(element: Element) -> str:
    """The element as HTML."""
    return Tree.tostring(element, encoding="unicode", method="html")
