"""Every way in which a Prometheus server can fail to tell, on a real one: a reason, no number."""

from __future__ import annotations

import asyncio
import math
import shutil
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from seatrial.errors import Unavailable, UsageError
from seatrial.history.windows import FaultWindow
from seatrial.probe import PrometheusProbe
from seatrial.probes.prometheus import PrometheusServer
from seatrial.probes.promql import selectors
from seatrial.probes.raw import RawLook
from seatrial.probes.sampler import Question, Sampler
from seatrial.samples import Finding, SampleWriter, read_samples
from seatrial.steady.reading import SteadyStateResult
from seatrial.steady.sampled import Setting, judge
from seatrial.steady.series import Span
from seatrial.steady_state import SteadyState, Tolerance
from seatrial.verdict import Validity
from tests.probes.real import Exporter, Server, running, until

pytestmark = [
    pytest.mark.full,
    pytest.mark.skipif(shutil.which("prometheus") is None, reason="no prometheus is installed"),
]

Running = tuple[Exporter, Server]


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """One server for all tests that leave it as it was."""
    with running(tmp_path_factory.mktemp("prometheus")) as found:
        yield found


@pytest.fixture
def client(shared: Running) -> Iterator[PrometheusServer]:
    server = PrometheusServer(shared[1].url, timeout_s=5)
    yield server
    server.close()


def wait_for(client: PrometheusServer, query: str, value: float) -> None:
    until(lambda: client.ask(query).value == value, f"{query} is {value}")


def test_a_query_that_is_answered_is_a_number(shared: Running, client: PrometheusServer) -> None:
    shared[0].text = "depth 42\n"

    wait_for(client, "depth", 42)


def test_a_wrong_address_says_that_nobody_is_there() -> None:
    with_nobody = PrometheusServer("http://127.0.0.1:9", timeout_s=1)

    read = with_nobody.ask("up")

    assert read.value is None
    assert read.why == "http://127.0.0.1:9 cannot be reached: Connection refused"
    with pytest.raises(Unavailable, match="Connection refused\n\nhint: is this the address"):
        with_nobody.refuses("up")


def test_a_wrong_query_is_refused_in_the_servers_own_words(client: PrometheusServer) -> None:
    said = client.refuses("sum(rate(")

    assert "refused the query (status 400)" in said
    assert "parse error" in said
    assert client.ask("sum(rate(").why == said


def test_a_trial_does_not_begin_with_a_wrong_query(shared: Running, tmp_path: Path) -> None:
    async def check() -> None:
        sampler = Sampler(
            [Question(0, "depth", PrometheusProbe(query="sum(rate("))],
            prometheus_url=shared[1].url,
            nodes=(),
            clock=time.monotonic_ns,
            writer=SampleWriter(tmp_path / "samples.jsonl"),
        )
        try:
            await sampler.check()
        finally:
            await sampler.close()

    with pytest.raises(UsageError, match=r"steady state 'depth': .*parse error"):
        asyncio.run(check())


def test_an_empty_result_is_no_number(client: PrometheusServer) -> None:
    assert client.ask("nobody_knows_me") == client.ask("vector(1) > 2")
    assert client.ask("nobody_knows_me").why == "the query returned nothing"


def test_many_series_where_one_is_meant_are_named(
    shared: Running, client: PrometheusServer
) -> None:
    shared[0].text = 'lag{shard="a"} 3\nlag{shard="b"} 5\n'
    wait_for(client, "count(lag)", 2)

    assert 'returned 2 series where one is meant (lag{instance="n1"' in client.ask("lag").why
    assert [client.ask("lag", join).value for join in ("max", "min", "sum", "mean")] == [5, 3, 8, 4]


def test_not_a_number_is_no_number(shared: Running, client: PrometheusServer) -> None:
    shared[0].text = "ratio NaN\n"
    until(lambda: client.ask("ratio").why != "the query returned nothing", "ratio is scraped")

    read = client.ask("ratio")
    assert (read.value, read.why) == (None, "the query returned NaN")


def test_infinite_is_a_number(shared: Running, client: PrometheusServer) -> None:
    shared[0].text = "p99 +Inf\n"

    wait_for(client, "p99", math.inf)


def test_an_answer_that_is_not_json_is_shown(shared: Running) -> None:
    shared[0].text = "<html>Welcome to the hotel</html>"
    other = PrometheusServer(f"http://{shared[0].address}", timeout_s=1)

    read = other.ask("up")

    assert read.value is None
    assert "answered what is not JSON: '<html>Welcome to the hotel</html>'" in read.why


