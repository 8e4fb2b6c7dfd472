"""`evidence report`: a day of a store that is asked over HTTP, by what a real agent sent."""

import json
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import pytest
from click.testing import CliRunner, Result

from k8s_audit_otlp.cli import main
from k8s_audit_otlp.cli.exit_codes import NOTHING
from tests.kit.agent import Fixture, fixture, wait_for

__all__ = ["fixture", "wait_for"]
TOKEN = "s3cret-of-the-store"  # noqa: S105 - of nothing
Row = dict[str, Any]
Answer = Callable[[str, str, dict[str, str], Any], tuple[int, bytes]]


class Stand:
    """A store's HTTP interface over rows in memory."""

    def __init__(self, answer: Answer) -> None:
        stand = self
        self.answer = answer
        self.authorizations: set[str] = set()

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                parts = urlsplit(self.path)
                body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                form, value = dict(parse_qsl(parts.query)), None
                if "json" in self.headers.get("Content-Type", ""):
                    value = json.loads(body)
                else:
                    form |= dict(parse_qsl(body.decode()))
                stand.authorizations.add(self.headers.get("Authorization", ""))
                status, data = stand.answer(self.command, parts.path, form, value)
                self.send_response(status)
                self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)

            do_GET = do_DELETE = do_POST  # noqa: N815 - http.server's names

            def log_message(self, *_: object) -> None: ...

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"
        Thread(target=self._server.serve_forever, daemon=True).start()

    def stop(self) -> None:
        self._server.shutdown()
        self._server.server_close()


def rows_of(fixture: Fixture) -> list[Row]:
    """Return what the back end holds: time, body, attributes and resource apart."""
    received = fixture.backend.received
    return [
        {
            "time_ns": record.time_ns,
            "body": record.body,
            "attributes": {
                "log.record.uid": record.uid,
                "event.name": record.event_name,
                **record.attributes,
            },
            "cluster": "prod",
        }
        for record in [*received.records, *received.notices]
    ]


def wanted(rows: list[Row], field: str, since_ns: int, until_ns: int) -> list[Row]:
    return [
        row for row in rows if since_ns <= row["time_ns"] < until_ns and field in row["attributes"]
    ]


def _text(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value)


def clickhouse(rows: list[Row]) -> Answer:
    def answer(_: str, path: str, form: dict[str, str], __: Any) -> tuple[int, bytes]:
        assert path == "/"
        assert form["param_cluster"] == "prod"
        bounds = int(form["param_since"]), int(form["param_until"])
        found = wanted(rows, form["param_field"], *bounds)
        lines = [
            {
                "Timestamp": str(row["time_ns"]),
                "Body": row["body"],
                "LogAttributes": {k: _text(v) for k, v in row["attributes"].items()},
                "ResourceAttributes": {"k8s.cluster.name": row["cluster"]},
            }
            for row in found
        ]
        return 200, b"".join(json.dumps(line).encode() + b"\n" for line in lines)

    return answer


def ns_of(text: str) -> int:
    whole, _, rest = text.rstrip("Z").partition(".")
    return int(datetime.fromisoformat(whole + "+00:00").timestamp()) * 10**9 + int(rest)


def elasticsearch(rows: list[Row], most: int = 2000) -> Answer:
    """Answer scrolls as Elasticsearch does: pages of one search, until one is not full."""
    scrolls: dict[str, list[Row]] = {}

    def page(name: str) -> tuple[int, bytes]:
        found, scrolls[name] = scrolls[name][:most], scrolls[name][most:]
        hits = [
            {
                "_source": {
                    "@timestamp": row["time_ns"] // 10**6,
                    "body": {"text": row["body"]},
                    "attributes": row["attributes"],
                    "resource": {"attributes": {"k8s.cluster.name": row["cluster"]}},
                }
            }
            for row in found
        ]
        value = {"_scroll_id": name, "timed_out": False, "_shards": {"failed": 0}}
        return 200, json.dumps({**value, "hits": {"hits": hits}}).encode()

    def answer(method: str, path: str, _: dict[str, str], value: Any) -> tuple[int, bytes]:
        if method == "DELETE":
            return (200, b"{}") if scrolls.pop(value["scroll_id"], None) is not None else (404, b"")
        if path == "/_search/scroll":
            return page(value["scroll_id"])
        assert path == "/logs-*/_search"
        time, cluster, field = value["query"]["bool"]["filter"]
        assert {"term": {"resource.attributes.k8s.cluster.name": "prod"}} in (
            cluster["bool"]["should"]
        )
        between = time["range"]["@timestamp"]
        name = field["bool"]["should"][1]["exists"]["field"].removeprefix("attributes.")
        found = wanted(rows, name, ns_of(between["gte"]), ns_of(between["lt"]))
        scrolls[f"s{len(scrolls)}"] = found
        return page(f"s{len(scrolls) - 1}")

    return answer


KINDS: Mapping[str, Callable[[list[Row]], Answer]] = {
    "clickhouse": clickhouse,
    "elasticsearch": elasticsearch,
    "opensearch": elasticsearch,
}


@pytest.fixture(params=KINDS)
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def rows(fixture: Fixture) -> list[Row]:
    for n in range(3):
        fixture.write(20)
        fixture.rotate(f"audit-2026-01-02T03-0{n}-05.000.log")
        fixture.write(1)
        fixture.once()
    return rows_of(fixture)


