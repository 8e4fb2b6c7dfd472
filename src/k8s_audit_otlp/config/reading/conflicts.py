"""Whether receivers get into each other's way: one address, topic, stream or log for two."""

import os
import re
from collections.abc import Iterator
from itertools import combinations, product
from pathlib import Path

from k8s_audit_otlp.config.config import Config, ConfigFindings
from k8s_audit_otlp.config.exporters import KafkaExporter
from k8s_audit_otlp.config.reading.document import Path as Place
from k8s_audit_otlp.config.sources import AuditWebhook, CloudWatch, Kafka, Source, spools_of

_LOCAL = {"localhost": "127.0.0.1"}
_EVERY_HOST = frozenset({"", "0.0.0.0", "[::]"})  # noqa: S104 - nothing is bound here


def check_conflicts(config: Config, found: ConfigFindings) -> None:
    """Tell of receivers that would take each other's address or events."""
    _check_addresses(config, found)
    for source_id, source in config.sources.items():
        if isinstance(source, AuditWebhook):
            _check_names(source, found.path_of("receivers", source_id), found)
    for (first, one), (second, other) in combinations(config.sources.items(), 2):
        if why := _shared(one, other):
            what, hint = why
            found.mistake(found.path_of("receivers", second), f"{first} {what}", hint)
    _check_circles(config, found)
    _check_includes(config, found)
    _check_logs(config, found)


def _check_addresses(config: Config, found: ConfigFindings) -> None:
    taken: list[tuple[str, str]] = []
    for name, place, address in _addresses(config, found):
        for rival, its in taken:
            if _overlap(its, address):
                hint = "write another port; several clusters can send to one receiver with clusters"
                found.mistake(place, f"{rival} listens at {its} too", hint)
                break
        taken.append((name, address))


def _addresses(config: Config, found: ConfigFindings) -> Iterator[tuple[str, Place, str]]:
    """Yield who listens, the key that says so, and the address."""
    if address := config.service.telemetry.metrics.address:
        at = ("service", "telemetry", "metrics", "address")
        yield "service::telemetry::metrics", at, address
    for source_id, source in config.sources.items():
        if isinstance(source, AuditWebhook):
            place = (*found.path_of("receivers", source_id), "endpoint")
            yield source_id, place, source.endpoint


def _overlap(*addresses: str) -> bool:
    """Say whether two addresses may be one: every interface is those of its own family."""
    (one, _, port), (other, _, second) = (each.rpartition(":") for each in addresses)
    if port != second or port == "0":
        return False
    hosts = {_LOCAL.get(one, one), _LOCAL.get(other, other)}
    same_family = ("[" in one) == ("[" in other)
    return len(hosts) == 1 or (same_family and bool(hosts & _EVERY_HOST))


def _check_names(source: AuditWebhook, path: Place, found: ConfigFindings) -> None:
    owners: dict[str, str] = {}
    for cluster, block in source.clusters.items():
        for name in block.client_names:
            if owners.setdefault(name, cluster) != cluster:
                what = f"{owners[name]} has {name!r} too, and would get its events"
                hint = "give each cluster a certificate of its own, or a path without names"
                found.mistake((*path, "clusters", cluster, "client_names"), what, hint)


def _shared(one: Source, other: Source) -> tuple[str, str] | None:
    """Say what two receivers would take from each other, or both take."""
    if isinstance(one, Kafka) and isinstance(other, Kafka):
        alike = one.group_id == other.group_id and set(one.brokers) & set(other.brokers)
        if alike and any(_meet(a, b) for a in one.topics for b in other.topics):
            what = f"reads these topics in the group {one.group_id} too: each gets a part"
            return what, "write another group_id, or name all topics in one receiver"
    if isinstance(one, CloudWatch) and isinstance(other, CloudWatch):
        places = [(of.log_group, of.region, of.endpoint_url) for of in (one, other)]
        prefixes = one.stream_prefix, other.stream_prefix
        nested = any(a.startswith(b) for a, b in (prefixes, prefixes[::-1]))
        if nested and places[0] == places[1]:
            what = "reads these streams too: every event would come twice"
            return what, "remove one of them, or write another stream_prefix"
    return None


def _meet(one: str, other: str) -> bool:
    """Say whether a topic is another one, or is matched by its pattern."""
    return one == other or _matches(one, other) or _matches(other, one)


def _matches(pattern: str, topic: str) -> bool:
    try:
        return pattern.startswith("^") and re.match(pattern, topic) is not None
    except re.error:
        return False


def _check_circles(config: Config, found: ConfigFindings) -> None:
    """Refuse to write events to where they are read from: they would go round for ever."""
    read = {log: config.sources[source] for source, _, log in config.spools()}
    for receiver, exporter_id in config.routes():
        source, exporter = read.get(receiver), config.exporters[exporter_id]
        if (
            isinstance(source, Kafka)
            and isinstance(exporter, KafkaExporter)
            and set(source.brokers) & set(exporter.brokers)
            and any(_meet(topic, exporter.to_topic) for topic in source.topics)
        ):
            what = f"{receiver} reads {exporter.to_topic}, which its events are written to"
            place = (*found.path_of("exporters", exporter_id), "topic")
            found.mistake(place, what, "write to another topic, or send it other receivers")


def _check_includes(config: Config, found: ConfigFindings) -> None:
    """Refuse to read a spool a second time."""
    spools = spools_of(config.service.state_dir)
    written = {log for _, _, log in config.spools()}
    for receiver_id, receiver in config.receivers.items():
        if receiver_id in written:
            continue
        for path in receiver.include:
            if Path(path).is_relative_to(spools):
                what = f"{path} lies where receivers keep what they have taken, and is read there"
                place = (*found.path_of("receivers", receiver_id), "include")
                found.mistake(place, what, "remove it: its events would come twice")


def _check_logs(config: Config, found: ConfigFindings) -> None:
    """Refuse to send an exporter one log as those of two receivers."""
    for exporter in config.exporters:
        of = [r for r in config.receivers_of(exporter) if r in config.receivers]
        for one, other in combinations(of, 2):
            paths = product(config.receivers[one].include, config.receivers[other].include)
            if twice := next((b for a, b in paths if _same_log(a, b)), None):
                what = f"{exporter} gets {twice} from {one} too: every event would come twice"
                hint = f"remove it, or name one of them in exporters::{exporter}::audit::receivers"
                found.mistake((*found.path_of("receivers", other), "include"), what, hint)


def _same_log(one: str, other: str) -> bool:
    """Say whether two paths lead to one file, or one is matched by the other as a pattern."""
    paths = [Path(os.path.realpath(path)) for path in (one, other)]
    return paths[0].match(str(paths[1])) or paths[1].match(str(paths[0]))
