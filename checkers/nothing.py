"""What a history with nothing to judge is worth.

No evidence is never `valid`: such a history is `unknown`. Some of Jepsen's checkers answer it with
a verdict all the same (`unique-ids`, `queue` and `total-queue` say `true` of no op, `kafka` counts
a graph without edges as an error). Who compares the two tools can ask for that answer: the
setting `empty` = `jepsen`. The cause then says that nothing was judged.
"""

from __future__ import annotations

from collections.abc import Mapping

from seatrial.checker import CheckOptions
from seatrial.checkers.settings import choice
from seatrial.verdict import Anomaly, Json, Validity, Verdict


def as_jepsen(options: CheckOptions, checker: str) -> bool:
    """Whether Jepsen's answer is wanted."""
    return choice(options, checker, "empty", ("unknown", "jepsen")) == "jepsen"


def nothing(
    cause: str,
    jepsen: Validity,
    *,
    wanted: bool,
    anomalies: tuple[Anomaly, ...] = (),
    details: Mapping[str, Json] | None = None,
) -> Verdict:
    """`unknown`, or Jepsen's answer where it is wanted."""
    if not wanted:
        return Verdict.unknown(cause, anomalies=anomalies, details=details)
    said = f"{cause}: nothing was judged; Jepsen's checker calls this {jepsen.value}"
    return Verdict(jepsen, said, anomalies=anomalies, details=details or {})
