"""Reading and writing EDN: the scanner against the general reader, and what neither takes."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from seatrial.errors import BadData
from seatrial.history import History, HistoryBuilder, Kind, edn
from seatrial.history.edn import op_of, read_edn, slow_ops, write_edn
from seatrial.history.edn_text import parse
from seatrial.history.fields import settled
from seatrial.history.merge import lift_keys
from seatrial.op import NEMESIS, Op, Type


@pytest.fixture(autouse=True, scope="module", params=["scanner", "general reader"])
def reader(request: pytest.FixtureRequest) -> Iterator[None]:
    """Every test here runs with the compiled scanner, and as small files are read."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(edn, "SMALL_BYTES", 0 if request.param == "scanner" else 1 << 20)
        yield


SCALARS = [
    "nil", "true", "false", "0", "-7", "+5", "007", "123456789012345678", "4611686018427387904",
    "99999999999999999999N", "-99999999999999999999", "1.5", "-2e3", "1M", "1/3", "##Inf", "##-Inf",
    ":a", ":a/b", ":7", '"a"', '"7"', '"a\\"b"', '"\\u00e9"', '""', "sym", "truex", "fal",
    "-", "->x",
    "\\a", "\\newline", '"é ✓"', "#inst \"2020\"", "\\(", "0x1F", ";c\n 3", "#_ 9 4", "^:m 5",
]  # fmt: skip
SCALAR = st.sampled_from(SCALARS)
MICRO = st.builds(
    lambda o, f, k, v: f"{o[0]}{f} {k} {v}{o[1]}",
    st.sampled_from(["[]", "()"]),
    st.sampled_from([":r", ":append", '"w"', "s"]) | SCALAR,
    SCALAR,
    SCALAR | st.lists(SCALAR, max_size=3).map(lambda v: f"[{' '.join(v)}]"),
)
FORM = st.recursive(
    SCALAR,
    lambda inner: st.one_of(
        st.lists(inner, max_size=4).map(lambda v: f"[{' '.join(v)}]"),
        st.lists(inner, max_size=3).map(lambda v: f"({', '.join(v)})"),
        st.lists(inner, max_size=3).map(lambda v: f"#{{{' '.join(v)}}}"),
        st.lists(st.tuples(SCALAR, inner), max_size=3).map(
            lambda v: "{" + ", ".join(f"{k} {i}" for k, i in v) + "}"
        ),
    ),
    max_leaves=8,
)
VALUE = st.one_of(FORM, st.lists(MICRO, max_size=3).map(lambda v: f"[{' '.join(v)}]"))
OPTIONAL = st.fixed_dictionaries(
    {":type": st.sampled_from([":invoke", ":ok", ":fail", ":info"])},
    optional={
        ":index": st.sampled_from(["0", "3", "nil", "-1"]),
        ":time": st.sampled_from(["12", "nil", "-1", "5N"]),
        ":process": st.sampled_from(["0", "7", ":nemesis", "nil"]),
        ":f": st.sampled_from([":read", "nil", '"w"', ":a-b"]),
        ":value": VALUE,
        ":key": st.sampled_from(['"4"', "4", "nil", ":k"]),
        ":error": FORM,
        ":link": FORM,
        ":exception": st.just('#error {:via [{:type java.E}] :cause "x ] }"}'),
    },
)
OP_TEXT = OPTIONAL.flatmap(lambda d: st.permutations(list(d.items()))).map(
    lambda pairs: "{" + ", ".join(f"{k} {v}" for k, v in pairs) + "}"
)


def general(path: Path) -> History:
    """The history as the general reader alone understands it."""
    ops = list(slow_ops(path))
    history = HistoryBuilder().extend(ops).history()
    return settled(history, all(op.f for op in ops), any(op.index < 0 for op in ops))


def same(left: History, right: History) -> None:
    """Both hold the same ops, laid out the same way."""
    assert list(map(repr, left.ops())) == list(map(repr, right.ops()))
    assert left.kind.tolist() == right.kind.tolist()
    assert left.element_start.tolist() == right.element_start.tolist()
    assert left.micro.kind.tolist() == right.micro.kind.tolist()
    assert left.micro.start.tolist() == right.micro.start.tolist()
    assert left.micro.element_start.tolist() == right.micro.element_start.tolist()


