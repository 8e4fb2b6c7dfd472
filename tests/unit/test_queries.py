"""The queries that prove a night complete say so, and name the segment where it is not.

Beside made records, those of whole agents: two nodes, restarts, a damaged backup, a lost state.

SQL runs here, on SQLite and DuckDB; LogsQL and LogQL run on their real stores in tests/interop.
"""

import gzip
import shutil
import sqlite3
from collections.abc import Callable, Iterator

import duckdb
import pytest
from opentelemetry.proto.logs.v1.logs_pb2 import ScopeLogs

from k8s_audit_otlp.evidence import notices
from k8s_audit_otlp.evidence.seal import make_key
from k8s_audit_otlp.model import Block, Span
from k8s_audit_otlp.otlp.encode import Encoder
from k8s_audit_otlp.state.ledger import Place, Tally
from k8s_audit_otlp.state.manifest import SegmentState
from tests.kit.agent import Fixture
from tests.kit.backends.backend import Backend
from tests.kit.log.events import EventSource
from tests.kit.pages import queries

Attributes = dict[str, str]
Store = Callable[[list[Attributes]], list[tuple[object, ...]]]
SEGMENT = "k8s.audit.segment"
SEGMENTS = {"5b33b0334133be5f": 30, "6389ef0d30367a10": 20, "6389ef0d30367a10.2": 25}


def _night() -> Iterator[Attributes]:
    """Yield the attributes of every record of three segments and of their receipts."""
    source = EventSource(1)
    for number, (identity, count) in enumerate(SEGMENTS.items()):
        data = b"".join(source.line() + b"\n" for _ in range(count))
        block = Block(Span(number, 0, len(data)), identity, "audit.log", data, 1)
        segment = SegmentState(number, identity, "", 0, names=["audit.log"], size=len(data))
        place = Place(tally=Tally(read=count, delivered=count, lines=count))
        receipt = notices.receipt("otlp_http", segment, place, number=number + 1, now_ns=1)
        records = [*Encoder().encode_block(block).records, notices.encode(receipt, 1)]
        for record in ScopeLogs.FromString(b"".join(records)).log_records:
            yield {
                one.key: str(getattr(one.value, one.value.WhichOneof("value")))
                for one in record.attributes
            }


def _sqlite(records: list[Attributes]) -> list[tuple[object, ...]]:
    with sqlite3.connect(":memory:") as store:
        store.execute("CREATE TABLE receipts (identity TEXT, delivered INTEGER)")
        store.execute("CREATE TABLE events (uid TEXT)")
        for one in records:
            if one.get("event.name") == SEGMENT:
                row = (one["k8s.audit.segment.identity"], one["k8s.audit.segment.delivered"])
                store.execute("INSERT INTO receipts VALUES (?, ?)", row)
            else:
                store.execute("INSERT INTO events VALUES (?)", (one["log.record.uid"],))
        return store.execute(queries()["sql"]).fetchall()


def _duckdb(
    records: list[Attributes], age_h: Callable[[Attributes], int] = lambda _: 1
) -> list[tuple[object, ...]]:
    with duckdb.connect(":memory:") as store:
        columns = "Timestamp TIMESTAMP, LogAttributes MAP(VARCHAR, VARCHAR)"
        store.execute(f"CREATE TABLE otel_logs ({columns})")
        row = "INSERT INTO otel_logs VALUES (now()::TIMESTAMP - to_hours(?::INTEGER), ?)"
        store.executemany(row, [(age_h(one), one) for one in records])
        return store.execute(queries()["clickhouse"]).fetchall()


@pytest.fixture(params=[_sqlite, _duckdb], ids=["sql", "clickhouse"])
def store(request: pytest.FixtureRequest) -> Store:
    asked: Store = request.param
    return asked


def _of(identity: str, record: Attributes) -> bool:
    return record["log.record.uid"].startswith(f"{identity}-")


def test_a_complete_night_has_no_row(store: Store) -> None:
    """Nor does one with repeats, which carry the same uid."""
    night = list(_night())
    assert store(night) == []
    assert store(night + night[:7]) == []


