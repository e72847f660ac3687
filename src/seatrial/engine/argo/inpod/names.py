"""What names resolve to for a node: DNS questions to the server that its container is told to ask.

`python -m seatrial.engine.argo.inpod.names PROCESS NAME…` reads the node's own `resolv.conf`
(through `/proc/PID/root`; its own where the process is not seen), which is where DNSChaos puts
Chaos Mesh's server, and asks the first server for the IPv4 address of each name, as it is and with
each search domain. Prints JSON: `{"server": …, "names": {NAME: [addresses] or null}}`.
"""

from __future__ import annotations

import json
import secrets
import socket
import struct
import sys
from collections.abc import Sequence
from pathlib import Path

from seatrial.engine.argo.inpod.processes import PROC, oldest

ANSWER_S = 2.0
TRIES = 2
PORT = 53
_A, _IN, _RECURSE = 1, 1, 0x0100
_HEADER = struct.Struct("!HHHHHH")
_RECORD = struct.Struct("!HHIH")


def settings(process: str) -> tuple[str, tuple[str, ...]]:
    """The first server, and the search domains."""
    pid = oldest(process) if process else None
    root = Path("/") if pid is None else PROC / str(pid) / "root"
    server, domains = "", tuple[str, ...]()
    for line in (root / "etc/resolv.conf").read_text(encoding="utf-8").splitlines():
        word, *rest = line.split() or [""]
        if word == "nameserver" and rest and not server:
            server = rest[0]
        elif word == "search":
            domains = tuple(rest)
    return server, domains


def resolve(
    name: str, domains: Sequence[str], server: str, port: int = PORT
) -> tuple[str, ...] | None:
    """The addresses of a name, sorted; None if it does not resolve."""
    for whole in (name, *(f"{name}.{domain}" for domain in domains)):
        if found := ask(whole, server, port):
            return tuple(sorted(found))
    return None


def ask(name: str, server: str, port: int = PORT) -> list[str]:
    """One question (RFC 1035, section 4); no address where there is no good answer in time."""
    number = secrets.randbelow(1 << 16)
    labels = b"".join(bytes([len(one)]) + one.encode("idna") for one in name.strip(".").split("."))
    question = labels + b"\0" + struct.pack("!HH", _A, _IN)
    packet = _HEADER.pack(number, _RECURSE, 1, 0, 0, 0) + question
    family = socket.AF_INET6 if ":" in server else socket.AF_INET
    for _ in range(TRIES):
        with socket.socket(family, socket.SOCK_DGRAM) as asked:
            asked.settimeout(ANSWER_S)
            try:
                asked.connect((server, port))
                asked.send(packet)
                answer = asked.recv(4096)
            except OSError:
                continue
        if len(answer) >= _HEADER.size and answer[:2] == packet[:2]:
            return addresses(answer)
    return []


def addresses(answer: bytes) -> list[str]:
    """The IPv4 addresses in an answer; none if it is a refusal, or cut off."""
    _, flags, questions, answers, _, _ = _HEADER.unpack_from(answer)
    if flags & 0x000F:
        return []
    found, place = [], _HEADER.size
    try:
        for _ in range(questions):
            place = _behind_name(answer, place) + 4
        for _ in range(answers):
            place = _behind_name(answer, place)
            kind, _, _, size = _RECORD.unpack_from(answer, place)
            place += _RECORD.size
            if kind == _A and size == 4:
                found.append(socket.inet_ntoa(answer[place : place + 4]))
            place += size
    except (IndexError, struct.error):
        return []
    return found


def _behind_name(answer: bytes, place: int) -> int:
    while answer[place]:
        if answer[place] >= 0xC0:  # a pointer ends it
            return place + 2
        place += 1 + answer[place]
    return place + 1


def main() -> None:
    """Ask and tell."""
    process, *wanted = sys.argv[1:]
    server, domains = settings(process)
    told = {name: resolve(name, domains, server) for name in wanted}
    json.dump({"server": server, "names": told}, sys.stdout)


if __name__ == "__main__":
    main()
