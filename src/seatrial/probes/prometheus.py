"""Asking a Prometheus server, through `prometheus-api-client`; every failure is a sentence.

The HTTP API: https://prometheus.io/docs/prometheus/latest/querying/api/. Retries are off: a sample
that was not taken in its second is a hole, and a late one would be of another moment.
"""

from __future__ import annotations

import ast
import datetime
import json
import math
import re
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal

import requests
from prometheus_api_client import PrometheusConnect
from prometheus_api_client.exceptions import PrometheusApiClientException
from urllib3.util import Retry

from seatrial.errors import Unavailable

#: A server whose clock differs more cannot have its samples placed on the trial's clock.
CLOCK_S_MAX: Final = 1.0
#: A range query asks for at most so many points a series (the server's own bound is 11,000).
POINTS_MAX: Final = 10_000
#: Queries that are asked together have at most so many characters (a URL's usual bound is 8 KiB).
BATCH_CHARS_MAX: Final = 4000
_EXCERPT_CHARS: Final = 120
_MARK: Final = "seatrial_probe"
_MARKED_CHARS: Final = 60

Join = Literal["one", "max", "min", "sum", "mean"]


@dataclass(frozen=True, slots=True)
class Read:
    """What was read at a moment: a number, text, or why there is neither."""

    value: float | None
    why: str = ""
    text: str | None = None


@dataclass(frozen=True, slots=True)
class Point:
    """One series of an answer: its labels, and (time in s since 1970, value) pairs."""

    labels: Mapping[str, str]
    values: tuple[tuple[float, float], ...]


class NoAnswer(Exception):
    """The server did not answer as it should; the text says how."""


class Refused(NoAnswer):
    """The server answered, and refused this query."""