@settings(max_examples=100, deadline=None)
@given(ops=st.lists(OP_TEXT, max_size=5), style=st.integers(0, 2))
def test_the_scanner_reads_what_the_general_reader_reads(
    tmp_path_factory: pytest.TempPathFactory, ops: list[str], style: int
) -> None:
    """Any ops, tagged or not, in a vector or one a line: both readers agree on every column."""
    path = tmp_path_factory.mktemp("h") / "history.edn"
    if style == 1:
        text = "; a comment\n[" + "\n ".join(ops) + "]"
    else:
        text = "\n".join(f"#jepsen.history.Op{op}" if style else op for op in ops)
    path.write_text(text, encoding="utf-8")
    try:
        expected = general(path)
    except ValueError:
        with pytest.raises(BadData, match="line"):
            read_edn(path)
        return
    same(read_edn(path), expected)


TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=6)
ATOM = st.one_of(st.none(), st.booleans(), st.integers(-(2**70), 2**70), st.floats(), TEXT)
TREE = st.recursive(
    ATOM,
    lambda inner: (
        st.lists(inner, max_size=3).map(tuple)
        | st.dictionaries(st.sampled_from(["a", "7", "-1", "-0", "x y"]), inner, max_size=3)
    ),
    max_leaves=6,
)
OPS = st.lists(
    st.builds(
        Op,
        type=st.sampled_from(Type),
        process=st.integers(NEMESIS, 9),
        f=st.sampled_from(["read", "txn", "two words", "é"]),
        value=TREE | st.lists(st.tuples(st.sampled_from("rwx"), ATOM, ATOM), max_size=3).map(tuple),
        time_ns=st.integers(-1, 2**62),
        error=st.sampled_from([None, "timeout", 'a "b" \\ c', ""]),
    ),
    max_size=6,
)


@settings(max_examples=60, deadline=None)
@given(ops=OPS)
def test_what_is_written_reads_back(
    tmp_path_factory: pytest.TempPathFactory, ops: list[Op]
) -> None:
    """A history written as EDN reads back the same."""
    path = tmp_path_factory.mktemp("h") / "history.edn"
    history = HistoryBuilder().extend(ops).history()
    write_edn(history, path)
    same(read_edn(path), history)


def test_equal_sets_are_equal_values_however_they_are_written(tmp_path: Path) -> None:
    """A set has no order: that of a hash table must not make two values of one."""
    path = tmp_path / "history.edn"
    sets = ("#{3 1 -2}", "#{-2 1 3}", '{:a #{"x" 1 [2]}}', '{:a #{1 [2] "x"}}', "#{x :b 2}")
    path.write_text(
        "".join(f"{{:type :ok :process 0 :f :read :value {text}}}\n" for text in sets)
        + "{:type :ok :process 0 :f :read :value #{3 1 -2} :exception #error{:a 1} :x #_y 1}\n"
    )
    first, again, deep, deep_again, _, slow = (op.value for op in read_edn(path).ops())
    assert first == again == slow == (-2, 1, 3)
    assert deep == deep_again


def test_jepsens_own_shapes(tmp_path: Path) -> None:
    """Keywords lose their colon, lists and sets become tuples, the nemesis its number."""
    path = tmp_path / "history.edn"
    path.write_text(
        "; two spellings\n[#jepsen.history.Op{:process :nemesis, :type :info, :f :start\n"
        ' :value {:n1 #{"n2"}}}\n'
        '{:f :txn :type :ok :process 3 :time 5 :value ([:append :x 1] [:r 9 #{3 1}] [:w "k" nil])'
        '\n :error [:timeout "gone"] :link 4}]\n'
    )
    first, second = read_edn(path).ops()
    assert first == Op(Type.INFO, NEMESIS, "start", {"n1": ("n2",)}, None, -1, None, 0)
    assert second.value == (("append", "x", 1), ("r", 9, (1, 3)), ("w", "k", None))
    assert (second.error, second.index, second.time_ns) == ('["timeout","gone"]', 1, 5)


def test_missing_f_is_txn_for_transactions_only(tmp_path: Path) -> None:
    """Transactions, also the empty one, are `txn`; other ops without `f` have none."""
    path = tmp_path / "history.edn"
    values = ["[[:r 1 nil]]", "[]", "[1 2]", "3", "nil"]
    path.write_text("\n".join(f"{{:type :ok :value {v} :f nil}}" for v in values))
    assert [op.f for op in read_edn(path).ops()] == ["txn", "txn", "", "", ""]


def test_indexes_stay_only_if_all_are_there_and_ascend(tmp_path: Path) -> None:
    """One missing or repeated index, and the ops are counted from 0."""
    path = tmp_path / "history.edn"
    for indexes, kept in (((3, 8), [3, 8]), ((1, 1), [0, 1]), ((2, -1), [0, 1])):
        path.write_text("\n".join(f"{{:type :ok :index {i}}}" for i in indexes))
        assert read_edn(path).index.tolist() == kept
    path.write_text("{:type :ok :index 5}\n{:type :ok}")
    assert read_edn(path).index.tolist() == [0, 1]


