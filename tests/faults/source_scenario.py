"""The campaign over a webhook and over Kafka: what a source has said yes to arrives.

Who feeds it repeats what was not taken, as a kube-apiserver and a producer do. The same is done to
the agent, to the back end and to the disk of state and spool as in `scenario`.

    python -m tests.faults.source_scenario --seeds 1-20
"""

import http.client
import json
import random
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Event, Thread
from typing import Any, Protocol

import click
import yaml
from confluent_kafka import Producer

from tests.faults.compare import twice_named, verdict_of
from tests.faults.processes import GAP, Agent, Totals
from tests.faults.scenario import ACTS, Scenario, small_disk
from tests.faults.weather import Weather
from tests.kit.agent import exported
from tests.kit.backends.backend import Backend
from tests.kit.backends.kafka import mock_brokers
from tests.kit.backends.servers import free_port

KINDS = ("webhook", "kafka")
LATE_S = 90.0  # for the last event to arrive when all is well again
SPOOL = {"max_bytes": "1MiB", "segment_bytes": "100KiB", "min_free_disk": "1B"}


class SourceClient(Protocol):
    """Offers events; `taken` are the ids of those that were acknowledged."""

    taken: set[str]

    def receiver(self) -> dict[str, Any]: ...
    def offer(self, ids: list[str]) -> bool: ...
    def flush(self) -> None: ...


def event(audit_id: str) -> dict[str, str]:
    return {"level": "Metadata", "auditID": audit_id, "verb": "get", "userAgent": "x" * 500}


class WebhookClient:
    """Posts lists, each until it is answered with 200."""

    def __init__(self) -> None:
        self.taken: set[str] = set()
        self._port = free_port()

    def receiver(self) -> dict[str, Any]:
        endpoint = f"127.0.0.1:{self._port}"
        return {"k8s_audit_webhook": {"endpoint": endpoint, "spool": SPOOL}}

    def offer(self, ids: list[str]) -> bool:
        body = json.dumps({"kind": "EventList", "items": [event(one) for one in ids]})
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=60)
        try:
            connection.request("POST", "/audit", body)
            if connection.getresponse().status != 200:
                return False
        except (OSError, http.client.HTTPException):
            return False
        finally:
            connection.close()
        self.taken.update(ids)
        return True

    def flush(self) -> None:
        """Every answer has come already."""


class KafkaClient:
    """Produces to a mock of a broker."""

    def __init__(self, address: str) -> None:
        self.taken: set[str] = set()
        self._address = address
        self._producer = Producer({"bootstrap.servers": address})

    def receiver(self) -> dict[str, Any]:
        block = {"brokers": [self._address], "topics": ["audit"], "session_timeout": "6s"}
        return {"kafka": {**block, "heartbeat_interval": "1s", "spool": SPOOL}}

    def offer(self, ids: list[str]) -> bool:
        for one in ids:
            body = json.dumps({"kind": "Event", **event(one)})
            self._producer.produce("audit", body, on_delivery=self._note)
        self._producer.poll(0)
        return True

    def _note(self, error: object, message: Any) -> None:
        if error is None:
            self.taken.add(json.loads(message.value())["auditID"])

    def flush(self) -> None:
        self._producer.flush(20)


@contextmanager
def feeding(feed: SourceClient, rng: random.Random) -> Iterator[None]:
    """Offer events in a thread of its own; in the end the last offer has been taken."""
    stop, own = Event(), random.Random(rng.random())  # noqa: S311 - a seed makes it repeatable

    def run() -> None:
        number = 0
        while not stop.is_set():
            size = own.choice((1, 20, 100))
            ids = [f"id-{number + n}" for n in range(size)]
            if feed.offer(ids):
                number += size
            stop.wait(own.choice((0.005, 0.02, 0.1)))

    thread = Thread(target=run)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join(90)


