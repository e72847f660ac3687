"""What 40 Prometheus probes a second cost a trial: CPU seconds and memory of the tool itself.

    python -m benchmarks.probes [--seconds 60] [--probes 40] [--rate 20]

Runs a real trial of three etcd nodes, scraped by a real Prometheus in the lab, without faults, and
reads the tool's own processes (not the nodes, not the server) from /proc while the load runs. The
bars: 5 % of one core, 300 MiB.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from seatrial.steady.files import to_yaml
from seatrial.steady_state import PrometheusProbe, SteadyState, Tolerance

CORE_PERCENT_BAR = 5.0
MIB_BAR = 300.0
_TICKS = os.sysconf("SC_CLK_TCK")
#: Queries of the kinds that operators use, varied by their window so that each is its own.
QUERIES = (
    "sum(rate(etcd_server_proposals_committed_total[{w}s]))",
    "histogram_quantile(0.99, sum by (le) "
    "(rate(etcd_disk_wal_fsync_duration_seconds_bucket[{w}s])))",
    "max(increase(etcd_server_leader_changes_seen_total[{w}s]))",
    "min(min_over_time(etcd_server_has_leader[{w}s]))",
    "max(max_over_time(process_resident_memory_bytes[{w}s]))",
)


@dataclass(frozen=True, slots=True)
class Cost:
    """What the tool's processes took while the load ran."""

    seconds: float
    cpu_s: float
    mib: float
    samples: int

    @property
    def core_percent(self) -> float:
        return 100 * self.cpu_s / self.seconds


def states(count: int) -> tuple[SteadyState, ...]:
    """That many steady states, each with a query of its own."""
    return tuple(
        SteadyState(
            name=f"probe {number}",
            probe=PrometheusProbe(query=QUERIES[number % len(QUERIES)].format(w=5 + number)),
            before=Tolerance(min=0),
            after=Tolerance(min=0),
        )
        for number in range(count)
    )


def tool_processes(store: Path, outer: int) -> list[int]:
    """The tool's own Python processes: the command, and the one inside the sandbox."""
    found = [outer]
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                words = (entry / "cmdline").read_bytes().decode(errors="replace")
            except OSError:
                continue
            if "seatrial.runner.inside" in words and str(store) in words and "-c" not in words:
                found.append(int(entry.name))
    return found


def cpu_and_peak(pid: int) -> tuple[float, float]:
    """CPU seconds so far, and the highest resident memory in MiB."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        status = Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return 0.0, 0.0
    peak = next((x.split()[1] for x in status.splitlines() if x.startswith("VmHWM")), "0")
    return (int(stat[11]) + int(stat[12])) / _TICKS, int(peak) / 1024


def measure(probes: int, seconds: float, rate: float) -> Cost:
    """One trial."""
    with tempfile.TemporaryDirectory(prefix="seatrial-bench-") as folder:
        store = Path(folder)
        file = store / "probes.yaml"
        file.write_text(to_yaml(states(probes)) if probes else "[]", encoding="utf-8")
        command = [
            *(sys.executable, "-m", "seatrial", "run", "etcd-register", "--faults", "none"),
            *("--time-limit", f"{seconds:g}s", "--rate", f"{rate:g}", "--concurrency", "3"),
            *("--store", str(store), "--steady", str(file), "--prometheus", "auto"),
        ]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        cost = _watch(process, store)
        process.wait()
        path = store / "latest" / "metrics" / "samples.jsonl"
        lines = path.read_text().splitlines() if path.exists() else []
        good = sum('"v"' in line for line in lines)
        verdict = json.loads((store / "latest" / "verdict.json").read_text())
        print(f"  {probes} probes: {verdict['verdict']}: {verdict['cause'][:150]}", file=sys.stderr)
        return Cost(cost.seconds, cost.cpu_s, cost.mib, good)


def _watch(process: subprocess.Popen[bytes], store: Path) -> Cost:
    """From the beginning of `steady-before` to the end of `steady-after`."""
    assert process.stdout is not None
    start: tuple[float, float] | None = None
    end = (0.0, 0.0)
    peak = 0.0
    for line in process.stdout:
        readings = [cpu_and_peak(pid) for pid in tool_processes(store, process.pid)]
        now = (time.monotonic(), sum(cpu for cpu, _ in readings))
        if start is None and line.startswith(b"steady-before"):
            start = now
        elif start is not None and not end[0]:
            peak = max(peak, sum(memory for _, memory in readings))
            if line.startswith(b"quiesce"):
                end = now
    assert start is not None, "the load never began"
    return Cost(end[0] - start[0], end[1] - start[1], peak, 0)


def main() -> None:
    """Measure with and without probes, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--probes", type=int, default=40)
    parser.add_argument("--rate", type=float, default=20.0)
    parser.add_argument("--alone", action="store_true", help="without the trial to compare with")
    chosen = parser.parse_args()
    rows = [(chosen.probes, measure(chosen.probes, chosen.seconds, chosen.rate))]
    if not chosen.alone:
        rows.insert(0, (0, measure(0, chosen.seconds, chosen.rate)))
    print(f"{'probes':>7} {'load s':>7} {'samples':>8} {'CPU s':>7} {'of a core':>10} {'MiB':>6}")
    for probes, cost in rows:
        print(
            f"{probes:>7} {cost.seconds:>7.1f} {cost.samples:>8,} {cost.cpu_s:>7.2f} "
            f"{cost.core_percent:>9.2f}% {cost.mib:>6.0f}"
        )
    last = rows[-1][1]
    print(
        f"of the bars: {last.core_percent / CORE_PERCENT_BAR:.2f} × {CORE_PERCENT_BAR:g} % of a "
        f"core, {last.mib / MIB_BAR:.2f} × {MIB_BAR:g} MiB"
    )


if __name__ == "__main__":
    main()
