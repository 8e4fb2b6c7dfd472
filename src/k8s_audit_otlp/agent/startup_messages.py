"""Says once what shows at the start: a log is none, or is read twice; an exporter is through."""

from collections.abc import Callable, Iterable, Mapping, Sequence

from k8s_audit_otlp.agent.build import resources_of
from k8s_audit_otlp.config.load import Loaded
from k8s_audit_otlp.config.mistakes import Kind, Remark
from k8s_audit_otlp.event.foreign import framed, seems
from k8s_audit_otlp.exporter.subscription import Subscription
from k8s_audit_otlp.otlp.resource import CLUSTER, NODE
from k8s_audit_otlp.receiver.inflate import CorruptGzipError
from k8s_audit_otlp.receiver.log import AuditLog
from k8s_audit_otlp.receiver.log_file import open_log_file
from k8s_audit_otlp.receiver.names import GZIP
from k8s_audit_otlp.telemetry.backlog import backlog_of
from k8s_audit_otlp.telemetry.logs import logger

_HEAD_BYTES = 128 * 1024  # an apiserver writes 60 KiB of messages before its first event
_ALL_UNREAD = (
    "every line of it would be sent as one that cannot be read: give the file of --audit-log-path"
)
_OTHERS_LEFT_OUT = (
    "none of its first lines is an audit event, and what is none is left out and counted: the "
    "apiserver writes its events there with --audit-log-path=-"
)


def startup_messages(
    logs: Iterable[AuditLog], subscriptions: Sequence[Subscription], *, once: bool
) -> list[Callable[[], None]]:
    """Warn of what shows already; return what is to be called now and then."""
    foreign = ForeignLogWarning(logs, once=once)
    warnings: list[Callable[[], None]] = [foreign, SharedFileWarning(subscriptions)]
    for warn in warnings:
        warn()
    return [*warnings, CaughtUpMessage(subscriptions)]


def remarks_on(loaded: Loaded, env: Mapping[str, str]) -> list[Remark]:
    """Return what of a configuration is not as it seems, and which receivers nothing places."""
    why = f"neither {CLUSTER} nor {NODE} is set; the logs of several nodes will look like one"
    return [*loaded.remarks] + [
        Remark(f"receivers::{name}::resource", Kind.LOOK, why)
        for name, resource in resources_of(loaded.config, env).items()
        if not {CLUSTER, NODE} & {*resource.attributes}
    ]


class SharedFileWarning:
    """Call it now and then; it says which live file an exporter gets as two logs."""

    def __init__(self, subscriptions: Iterable[Subscription]) -> None:
        self._subscriptions = list(subscriptions)
        self._reported: set[tuple[str, str]] = set()

    def __call__(self) -> None:
        first: dict[tuple[str, int, int], AuditLog] = {}
        for subscription in self._subscriptions:
            log = subscription.log
            for device, inode in (s.key for s in log.segments() if s.live and s.source):
                other = first.setdefault((subscription.exporter, device, inode), log)
                pair = str(other.key), str(log.key)
                if other is not log and pair not in self._reported:
                    self._reported.add(pair)
                    text = (
                        f"{log.key}: is the same file as {other.key}, so every event of it is sent "
                        "twice; remove one of them, or a hard link"
                    )
                    more = {"receiver": log.key.receiver, "log": str(log.path)}
                    logger.warning("shared_file", text, **more)


class ForeignLogWarning:
    """Call it now and then; it looks at every log until it is plain what that is.

    A whole line is enough, but where others are left out: an event may come behind them, unless
    what is there now is all that is read (*once*).
    """

    def __init__(self, logs: Iterable[AuditLog], *, once: bool) -> None:
        self._waiting = list(logs)
        self._once = once

    def __call__(self) -> None:
        self._waiting = [log for log in self._waiting if not self._judge(log)]

    def _judge(self, log: AuditLog) -> bool:
        try:
            if not log.path.is_file():
                return False
            source = open_log_file(log.path, compressed=log.path.suffix == GZIP)
            head = source.read_at(0, _HEAD_BYTES)
        except (OSError, CorruptGzipError):
            return False  # which is said elsewhere
        lines, full = head.split(b"\n")[:-1], len(head) == _HEAD_BYTES
        if not lines or not (kind := seems(lines)):
            return bool(lines) or full
        if (others := framed(lines)) and not full and not self._once:
            return False
        hint = _OTHERS_LEFT_OUT if others else _ALL_UNREAD
        text = f"{log.path}: this is no audit log, it seems to be {kind}; {hint}"
        logger.warning("foreign_log", text, receiver=log.key.receiver, log=str(log.path))
        return True


class CaughtUpMessage:
    """Call it now and then; it says of each exporter when nothing of its backlog is left."""

    def __init__(self, subscriptions: Iterable[Subscription]) -> None:
        self._behind: dict[str, list[Subscription]] = {}
        for subscription in subscriptions:
            self._behind.setdefault(subscription.exporter, []).append(subscription)
        self._delivered = {name: _delivered(of) for name, of in self._behind.items()}

    def __call__(self) -> None:
        for name, subscriptions in list(self._behind.items()):
            if any(backlog_of(one).bytes or one.log.troubles.now for one in subscriptions):
                continue  # of a log that cannot be read nobody knows what is ahead
            del self._behind[name]
            count = _delivered(subscriptions) - self._delivered[name]
            text = f"{name}: caught up, {count:,} delivered on the way"
            logger.info("caught_up", text, exporter=name, delivered=count)


def _delivered(subscriptions: Iterable[Subscription]) -> int:
    return sum(one.tally().delivered for one in subscriptions)