class SourceScenario(Scenario):
    """What may be done while a source is fed."""

    def feed(self, backend: Backend, weather: Weather, feed: SourceClient, seconds: float) -> None:
        folder, totals = self._folder, self.totals
        exporter = {
            "endpoint": backend.url,
            "timeout": "2s",
            "retry_on_failure": {"initial_interval": "50ms", "max_interval": "500ms"},
        }
        tree = {
            "receivers": feed.receiver(),
            "exporters": {"otlp_http": exporter},
            "service": {"state_dir": str(folder / "state")},
        }
        config = folder / "agent.yaml"
        config.write_text(yaml.safe_dump(tree))
        self.backend, self.weather = backend, weather
        acts = {n: ACTS[n] for n in self._acts if n not in ("kill_writer", "power_cut")}
        with Agent(config, folder / "agent.log") as self.agent:
            self.agent.start()
            with feeding(feed, self._rng):
                self._wait_for_more(feed)
                end = time.monotonic() + seconds
                while time.monotonic() < end:
                    time.sleep(self._rng.choice((0.3, 0.8, 1.5)) * self._rng.random())
                    self._acts[self._rng.choices(list(acts), list(acts.values()))[0]]()
                    self._look()
                    if self._rng.random() < 0.6:  # else the next comes while it starts
                        self._wait_for_more(feed)
            feed.flush()
            weather.fault = "calm"
            end = time.monotonic() + LATE_S
            while feed.taken - backend.received.audit_ids.keys() and time.monotonic() < end:
                time.sleep(0.1)
                self._look()
            self.agent.end(signal.SIGTERM)
        totals.faults = weather.faults
        totals.written = len(feed.taken)
        totals.received = backend.received.audit_ids.total()
        totals.unexplained = len(feed.taken - backend.received.audit_ids.keys())
        totals.repeated = totals.received - len(backend.received.audit_ids)
        if not feed.taken:
            totals.notes.append("nothing was taken")
        totals.notes += twice_named(backend.received.records)
        totals.notes += verdict_of(exported(backend)).faults
        totals.gaps = len([n for n in backend.received.notices if n.event_name == GAP])

    def _wait_for_more(self, feed: SourceClient) -> None:
        """Wait until something is taken; a back end that is away does not keep it from that."""
        known, end = len(feed.taken), time.monotonic() + 60
        while len(feed.taken) == known and time.monotonic() < end:
            time.sleep(0.05)
            self._look()


def run_source(folder: Path, kind: str, seed: int, seconds: float = 4.0) -> Totals:
    """Run one seed; nothing that was taken may be missing, and no gap be told."""
    rng = random.Random(seed)  # noqa: S311 - a seed makes a run repeatable
    weather = Weather(seed)
    with (
        small_disk(folder / "state") as disk,
        Backend(weather) as backend,
        mock_brokers("audit") as brokers,
    ):
        one = SourceScenario(folder, rng, disk=disk)
        one.totals.seed = seed
        feed: SourceClient = WebhookClient() if kind == "webhook" else KafkaClient(brokers)
        one.feed(backend, weather, feed, seconds)
        if one.totals.wrong:
            shutil.copytree(folder / "state", folder / "state-at-end")
        return one.totals


@click.command()
@click.option("--seeds", default="1-20", show_default=True, help="A range, such as 1-100.")
@click.option("--kind", type=click.Choice(KINDS), multiple=True, default=KINDS)
@click.option("--seconds", default=4.0, show_default=True, help="How long it is fed.")
def main(seeds: str, kind: tuple[str, ...], seconds: float) -> None:
    """Run seeds one after another; the exit code is 1 if one failed."""
    first, _, last = seeds.partition("-")
    failed = 0
    for one in kind:
        runs: list[Totals] = []
        for seed in range(int(first), int(last or first) + 1):
            folder = Path(tempfile.mkdtemp(prefix=f"k8s-audit-otlp-{one}-{seed}-"))
            runs.append(run_source(folder, one, seed, seconds))
            if runs[-1].wrong:
                failed += 1
                click.echo(f"{one} {seed} failed, kept in {folder}: {runs[-1]}")
            else:
                shutil.rmtree(folder)
        click.echo(
            f"{one}: {len(runs)} runs, {sum(t.written for t in runs):,} events, "
            f"{sum(t.kills for t in runs)} kill -9, {sum(t.terms for t in runs)} SIGTERM, "
            f"{sum(t.outages for t in runs)} outages, {sum(t.full_disks for t in runs)} full "
            f"disks, {sum(t.faults for t in runs):,} faulty answers: "
            f"{sum(t.unexplained for t in runs)} missing, {sum(t.repeated for t in runs):,} repeats"
        )
    sys.exit(bool(failed))


if __name__ == "__main__":
    main()