@pytest.mark.parametrize("identity", SEGMENTS)
def test_one_event_less_names_its_segment(store: Store, identity: str) -> None:
    """With what was promised and what is there; a repeat does not make up for it."""
    night = list(_night())
    lost = next(one for one in night if _of(identity, one))
    repeated = next(one for one in night if _of(identity, one) and one is not lost)
    left = [one for one in night if one is not lost] + [repeated]
    assert store(left) == [(identity, SEGMENTS[identity], SEGMENTS[identity] - 1)]


def test_a_segment_that_is_missing_as_a_whole_is_named(store: Store) -> None:
    """A join that began at the events would not see it."""
    left = [one for one in _night() if not _of("5b33b0334133be5f", one)]
    ((identity, promised, arrived),) = store(left)
    assert (identity, promised, arrived or 0) == ("5b33b0334133be5f", 30, 0)


def test_a_segment_that_began_before_the_day_is_complete_in_clickhouse() -> None:
    """Its receipt has the time of its last event; what ended before the day is not asked for."""
    night = list(_night())
    over_midnight, before, _ = SEGMENTS

    def age_h(one: Attributes) -> int:
        is_receipt = one.get("event.name") == SEGMENT
        identity = one["k8s.audit.segment.identity"] if is_receipt else ""
        if _of(before, one) or identity == before:
            return 30
        return 40 if _of(over_midnight, one) else 2

    assert _duckdb(night, age_h) == []
    lost = [one for one in night if not (_of(before, one) and one["log.record.uid"].endswith("-0"))]
    assert _duckdb(lost, age_h) == []
    lost = [o for o in night if not (_of(over_midnight, o) and o["log.record.uid"].endswith("-0"))]
    assert _duckdb(lost, age_h) == [(over_midnight, 30, 29)]


@pytest.fixture(scope="module")
def nights(tmp_path_factory: pytest.TempPathFactory) -> list[Attributes]:
    """Return what one store has got of two nodes, with everything that repeats or is told."""
    with Backend() as backend:
        for node in (1, 2):
            agent = Fixture(tmp_path_factory.mktemp("node"), backend)
            agent.write(node, agent.folder / "of another log")  # each node has events of its own
            agent.service = f"evidence: {{key_file: {agent.folder / 'seal.key'}}}"
            make_key(agent.folder / "seal.key", None)
            agent.write(60)
            agent.rotate("audit-2026-01-02T03-00-00.000.log")
            agent.write(40)
            agent.once()
            agent.rotate("audit-2026-01-02T04-00-00.000.log")
            damaged = agent.log.with_name("audit-2026-01-02T05-00-00.000.log")
            agent.write(30, damaged)
            packed = gzip.compress(damaged.read_bytes())
            damaged.with_name(f"{damaged.name}.gz").write_bytes(packed[: len(packed) // 2])
            damaged.unlink()
            agent.write(20)
            agent.once()
            shutil.rmtree(agent.state)
            agent.once()
        return [
            {name: str(value) for name, value in one.attributes.items()}
            for one in (*backend.received.records, *backend.received.notices)
        ]


def test_what_repeats_and_what_is_told_makes_no_row(store: Store, nights: list[Attributes]) -> None:
    """Restarts, seals, gaps, starts and everything sent again by an agent without its state."""
    told = {one.get("event.name") for one in nights}
    assert told >= {"k8s.audit.gap", "k8s.audit.seal", "k8s.audit.agent.started"}
    assert store(nights) == []


def test_of_two_nodes_the_segment_that_lacks_an_event_is_named(
    store: Store, nights: list[Attributes]
) -> None:
    """Also where all of it was sent again: the same event is missing each time."""
    segments = {
        one["k8s.audit.segment.identity"] for one in nights if one.get("event.name") == SEGMENT
    }
    assert len(segments) == 2 * 3
    for identity in segments:
        lost = next(one["log.record.uid"] for one in nights if _of(identity, one))
        ((named, promised, arrived),) = store([o for o in nights if o["log.record.uid"] != lost])
        assert (named, int(str(promised)) - int(str(arrived))) == (identity, 1)