def test_a_slow_answer_is_given_up(shared: Running) -> None:
    hasty = PrometheusServer(shared[1].url, timeout_s=0.3)
    shared[1].send(signal.SIGSTOP)
    try:
        began = time.monotonic()
        read = hasty.ask("up")
        took = time.monotonic() - began
    finally:
        shared[1].send(signal.SIGCONT)

    assert read.value is None
    assert read.why.endswith("gave no answer within 0.3 s")
    assert took < 3


@pytest.mark.parametrize(
    ("ahead_s", "said"),
    [(-30.0, "Prometheus' clock is 30.0 s ahead of"), (45.0, "Prometheus' clock is 45.0 s behind")],
)
def test_a_clock_that_differs_makes_no_reading(shared: Running, ahead_s: float, said: str) -> None:
    """This side's clock is moved; the server's is the machine's."""
    skewed = PrometheusServer(shared[1].url, timeout_s=5, wall=lambda: time.time() + ahead_s)

    read = skewed.ask("vector(1)")

    assert read.value is None
    assert read.why.startswith(said)
    assert skewed.clock().startswith(said)


def test_many_queries_in_one_request_read_as_each_alone(
    shared: Running, client: PrometheusServer
) -> None:
    shared[0].text = 'lag{shard="a"} 3\nlag{shard="b"} 5\ndepth 42\nratio NaN\n'
    wait_for(client, "max(depth) + sum(lag)", 50)
    queries = ["depth", "lag", "7", "sum(rate(", "nobody_knows_me", "ratio", "max(lag) # the most"]

    together = client.ask_all([(query, "one") for query in queries])

    assert together == [client.ask(query) for query in queries]
    assert client.ask_all([(query, "one") for query in queries]) == together


# ── what an instant query does not show ──────────────────────────────────────────────────────


def sampled(
    shared: Running, tmp_path: Path, query: str, happen: list[tuple[float, str]], seconds: float
) -> tuple[SteadyStateResult, dict[str, list[Finding]]]:
    """Sample for some seconds while the exporter changes; the judged steady state.

    `happen`: from when on the exporter says what; `!` silences it.
    """
    probe = PrometheusProbe(query=query, interval_s=0.2, gap_s=1.0, reduce="max")
    state = SteadyState(name="it", probe=probe, before=Tolerance(max=1e9))
    path = tmp_path / "samples.jsonl"

    async def sample() -> tuple[int, int]:
        sampler = Sampler(
            [Question(0, "it", probe)],
            prometheus_url=shared[1].url,
            nodes=(),
            clock=time.monotonic_ns,
            writer=SampleWriter(path),
        )
        assert await sampler.warm_up(10) == ()
        sampler.start()
        began = time.monotonic_ns()
        for at, text in [*happen, (seconds, "")]:
            await asyncio.sleep(max(0.0, at - (time.monotonic_ns() - began) / 1e9))
            if text:
                shared[0].silent = text == "!"
                shared[0].text = text if text != "!" else shared[0].text
        ended = time.monotonic_ns()
        await sampler.close()
        return began, ended

    began, ended = asyncio.run(sample())
    shared[0].silent = False
    recorded = read_samples([path])[0]
    span = Span(began, ended, "before the faults")
    result = judge(state, recorded, Setting({"before": span}, span, (), {}), None)
    kinds: dict[str, list[Finding]] = {"gap": [], "reset": []}
    for found in recorded.findings:
        kinds[found.kind].append(found)
    return result, kinds


def test_without_a_flaw_it_is_valid(shared: Running, tmp_path: Path) -> None:
    shared[0].text = "depth 42\n"

    result, kinds = sampled(shared, tmp_path, "max(depth)", [], 2.0)

    assert (result.validity, kinds) == (Validity.VALID, {"gap": [], "reset": []}), result.cause


def test_a_gap_of_scrapes_is_unknown(shared: Running, tmp_path: Path) -> None:
    """The exporter is silent for two seconds; before and after it, all is well."""
    shared[0].text = "depth 42\n"

    result, kinds = sampled(
        shared, tmp_path, "last_over_time(depth[1m])", [(0.6, "!"), (2.6, "depth 42\n")], 3.6
    )

    assert result.validity is Validity.UNKNOWN, result.cause
    assert "depth of n1 was not scraped for" in result.cause
    (gap,) = kinds["gap"]
    assert (gap.to_ns - gap.from_ns) / 1e9 == pytest.approx(2.0, abs=0.7)


