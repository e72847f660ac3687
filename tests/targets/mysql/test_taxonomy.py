"""Each error of the taxonomy, told by a server over the wire: at a statement, and at COMMIT."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from seatrial.target import OpFailed, OpUnknown
from seatrial.targets.mysql import make_galera, make_tidb
from seatrial.targets.mysql.client import SqlClient
from seatrial.targets.mysql.errors import AT_COMMIT, CLIENT_ERRORS
from seatrial.targets.mysql.galera import STATUS_AGREED
from seatrial.targets.mysql.settings import Access
from tests.targets.mysql.scripted import Answer, Cut, Hang, Refusal, Rows, Script, scripted

TIMEOUT_S = 0.4
#: What a server tells by itself; the others are the client library's.
TOLD = sorted(number for number in AT_COMMIT if number not in CLIENT_ERRORS)
CERTAIN = {1213, 8002, 8022, 9007}
VIEW = ("VARIABLE_NAME", "VARIABLE_VALUE")

Outcome = type[OpFailed] | type[OpUnknown] | None
Op = Callable[[SqlClient], Awaitable[None]]


async def write(sql: SqlClient) -> None:
    await sql.write("k", 1)


async def read(sql: SqlClient) -> None:
    await sql.read("k")


def outcome(script: Script, op: Op = write) -> tuple[Outcome, str, list[str]]:
    """What an op is told to have been, by which words, and what the server heard."""

    async def run() -> tuple[Outcome, str, list[str]]:
        async with scripted(script) as server:
            sql = SqlClient(server.node, Access(), "repeatable-read", timeout_s=TIMEOUT_S)
            try:
                await op(sql)
            except (OpFailed, OpUnknown) as error:
                return type(error), str(error), server.heard
            finally:
                await sql.close()
            return None, "", server.heard

    return asyncio.run(run())


def at(place: str, answer: Answer) -> Script:
    """Everything is OK but the statements that begin so."""
    return lambda statement: answer if statement.startswith(place) else None


def test_the_certain_ones_are_those_that_are_documented() -> None:
    assert {number for number, rule in AT_COMMIT.items() if rule.certain} == CERTAIN


@pytest.mark.parametrize("number", TOLD)
def test_at_a_statement_every_error_is_a_failure_that_is_rolled_back(number: int) -> None:
    kind, text, heard = outcome(at("INSERT", Refusal(number)))

    assert kind is OpFailed and text.startswith(f"{number}: ")
    assert heard[-1].upper() == "ROLLBACK"
    assert "COMMIT" not in [statement.upper() for statement in heard]


@pytest.mark.parametrize("number", TOLD)
def test_at_commit_only_what_is_documented_to_be_rolled_back_is_a_failure(number: int) -> None:
    kind, text, _ = outcome(at("COMMIT", Refusal(number)))

    assert kind is (OpFailed if number in CERTAIN else OpUnknown)
    assert text.startswith(f"{number}: ") and "unclassified" not in text


def test_an_error_at_commit_that_no_rule_knows_is_unknown_and_says_so() -> None:
    kind, text, _ = outcome(at("COMMIT", Refusal(1105, "tikv aborts txn")))

    assert kind is OpUnknown and text == "1105: tikv aborts txn (unclassified)"


@pytest.mark.parametrize("fault", [Hang(), Cut()], ids=["silence", "cut"])
def test_a_connection_that_breaks_is_unknown_at_commit_and_a_failure_before(
    fault: Answer,
) -> None:
    assert outcome(at("COMMIT", fault))[0] is OpUnknown
    assert outcome(at("INSERT", fault))[0] is OpFailed
    assert outcome(at("START", fault))[0] is OpFailed


@pytest.mark.parametrize("answer", [Refusal(9005), Hang(), Cut()], ids=["error", "silence", "cut"])
def test_a_read_is_never_unknown(answer: Answer) -> None:
    assert outcome(at("COMMIT", answer), read)[0] is OpFailed


# ── Galera: a refusal is certain only where the group stood still ────────────────────────────────


def group(conf_id: list[int], status: list[str]) -> Script:
    """A node that tells these views one after the other, the last one for ever; COMMIT is 1213."""

    def script(statement: str) -> Answer:
        if statement == STATUS_AGREED:
            view = conf_id.pop(0) if len(conf_id) > 1 else conf_id[0]
            said = status.pop(0) if len(status) > 1 else status[0]
            return Rows(
                VIEW, [("WSREP_CLUSTER_CONF_ID", str(view)), ("WSREP_CLUSTER_STATUS", said)]
            )
        return Refusal(1213) if statement == "COMMIT" else None

    return script


def of_galera(script: Script) -> tuple[Outcome, str]:
    async def run() -> tuple[Outcome, str]:
        async with scripted(script) as server:
            sql = await make_galera({}).connect(server.node, timeout_s=TIMEOUT_S)
            try:
                await sql.write("k", 1)
            except (OpFailed, OpUnknown) as error:
                return type(error), str(error)
            finally:
                await sql.close()
            return None, ""

    return asyncio.run(run())


def test_a_conflict_is_a_failure_while_the_group_is_the_same() -> None:
    assert of_galera(group([5], ["Primary"]))[0] is OpFailed


@pytest.mark.parametrize(
    ("conf_id", "status"),
    [([5, 6], ["Primary"]), ([5], ["Primary", "non-Primary"]), ([5], ["non-Primary"])],
    ids=["another view", "no majority any more", "no majority from the beginning"],
)
def test_a_conflict_is_unknown_where_the_group_changed(
    conf_id: list[int], status: list[str]
) -> None:
    kind, text = of_galera(group(conf_id, status))

    assert kind is OpUnknown and "left its group" in text


def test_a_conflict_is_unknown_where_the_node_does_not_say() -> None:
    seen: list[str] = []

    def script(statement: str) -> Answer:
        if statement == STATUS_AGREED:
            seen.append(statement)
            return Refusal(1205) if len(seen) > 1 else group([5], ["Primary"])(statement)
        return Refusal(1213) if statement == "COMMIT" else None

    assert of_galera(script)[0] is OpUnknown


# ── TiDB: its settings are in every session ──────────────────────────────────────────────────────


@pytest.mark.parametrize(("pessimistic", "mode"), [(True, "pessimistic"), (False, "optimistic")])
def test_a_session_has_the_mode_and_never_retries_by_itself(pessimistic: bool, mode: str) -> None:
    async def run() -> list[str]:
        async with scripted(lambda _: None) as server:
            target = make_tidb({"pessimistic": pessimistic})
            sql = await target.connect(server.node, timeout_s=TIMEOUT_S)
            await sql.write("k", 1)
            await sql.close()
            return server.heard

    heard = asyncio.run(run())
    assert f"SET SESSION tidb_txn_mode = '{mode}'" in heard
    assert "SET SESSION tidb_retry_limit = 0" in heard
    assert heard.index("START TRANSACTION") > heard.index("SET SESSION tidb_retry_limit = 0")


@pytest.mark.parametrize("lock_reads", [True, False])
def test_reads_of_a_transaction_that_writes_lock_if_they_are_to(lock_reads: bool) -> None:
    async def run() -> list[str]:
        async with scripted(
            lambda text: Rows(("v",)) if text.startswith("SELECT") else None
        ) as server:
            sql = await make_tidb({"lock_reads": lock_reads}).connect(
                server.node, timeout_s=TIMEOUT_S
            )
            await sql.transact((("r", 1, None), ("append", 1, 2)))
            await sql.transact((("r", 1, None),))
            await sql.close()
            return [text for text in server.heard if text.startswith("SELECT")]

    writes, reads = asyncio.run(run())
    assert writes.endswith(" FOR UPDATE") is lock_reads
    assert not reads.endswith(" FOR UPDATE")
