"""Names the streams of back ends that order a stream by time, so that none refuses a backlog.

Loki refuses a line that is an hour behind the newest of its stream. An exporter without a position
(a first start, a state directory that was lost, a position that was forgotten) begins with the
oldest event on disk, while the stream may hold newer ones of an earlier agent. So it gets a stream
of its own, whose name is kept with its positions. What arrives twice in this way has the same uids.
"""

from collections.abc import Mapping
from hashlib import sha256

from opentelemetry.sdk.resources import Resource

from k8s_audit_otlp.agent.build import ResourceScopes, resources_of
from k8s_audit_otlp.config.config import Config
from k8s_audit_otlp.otlp.resource import encode_resource
from k8s_audit_otlp.state.checkpoint import Checkpoint

_NAME = "k8s-audit"


def begin_streams(state: Checkpoint, config: Config, now_ns: int) -> None:
    """Note in *state* the exporters that begin now and want a stream of their own."""
    known = {exporter for positions in state.positions.values() for exporter in positions}
    for name, exporter in config.exporters.items():
        if exporter.audit.notice_resource and name not in known:
            state.streams[name] = f"{now_ns:x}"


def in_its_stream(
    exporter: str, scopes: ResourceScopes, state: Checkpoint, config: Config, env: Mapping[str, str]
) -> ResourceScopes:
    """Return *scopes* with the resources of the events that *exporter* sends."""
    begun = state.streams.get(exporter, "")
    labels = config.exporters[exporter].audit.notice_resource
    if not begun or not labels:  # a stream that was there before streams had names goes on
        return scopes
    named = dict(scopes)
    for receiver, resource in resources_of(config, env).items():
        name = sha256(f"{begun}\0{receiver}".encode()).hexdigest()[:8]
        had = resource.attributes
        own = {label: f"{had.get(label) or _NAME}-{name}" for label in labels}
        named[receiver] = encode_resource(resource.merge(Resource(own))), scopes[receiver][1]
    return named