def test_a_series_that_ended_is_unknown(shared: Running, tmp_path: Path) -> None:
    """The exporter no longer tells it: a stale series gives no answer."""
    shared[0].text = "depth 42\n"

    result, _ = sampled(shared, tmp_path, "depth", [(0.6, "other 1\n")], 2.6)

    assert result.validity is Validity.UNKNOWN
    assert "nothing was read for" in result.cause
    assert "the query returned nothing" in result.cause


def test_a_stale_series_that_still_answers_is_unknown(shared: Running, tmp_path: Path) -> None:
    """With a timestamp of its own a series is answered for five minutes after its last sample."""
    shared[0].text = f"cached 7 {round(time.time() * 1000)}\n"

    result, kinds = sampled(shared, tmp_path, "cached", [], 2.6)

    assert len(kinds["gap"]) == 1
    assert result.validity is Validity.UNKNOWN
    assert "cached of n1 was not scraped for" in result.cause


def test_a_counter_that_begins_again_is_unknown(shared: Running, tmp_path: Path) -> None:
    """A process that was restarted: `increase` alone would read on as if nothing were lost."""
    shared[0].text = "errors_total 900\n"

    result, kinds = sampled(
        shared, tmp_path, "sum(increase(errors_total[2s]))", [(1.0, "errors_total 1\n")], 2.4
    )

    (reset,) = kinds["reset"]
    assert "the counter errors_total of n1 began again" in reset.sentence
    assert "(from 900 to 1;" in reset.sentence
    assert result.validity is Validity.UNKNOWN
    assert "began again" in result.cause


def test_a_server_that_is_restarted_leaves_a_hole(tmp_path: Path) -> None:
    """Its answers before and after look whole: the five minutes of lookback hide the time away."""
    probe = PrometheusProbe(query="depth", interval_s=0.2, gap_s=0.6, reduce="max")
    state = SteadyState(name="it", probe=probe, before=Tolerance(max=100))
    path = tmp_path / "samples.jsonl"
    with running(tmp_path) as (exporter, server):
        exporter.text = "depth 42\n"

        async def sample() -> Span:
            sampler = Sampler(
                [Question(0, "it", probe)],
                prometheus_url=server.url,
                nodes=(),
                clock=time.monotonic_ns,
                writer=SampleWriter(path),
            )
            assert await sampler.warm_up(10) == ()
            sampler.start()
            began = time.monotonic_ns()
            await asyncio.sleep(0.5)
            await asyncio.to_thread(server.stop)
            await asyncio.sleep(0.7)
            await asyncio.to_thread(server.start)
            await asyncio.sleep(0.7)
            ended = time.monotonic_ns()
            await sampler.close()
            return Span(began, ended, "before the faults")

        span = asyncio.run(sample())

    result = judge(state, read_samples([path])[0], Setting({"before": span}, span, (), {}), None)
    assert result.validity is Validity.UNKNOWN
    assert "cannot be reached: Connection refused" in result.cause


def test_what_a_planned_fault_explains_is_excused_for_its_victim_only(
    shared: Running, client: PrometheusServer
) -> None:
    """The same raw samples: a fault on n1 explains its gap if the probe says so, one on n2 not."""
    found = Finding(0, "gap", 10, 20, "n1", "n1 was not scraped")

    def doubtful(victim: str, excuse: bool) -> int:
        from seatrial.samples import NOTHING, Recorded
        from seatrial.steady.series import from_recorded

        recorded = Recorded(NOTHING.t_ns, NOTHING.value, (), (), (found,))
        window = FaultWindow("fault-1", "kill", (victim,), 9, 10, 18, 19)
        series = from_recorded(
            recorded, step_s=1, gap_s=5, excuse_victims=excuse, windows=(window,)
        )
        return len(series.findings)

    assert [doubtful("n1", True), doubtful("n1", False), doubtful("n2", True)] == [0, 1, 1]


def test_looks_that_overlap_tell_a_gap_once(shared: Running, client: PrometheusServer) -> None:
    shared[0].text = "twice 42\n"
    wait_for(client, "twice", 42)
    (selector,) = selectors("twice")
    look = RawLook(selector, {0: 1.0}, time.time())

    def place(moment: float) -> int:
        return round(moment * 1e9)

    shared[0].silent = True
    until(lambda: time.time() - look.began > 1.5, "a gap of more than a second")
    shared[0].silent = False
    until(lambda: client.ask("twice").value == 42, "it is back")

    found = [look.look(client, time.time(), place, last=last) for last in (False, True)]
    assert [len(gaps) for gaps in found] == [1, 0]
