"""What a network namespace holds, in words: compared before and after, it shows what was left."""

from __future__ import annotations

import socket
from typing import Any, Protocol, TypeAlias

Remains: TypeAlias = frozenset[str]
_AF_INET = int(socket.AF_INET)


class Room(Protocol):
    """A namespace with a netlink socket of its own."""

    @property
    def netlink(self) -> Any:
        """The socket; only for the namespace's thread."""
        ...


def remains(room: Room) -> Remains:
    """Devices, queueing disciplines, routes and rules of the calling thread's namespace."""
    netlink = room.netlink
    names = {link["index"]: str(link.get_attr("IFLA_IFNAME")) for link in netlink.get_links()}
    found = {f"device {name}" for name in names.values()}
    for discipline in netlink.get_qdiscs():
        device = names.get(discipline["index"], "a device")
        found.add(f"queueing discipline {discipline.get_attr('TCA_KIND')} on {device}")
    for route in netlink.get_routes(family=_AF_INET):
        to = route.get_attr("RTA_DST") or "default"
        device = names.get(route.get_attr("RTA_OIF"), "no device")
        table = route.get_attr("RTA_TABLE") or route["table"]
        found.add(f"route {to}/{route['dst_len']} through {device} in table {table}")
    for rule in netlink.get_rules(family=_AF_INET):
        priority = rule.get_attr("FRA_PRIORITY") or 0
        found.add(f"rule {priority} for table {rule.get_attr('FRA_TABLE') or rule['table']}")
    return frozenset(found)