class PrometheusServer:
    """One server. Calls block, so they belong into a thread; each is bounded by `timeout_s`."""

    def __init__(
        self,
        url: str,
        *,
        timeout_s: float,
        wall: Callable[[], float] = time.time,
        environment: bool = False,
    ) -> None:
        """`wall` is this side's clock (s since 1970); `environment`: use proxies and netrc."""
        self.url = url.rstrip("/")
        self.timeout_s = timeout_s
        self._wall = wall
        #: Queries that cannot be asked together with others: scalars, and those refused.
        self._alone: set[str] = set()
        session = requests.Session()
        session.trust_env = environment
        self._session = session
        self._client = PrometheusConnect(
            self.url, retry=Retry(0, read=False), session=session, timeout=timeout_s
        )

    def close(self) -> None:
        """Close the connections."""
        self._session.close()

    def ask(self, query: str, join: Join = "one") -> Read:
        """The query's value now, or why there is none."""
        before = self._wall()
        try:
            answer = self.instant(query)
        except NoAnswer as error:
            return Read(None, str(error))
        return self._read(answer, join, before)

    def ask_all(self, asked: Sequence[tuple[str, Join]]) -> list[Read]:
        """The values of many queries now, those that can be in one request a `BATCH_CHARS_MAX`.

        Each series is marked by a label with the number of its query; a union (`or`) of series
        with different labels keeps all of them. One refused query is asked alone from then on.
        """
        reads: dict[int, Read] = {}
        for batch in self._batches(asked):
            try:
                reads |= self._ask_together(asked, batch)
            except Refused:
                for number in batch:
                    reads[number] = self._ask_alone(*asked[number])
            except NoAnswer as error:
                reads |= {number: Read(None, str(error)) for number in batch}
        for number, (query, join) in enumerate(asked):
            if number not in reads:
                reads[number] = self.ask(query, join)
        return [reads[number] for number in range(len(asked))]

    def _batches(self, asked: Sequence[tuple[str, Join]]) -> list[list[int]]:
        batches: list[list[int]] = []
        room = 0
        for number, (query, _) in enumerate(asked):
            if query in self._alone:
                continue
            size = len(query) + _MARKED_CHARS
            if size > room:
                batches.append([])
                room = BATCH_CHARS_MAX
            batches[-1].append(number)
            room -= size
        return batches

    def _ask_together(
        self, asked: Sequence[tuple[str, Join]], batch: Sequence[int]
    ) -> dict[int, Read]:
        marked = [f'label_replace({asked[n][0]}\n, "{_MARK}", "{n}", "", "")' for n in batch]
        before = self._wall()
        answers: dict[int, list[Point]] = {number: [] for number in batch}
        for point in self.instant(" or ".join(marked)):
            labels = {name: value for name, value in point.labels.items() if name != _MARK}
            answers[int(point.labels[_MARK])].append(Point(labels, point.values))
        return {number: self._read(answers[number], asked[number][1], before) for number in batch}

    def _ask_alone(self, query: str, join: Join) -> Read:
        """Ask after a refusal, and remember who was to blame."""
        before = self._wall()
        try:
            answer = self.instant(query)
        except Refused as error:
            self._alone.add(query)
            return Read(None, str(error))
        except NoAnswer as error:
            return Read(None, str(error))
        if len(answer) == 1 and not answer[0].labels:  # a scalar has no label to be marked by
            self._alone.add(query)
        return self._read(answer, join, before)

    def _read(self, answer: Sequence[Point], join: Join, before: float) -> Read:
        read = joined([(point.labels, point.values[0][1]) for point in answer], join)
        if read.value is None:
            return read
        return skewed(answer[0].values[0][0], before, self._wall()) or read

    def instant(self, query: str) -> tuple[Point, ...]:
        """An instant query without a time: the series of its answer. Raises `NoAnswer`."""
        found = self._call(lambda: self._client.custom_query(query))
        return _points(found, query)

    def range(self, query: str, start: float, end: float, step_s: float) -> tuple[Point, ...]:
        """A range query, from and to in s since 1970. Raises `NoAnswer`."""
        parts: dict[str, tuple[Mapping[str, str], list[tuple[float, float]]]] = {}
        at = start
        while at <= end:
            until = min(end, at + POINTS_MAX * step_s)
            for point in _points(self._range(query, at, until, step_s), query):
                key = json.dumps(point.labels, sort_keys=True)
                parts.setdefault(key, (point.labels, []))[1].extend(point.values)
            at = until + step_s
        return tuple(Point(labels, tuple(values)) for labels, values in parts.values())

    def _range(self, query: str, start: float, end: float, step_s: float) -> Any:
        def moment(seconds: float) -> datetime.datetime:
            return datetime.datetime.fromtimestamp(seconds, datetime.UTC)

        return self._call(
            lambda: self._client.custom_query_range(
                query, moment(start), moment(end), f"{step_s:g}s"
            )
        )

    def refuses(self, query: str) -> str:
        """What the server says against the query, empty if nothing. Raises `Unavailable`."""
        try:
            self.instant(query)
        except Refused as error:
            return str(error)
        except NoAnswer as error:
            raise Unavailable(
                f"{error}\n\nhint: is this the address of a Prometheus server?"
            ) from None
        return ""

    def clock(self) -> str:
        """Why the server's clock cannot be used, empty if it agrees with this side's."""
        before = self._wall()
        try:
            answer = self.instant("time()")
        except NoAnswer as error:
            return str(error)
        found = skewed(answer[0].values[0][1], before, self._wall())
        return "" if found is None else found.why

    def _call(self, call: Callable[[], Any]) -> Any:
        try:
            return call()
        except requests.Timeout:
            raise NoAnswer(f"{self.url} gave no answer within {self.timeout_s:g} s") from None
        except requests.JSONDecodeError as error:
            raise NoAnswer(f"{self.url} answered what is not JSON: {_cut(error.doc)}") from None
        except requests.ConnectionError as error:
            raise NoAnswer(f"{self.url} cannot be reached: {_root(error)}") from None
        except requests.RequestException as error:
            raise NoAnswer(f"{self.url}: {type(error).__name__}: {error}") from None
        except PrometheusApiClientException as error:
            raise Refused(f"{self.url} {_refusal(str(error))}") from None
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            what = f"{type(error).__name__}: {error}"
            raise NoAnswer(f"{self.url} answered what is no Prometheus answer ({what})") from None