@pytest.fixture
def stand() -> Iterator[Stand]:
    running = Stand(lambda *_: (500, b""))
    yield running
    running.stop()


def day_of(rows: list[Row]) -> str:
    newest = max(r["attributes"].get("k8s.audit.segment.last_event_ns", 0) for r in rows)
    return f"{datetime.fromtimestamp(newest / 1e9, UTC):%Y-%m-%d}"


def report(kind: str, stand: Stand, *more: str) -> Result:
    words = ["evidence", "report", "--store", kind, "--url", stand.url, "--cluster", "prod"]
    header = ["--header", "authorization=Bearer ${env:STORE_TOKEN}"]
    runner = CliRunner(env={"STORE_TOKEN": TOKEN, "K8S_AUDIT_OTLP_CONFIG": ""})
    return runner.invoke(main, [*words, *header, *more])


def test_a_day_is_complete(kind: str, stand: Stand, rows: list[Row], tmp_path: Path) -> None:
    stand.answer = KINDS[kind](rows)
    metrics, page = tmp_path / "evidence.prom", tmp_path / "day.html"
    more = ["--day", day_of(rows), "--metrics", str(metrics), "--html", str(page)]
    result = report(kind, stand, *more, "--json")
    assert result.exit_code == 0, result.output
    assert json.loads(result.stdout)["answer"] == "complete"
    assert stand.authorizations == {f"Bearer {TOKEN}"}
    labels = f'{{cluster="prod",store="{kind}"}}'
    lines = metrics.read_text().splitlines()
    assert f"k8s_audit_otlp_evidence_complete{labels} 1" in lines
    assert f"k8s_audit_otlp_evidence_segments{labels} 3" in lines
    assert metrics.stat().st_mode & 0o777 == 0o644
    assert "Untouched" in page.read_text()


def test_what_is_missing_or_changed_is_found(kind: str, stand: Stand, rows: list[Row]) -> None:
    receipt = next(r for r in rows if r["attributes"]["event.name"] == "k8s.audit.segment")
    start = receipt["attributes"]["k8s.audit.segment.identity"] + "-"
    events = [r for r in rows if r["attributes"]["log.record.uid"].startswith(start)]
    rows.remove(events[3])
    stand.answer = KINDS[kind](rows)
    result = report(kind, stand, "--day", day_of(rows))
    assert result.exit_code == 5, result.output
    assert f"{events[3]['attributes']['log.record.uid']} is missing" in result.output
    events[7]["body"] = events[7]["body"].replace('"verb":"', '"verb":"x')
    result = report(kind, stand, "--day", day_of(rows))
    assert result.exit_code == 6, result.output
    assert f"{events[7]['attributes']['log.record.uid']} was changed" in result.output


def test_a_day_on_which_nothing_ended_is_no_success(
    kind: str, stand: Stand, rows: list[Row], tmp_path: Path
) -> None:
    stand.answer = KINDS[kind](rows)
    metrics = tmp_path / "evidence.prom"
    result = report(kind, stand, "--day", "2020-01-01", "--metrics", str(metrics))
    assert result.exit_code == NOTHING
    assert "nothing proves anything" in result.output or "no segment" in result.output
    assert "evidence_complete" not in metrics.read_text()


def refusing(*_: object) -> tuple[int, bytes]:
    return 401, f"who is Bearer {TOKEN}?".encode()


def breaking_off(rows: list[Row]) -> Answer:
    """Answer as ClickHouse where a query runs out of memory half way: 200, and words at the end."""
    whole = clickhouse(rows)

    def answer(*asked: Any) -> tuple[int, bytes]:
        status, data = whole(*asked)
        return status, data + b"Code: 241. DB::Exception: Memory limit exceeded\n" if data else b""

    return answer


def test_a_store_that_cannot_be_read_is_no_loss(stand: Stand, rows: list[Row]) -> None:
    """An answer that breaks off is not taken for a day without those records."""
    stand.answer = breaking_off(rows)
    result = report("clickhouse", stand, "--day", day_of(rows))
    assert result.exit_code == 1, result.output
    assert "Memory limit exceeded" in result.output
    assert "nothing is known of" in result.output


def test_no_answer_shows_the_credential(kind: str, stand: Stand) -> None:
    stand.answer = refusing
    result = report(kind, stand)
    assert result.exit_code == 1
    assert "HTTP 401" in result.output
    assert TOKEN not in result.output


def test_a_part_of_a_search_is_no_answer(stand: Stand, rows: list[Row]) -> None:
    def partly(*asked: Any) -> tuple[int, bytes]:
        status, data = elasticsearch(rows)(*asked)
        return status, data.replace(b'"failed": 0', b'"failed": 1')

    stand.answer = partly
    result = report("elasticsearch", stand, "--day", day_of(rows))
    assert result.exit_code == 1
    assert "a part only" in result.output


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--day", "yesterday"], "is no day"),
        (["--day", "2999-01-01"], "has not begun"),
        (["--header", "authorization"], "NAME=VALUE"),
        (["--header", "a=${env:NOT_THERE}"], "NOT_THERE is not set"),
        (["--key", "/nowhere/key.pub"], "/nowhere/key.pub: No such file"),
        (["--cluster", ""], "--cluster: is empty"),
    ],
)
def test_a_mistake_is_said(stand: Stand, words: list[str], said: str) -> None:
    result = report("clickhouse", stand, *words)
    assert result.exit_code == 2
    assert said in result.output
