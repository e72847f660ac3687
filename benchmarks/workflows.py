"""What rendering costs, as whole processes, and how large the objects are.

    python -m benchmarks.workflows [--rounds 5]

Each command runs in a process of its own, imports included; the best of the rounds counts. `CPU`
is what the process used (user and system): on an idle core, that is how long it takes. `bytes` is
the object as JSON, which is what etcd stores.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import time

COMMANDS = {
    "one trial": ["etcd-register", "--faults", "kill,partition", "--seed", "7"],
    "one trial, cron": ["etcd-register", "--cron", "0 2 * * *"],
    "campaign of 50": ["etcd-register", "--trials", "50", "--seed", "1"],
    "campaign of 500": ["etcd-register", "--trials", "500", "--seed", "1"],
    "templates": ["templates"],
}
BARS_S = {"one trial": 2.0, "campaign of 500": 10.0}
#: Argo keeps a workflow in one object; past this its status is packed, then needs a database.
OBJECT_BYTES = 1 << 20


def cpu() -> float:
    """CPU seconds of all processes that ended so far."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def measure(arguments: list[str], rounds: int) -> tuple[float, float, str]:
    """Best seconds and CPU seconds of the rounds, and what was printed."""
    best, least, out = float("inf"), float("inf"), ""
    for _ in range(rounds):
        begin, before = time.perf_counter(), cpu()
        run = subprocess.run(
            [sys.executable, "-m", "seatrial", "render", *arguments, "--json"],
            capture_output=True,
            text=True,
            check=True,
        )
        best, out = min(best, time.perf_counter() - begin), run.stdout
        least = min(least, cpu() - before)
    return best, least, out


def documents(text: str) -> list[dict[str, object]]:
    """The JSON documents of a stream."""
    decoder, found, at = json.JSONDecoder(), [], 0
    while at < len(text.rstrip()):
        document, at = decoder.raw_decode(text, at)
        found.append(document)
        at += len(text[at:]) - len(text[at:].lstrip())
    return found


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    rounds = parser.parse_args().rounds
    print(
        f"{'what':<18}{'wall, s':>9}{'CPU, s':>8}{'bar':>7}{'CPU/bar':>9}"
        f"{'bytes':>10}{'of 1 MiB':>10}"
    )
    for name, arguments in COMMANDS.items():
        seconds, used, text = measure(arguments, rounds)
        size = max(len(json.dumps(document)) for document in documents(text))
        bar = BARS_S.get(name)
        told = f"{bar:>7.1f}{used / bar:>9.2f}" if bar else f"{'':>16}"
        print(f"{name:<18}{seconds:>9.2f}{used:>8.2f}{told}{size:>10,}{size / OBJECT_BYTES:>10.1%}")


if __name__ == "__main__":
    main()
