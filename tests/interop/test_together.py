"""A log, a webhook and a topic in one agent, which is killed: all arrives, and all can be proven.

What people ask of it then is asked: `status`, the page, `verify` and `evidence verify`.
"""

import http.client
import json
import signal
import urllib.request
from collections.abc import Callable, Collection, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import yaml
from click.testing import CliRunner
from confluent_kafka import Producer

from k8s_audit_otlp.cli import main
from k8s_audit_otlp.evidence.seal import make_key
from tests.faults.processes import GAP, RECEIPT, Agent
from tests.interop.agent import k8s_audit_otlp
from tests.interop.apiserver.test_webhook import wait_for_listener
from tests.interop.kafka import kafka_broker
from tests.interop.kafka.kafka_agents import reader, to, until
from tests.kit.agent import exported
from tests.kit.backends.backend import Backend
from tests.kit.backends.servers import free_port
from tests.kit.judged import UID, Row, is_event, is_receipt, write_rows

pytestmark = [pytest.mark.interop, pytest.mark.timeout(400, func_only=True)]

EACH = 600
SOURCES = ("file", "prod", "test", "topic")  # prod and test: two clusters of the webhook
SPOOL = {"segment_bytes": "100KiB", "min_free_disk": "1B"}


def events(source: str, start: int, stop: int) -> list[bytes]:
    head = {"kind": "Event", "apiVersion": "audit.k8s.io/v1", "level": "Metadata"}
    return [
        json.dumps(
            {
                **head,
                "auditID": f"{source}-{number}",
                "stage": "ResponseComplete",
                "verb": "get",
                "userAgent": "x" * 400,
                "stageTimestamp": f"2026-01-02T03:04:05.{number:06}Z",
            }
        ).encode()
        for number in range(start, stop)
    ]


class Setting(NamedTuple):
    """What one agent reads from, and where it sends."""

    folder: Path
    broker: kafka_broker.Broker
    backends: tuple[Backend, Backend]
    port: int
    page: str

    @property
    def config(self) -> Path:
        return self.folder / "agent.yaml"

    def configure(self) -> None:
        key = self.folder / "seal.key"
        make_key(key)
        webhook = {
            "endpoint": f"127.0.0.1:{self.port}",
            "clusters": {"prod": {}, "test": {}},
            "spool": SPOOL,
        }
        kafka = {**reader(self.broker, "one")["kafka"], "resource": {"k8s.cluster.name": "topic"}}
        log = {
            "include": [str(self.folder / "log" / "audit.log")],
            "resource": {"k8s.cluster.name": "file"},
        }
        tree: dict[str, Any] = {
            "receivers": {
                "k8s_audit": log,
                "k8s_audit_webhook": webhook,
                "kafka": {**kafka, "spool": SPOOL},
            },
            "exporters": {
                f"otlp_http/{number}": to(one)["otlp_http"]
                for number, one in enumerate(self.backends)
            },
            "service": {
                "state_dir": str(self.folder / "state"),
                "evidence": {"key_file": str(key)},
                "telemetry": {"metrics": {"address": self.page}},
            },
        }
        self.config.write_text(yaml.safe_dump(tree))

    def arrived(self, wanted: set[str]) -> bool:
        return all(wanted <= set(one.received.audit_ids) for one in self.backends)

    # -- the three that feed it ---------------------------------------------------------------

    def write_log(self) -> None:
        log = self.folder / "log" / "audit.log"
        log.parent.mkdir()
        for start in range(0, EACH, 200):
            with log.open("ab") as file:
                file.writelines(line + b"\n" for line in events("file", start, start + 200))
            log.rename(log.with_name(f"audit-2026-01-02T03-04-{10 + start // 200}.000.log"))
        log.touch()

    def post(self, cluster: str) -> None:
        """Post lists, each until it is answered with 200, as an apiserver does."""
        for start in range(0, EACH, 100):
            items = b",".join(events(cluster, start, start + 100))
            body = b'{"kind":"EventList","apiVersion":"audit.k8s.io/v1","items":[%b]}' % items
            until(lambda body=body: self._is_taken(cluster, body))  # type: ignore[misc]  # bound

    def _is_taken(self, cluster: str, body: bytes) -> bool:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=20)
        try:
            connection.request("POST", f"/audit/{cluster}", body)
            return connection.getresponse().status == 200
        except (OSError, http.client.HTTPException):
            return False
        finally:
            connection.close()

    def produce(self) -> None:
        producer = Producer({"bootstrap.servers": self.broker.address, "enable.idempotence": True})
        for line in events("topic", 0, EACH):
            producer.produce("audit", line)
        assert producer.flush(60) == 0


