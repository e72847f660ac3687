"""Ready-made steady states: Jinja2 templates for databases, rendered with a few values and checked.

Each template names its values with their defaults in its first line, and each query says in `why`
whose it is.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Final

import jinja2
import jinja2.meta

from seatrial.catalogue import Catalogue, Entry
from seatrial.errors import UsageError
from seatrial.steady.files import Hypothesis, parse, read_file

#: Templates by name; `where` is the file.
TEMPLATES: Final = Catalogue(
    "template",
    {
        "etcd": Entry("leaders, proposals, fsync, database size", "etcd.yaml.j2"),
        "tidb": Entry("query latency and errors, TiKV and PD health", "tidb.yaml.j2"),
        "mariadb-galera": Entry(
            "cluster size, primary component, flow control", "mariadb-galera.yaml.j2"
        ),
        "postgresql": Entry(
            "instances up, replication lag, deadlocks, connections", "postgresql.yaml.j2"
        ),
    },
)


def load(name: str, values: Mapping[str, str] | None = None) -> Hypothesis:
    """A template by its name, or a YAML file by its path; raises `UsageError`, `BadData`."""
    if name in TEMPLATES:
        return parse(render(name, values or {}), f"template {name}")
    if "/" not in name and "." not in name and not Path(name).exists():
        _ = TEMPLATES[name]
    return read_file(Path(name))


def render(name: str, values: Mapping[str, str]) -> str:
    """The YAML text of a template; raises `UsageError` for a value that it does not have."""
    source = _source(TEMPLATES[name].where)
    known = sorted(values_of(name))
    for given in values:
        if given not in known:
            raise UsageError(
                f"template {name!r} has no value {given!r}\n\nhint: known: {', '.join(known)}"
            )
    return _environment().from_string(source).render(dict(values))


def values_of(name: str) -> set[str]:
    """The names of the values that a template takes; all have defaults."""
    tree = _environment().parse(_source(TEMPLATES[name].where))
    assigned = {node.target.name for node in tree.find_all(jinja2.nodes.Assign)}  # type: ignore[attr-defined]
    return jinja2.meta.find_undeclared_variables(tree) | assigned


@cache
def _environment() -> jinja2.Environment:
    return jinja2.Environment(
        loader=jinja2.PackageLoader("seatrial.steady"),
        undefined=jinja2.StrictUndefined,
        autoescape=False,
        trim_blocks=True,
        lstrip_blocks=True,
    )


def _source(file: str) -> str:
    loader = _environment().loader
    assert loader is not None
    return loader.get_source(_environment(), file)[0]