def skewed(told: float, before: float, after: float) -> Read | None:
    """A reading that says how far the server's clock is off; None if it is not."""
    if before - CLOCK_S_MAX <= told <= after + CLOCK_S_MAX:
        return None
    off = told - (before + after) / 2
    how = "ahead of" if off > 0 else "behind"
    return Read(None, f"Prometheus' clock is {abs(off):.1f} s {how} this machine's")


def joined(found: Sequence[tuple[Mapping[str, str], float]], join: Join) -> Read:
    """The value of one moment from all its series, or why there is none."""
    if not found:
        return Read(None, "the query returned nothing")
    values = [value for _, value in found]
    if join == "one" and len(values) > 1:
        named = "; ".join(_labels(labels) for labels, _ in found[:3])
        more = ", …" if len(found) > 3 else ""
        return Read(
            None,
            f"the query returned {len(found)} series where one is meant ({named}{more}): "
            "aggregate it, or say `series: max`",
        )
    if any(math.isnan(value) for value in values):
        return Read(None, "the query returned NaN")
    functions: Mapping[str, Callable[[list[float]], float]] = {
        "one": lambda v: v[0],
        "max": max,
        "min": min,
        "sum": math.fsum,
        "mean": lambda v: math.fsum(v) / len(v),
    }
    return Read(functions[join](values))


def _labels(labels: Mapping[str, str]) -> str:
    inside = ", ".join(f'{name}="{value}"' for name, value in labels.items() if name != "__name__")
    return f"{labels.get('__name__', '')}{{{inside}}}"


def _points(result: Any, query: str) -> tuple[Point, ...]:
    """The `result` of an answer: a vector, a matrix, or a scalar."""
    try:
        if len(result) == 2 and isinstance(result[1], str):  # a scalar, or a string
            return (Point({}, ((float(result[0]), _float(result[1], query)),)),)
        out = []
        for series in result:
            pairs = series["values"] if "values" in series else [series["value"]]
            values = tuple((float(t), _float(v, query)) for t, v in pairs)
            out.append(Point(series["metric"], values))
        return tuple(out)
    except (KeyError, TypeError, ValueError, IndexError) as error:
        raise NoAnswer(f"the answer to {query!r} has an unknown form: {error}") from None


def _float(text: str, query: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise NoAnswer(f"the query {query!r} gives the text {text!r}, no number") from None


def _refusal(text: str) -> str:
    """What a status other than 200 says: the server's own words where it has some.

    The client library's message is `HTTP Status Code 400 (b'…')`, with the body as Python has it.
    """
    status = re.search(r"HTTP Status Code (\d+) \((.*)\)$", text, re.DOTALL)
    if status is None:
        return f"refused: {_cut(text)}"
    code, shown = status.groups()
    try:
        body = ast.literal_eval(shown).decode("utf-8", errors="replace")
        said = str(json.loads(body)["error"])
    except (ValueError, SyntaxError, AttributeError, KeyError, TypeError):
        said = _cut(shown)
    return f"refused the query (status {code}): {said}"


def _cut(text: str) -> str:
    flat = " ".join(text.split())
    return repr(flat if len(flat) <= _EXCERPT_CHARS else flat[:_EXCERPT_CHARS] + "…")


def _root(error: BaseException) -> str:
    """The innermost reason of a connection that failed."""
    text = str(error)
    found = re.search(r"\[Errno -?\d+\] ([^')\"]+)|(Remote end closed[^')\"]*)", text)
    return (found.group(1) or found.group(2)).strip() if found else _cut(text)