@pytest.mark.parametrize(
    ("text", "line", "why"),
    [
        ("{:type :ok}\n{:type :ok :value [1 2}\n", 2, "never closed"),
        ("{:type :ok}\n\n{:type :ok :value [1 2]\n", 3, "never closed"),
        ("[{:type :ok}\n{:type :ok}\n", 2, "never closed"),
        ("{:type :ok}\nnil\n", 2, "no op"),
        ("{:type :ok}\n}\n", 2, "no op"),
        ("{:type :ok}\n{:process 3 :f :read}\n", 2, "without a type"),
        ("{:type :maybe}\n", 1, "not '\"maybe\"'"),
        ("{:type :ok :process -4}\n", 1, "not '-4'"),
        ("{:type :ok :process 1}\n{:type :ok :process 9999999999}\n", 2, "9999999999"),
        ('{:type :ok :value "abc}\n', 1, "never closed"),
        ("{:type :ok :value {:a}}\n", 1, "key without a value"),
        ("{:type :ok :value " + "[" * 500 + "]" * 500 + "}", 1, "deeper"),
        ("{:type :ok}\n{:type :ok :value " + "9" * 5000 + "}", 2, "4300"),
    ],
)
def test_malformed_ops_are_named_with_their_line(
    tmp_path: Path, text: str, line: int, why: str
) -> None:
    """The message has the line, the reason and the beginning of the op."""
    path = tmp_path / "history.edn"
    path.write_text(text)
    with pytest.raises(BadData, match=f"line {line}: ") as caught:
        read_edn(path)
    assert why in str(caught.value)
    assert len(str(caught.value)) < 400 + len(str(path))


def test_a_namespaced_field_counts_where_no_plain_one_is() -> None:
    """`:op/type` is a type, unless `:type` is there too."""
    assert op_of("{:op/type :ok :f :r}").type == Type.OK
    assert op_of("{:type :fail :op/type :ok}").type == Type.FAIL


def test_many_distinct_texts_and_one_huge_op(tmp_path: Path) -> None:
    """The tables of the scanner grow: for spans, for ops and for one op with many elements."""
    path = tmp_path / "history.edn"
    big = 600_000
    with path.open("w") as file:
        for i in range(70_000):
            file.write(f'{{:type :ok :f :add :value "v{i}" :process {i % 3}}}\n')
        file.write(f"{{:type :ok :f :read :value #{{{' '.join(map(str, range(big)))}}}}}\n")
    history = read_edn(path)
    assert history.value(69_999) == "v69999"
    assert history.elements.tolist() == list(range(big))
    assert history.kind[-1] == Kind.LIST


def test_keys_are_lifted_out_of_pairs(tmp_path: Path) -> None:
    """`[k v]`, `[k nil]`, `[k [old new]]` and `[k txn]` of clients; all else stays."""
    path = tmp_path / "history.edn"
    cases: list[tuple[str, object, object]] = [
        ("[1 2]", 1, 2),
        ("[1 nil]", 1, None),
        (":a", None, "a"),
        ('["k" [3 4]]', "k", (3, 4)),
        ("[2 [[:append 5 6] [:r 5 [6]]]]", 2, (("append", 5, 6), ("r", 5, (6,)))),
        ("[2 []]", 2, ()),
        ("[1 2 3]", None, (1, 2, 3)),
        ("[nil 3]", None, (None, 3)),
        ("[2 {:a 1}]", 2, {"a": 1}),
        ("nil", None, None),
        ("[[1 2] 3]", None, ((1, 2), 3)),
    ]
    lines = [f"{{:type :ok :process 1 :f :x :value {value}}}" for value, _, _ in cases]
    path.write_text("\n".join([*lines, "{:type :info :process :nemesis :f :y :value [1 2]}"]))
    history = lift_keys(read_edn(path))
    found = [(op.key, op.value) for op in history.ops()]
    assert found == [*((key, value) for _, key, value in cases), (None, (1, 2))]
    assert history.kind[3] == Kind.LIST and history.kind[4] == Kind.TXN
    again = tmp_path / "again.edn"
    write_edn(history, again)
    assert list(lift_keys(read_edn(again)).ops()) == list(history.ops())


def test_json_and_edn_of_a_form_agree() -> None:
    """The general reader takes nested JSON-like forms as JSON has them."""
    text = '{"a" [1 2.5 "x" true nil], "b" {"c" []}}'
    value, end = parse(text)
    assert json.loads(json.dumps(value)) == {"a": [1, 2.5, "x", True, None], "b": {"c": []}}
    assert end == len(text)