@pytest.fixture
def setting(broker: kafka_broker.Broker, tmp_path: Path) -> Iterator[Setting]:
    with Backend() as one, Backend() as two:
        made = Setting(tmp_path, broker, (one, two), free_port(), f"127.0.0.1:{free_port()}")
        made.configure()
        yield made


def feed(setting: Setting, agent: Agent) -> int:
    """Kill the agent whenever another part has arrived; return how often it was ended."""
    jobs: list[Callable[[], None]] = [
        setting.write_log,
        lambda: setting.post("prod"),
        lambda: setting.post("test"),
        setting.produce,
    ]
    ends = 0
    received = setting.backends[0].received
    with ThreadPoolExecutor(len(jobs)) as pool:
        running = [pool.submit(job) for job in jobs]
        for part, how in enumerate((signal.SIGKILL, signal.SIGTERM, signal.SIGKILL)):
            until(lambda part=part: received.total > (part + 1) * EACH // 2)  # type: ignore[misc]  # bound
            agent.end(how)
            agent.start()
            ends += 1
        for job in running:
            job.result()
    return ends


def get(setting: Setting, path: str) -> str:
    with urllib.request.urlopen(f"http://{setting.page}{path}", timeout=30) as answer:
        return str(answer.read().decode())


def test_all_arrives_and_can_be_proven(setting: Setting) -> None:
    """Then one event of each source is taken out of the export: each is missed by both."""
    wanted = {f"{source}-{number}" for source in SOURCES for number in range(EACH)}
    with Agent(setting.config, setting.folder / "agent.log") as agent:
        agent.start()
        wait_for_listener(setting.port)
        ends = feed(setting, agent)
        until(lambda: setting.arrived(wanted))
        until(lambda: all(len(chosen(one)) == len(SOURCES) for one in setting.backends))
        until(lambda: is_told(setting, "/readyz"))
        status = k8s_audit_otlp("status", "--config", str(setting.config))
        page = json.loads(get(setting, "/status.json"))  # what the page at / shows
        agent.end(signal.SIGTERM)
    assert status.returncode == 0, status.stdout + status.stderr
    for name in ("k8s_audit", "k8s_audit_webhook[prod]", "k8s_audit_webhook[test]", "kafka"):
        assert name in status.stdout, status.stdout
    assert page["kind"] == "good", page
    assert {source["source"] for source in page["sources"]} == {"k8s_audit_webhook", "kafka"}
    assert [one["delivered"] for one in page["exporters"]] == [len(wanted)] * 2, page
    for backend in setting.backends:
        ids = backend.received.audit_ids
        print(f"{ends} ends: {ids.total() - len(wanted)} repeats")  # noqa: T201 - shown with -s
        assert not wanted - set(ids)
        assert not [n for n in backend.received.notices if n.event_name == GAP]
        assert {r.resource["k8s.cluster.name"] for r in backend.received.records} >= set(SOURCES)
    judge(setting, exported(setting.backends[1]), chosen(setting.backends[1]).values())


def is_told(setting: Setting, path: str) -> bool:
    try:
        return bool(get(setting, path))
    except OSError:
        return False


def chosen(backend: Backend) -> dict[str, Row]:
    """Return of each source one event that a receipt speaks of; the last file has none yet."""
    rows = exported(backend)
    told = {row[f"{RECEIPT}.identity"] for row in rows if is_receipt(row)}
    return {
        str(row["k8s.cluster.name"]): row
        for row in rows
        if is_event(row) and str(row[UID]).partition("-")[0] in told
    }


def judge(setting: Setting, rows: list[Row], gone: Collection[Row]) -> None:
    """Ask what the receipts say, and what each log says of which nearly all is deleted."""
    export = setting.folder / "export.ndjson"
    spool = setting.folder / "state" / "spool"
    logs = [setting.folder / "log" / "audit.log", *sorted(spool.glob("*/*/audit.log"))]
    by_receipts = ("evidence", "verify", "--key", str(setting.folder / "seal.key.pub"))
    questions = [by_receipts, *(("verify", "--path", str(path)) for path in logs)]
    assert len(questions) == 1 + len(SOURCES)
    for held, code in ((rows, 0), ([row for row in rows if row not in gone], 5)):
        write_rows(export, held)
        for words in questions:
            done = CliRunner().invoke(main, [*words, "--against", str(export)])
            assert done.exit_code == code, (words, done.output)
            if code and words is by_receipts:
                assert all(f"{row[UID]} is missing" in done.output for row in gone), done.output
