"""What a network namespace holds, in words: compared before and after, it shows what was left."""

from __future__ import annotations

import socket
from typing import Any, Protocol, TypeAlias

Remains: TypeAlias = frozenset[str]
_AF_INET = int(socket.AF_INET)
_NUD_PERMANENT = 0x80
_IFF_UP = 0x1


class Room(Protocol):
    """A namespace with a netlink socket of its own."""

    @property
    def netlink(self) -> Any:
        """The socket; only for the namespace's thread."""
        ...


def remains(room: Room) -> Remains:
    """Devices, addresses, queueing disciplines, neighbours, routes and rules of a namespace.

    Only for the namespace's own thread. Of a neighbour there is no hardware address: that is what a
    cut changes, and `Network.broken` says it in words.
    """
    netlink = room.netlink
    names = {link["index"]: str(link.get_attr("IFLA_IFNAME")) for link in netlink.get_links()}
    found = {f"device {name}" for name in names.values()}
    for link in netlink.get_links():
        state = "up" if link["flags"] & _IFF_UP else "down"
        found.add(f"device {names[link['index']]} {state}, mtu {link.get_attr('IFLA_MTU')}")
    for entry in netlink.get_addr(family=_AF_INET):
        device = names.get(entry["index"], "a device")
        found.add(f"address {entry.get_attr('IFA_ADDRESS')}/{entry['prefixlen']} on {device}")
    for entry in netlink.get_neighbours(family=_AF_INET):
        if entry["state"] & _NUD_PERMANENT:
            device = names.get(entry["ifindex"], "a device")
            found.add(f"neighbour {entry.get_attr('NDA_DST')} on {device}")
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
