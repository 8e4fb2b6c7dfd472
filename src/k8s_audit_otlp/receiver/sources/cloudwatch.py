"""Reads the audit streams of an EKS cluster from CloudWatch Logs, each from a position of its own.

A position is CloudWatch's token and the time of the last event. It is written when the events are
on disk. A token lives for a day; where it has expired, reading goes on from the time, and the spool
knows what comes twice. A stream that is gone or was made anew is told, unless it was over: nothing
says that all of it had been read. Of an event that CloudWatch has cut (at 1 MB) who and what is
kept.
"""

import json
import logging
import time
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, closing
from datetime import UTC, datetime
from typing import Any, NamedTuple

import boto3
import msgspec
from botocore.config import Config
from botocore.exceptions import ClientError
from msgspec.structs import replace

from k8s_audit_otlp.config.sources import CloudWatch
from k8s_audit_otlp.event.lenient_json import is_json, is_object
from k8s_audit_otlp.receiver.long_lines import heads
from k8s_audit_otlp.receiver.sources.fetching import FetchingSource, keep, read_kept
from k8s_audit_otlp.receiver.sources.partition import lines_in
from k8s_audit_otlp.receiver.spool.spool import Spool

_POSITIONS = "streams.json"
_DAY_MS = 86_400_000
_LATE_MS = 600_000  # an event may come after one that is so much newer
_CALM = Config(retries={"mode": "adaptive", "max_attempts": 8})  # throttling is obeyed
CUT = "k8s-audit-otlp/cut-by"
_EXPIRED = frozenset({"InvalidParameterException", "InvalidNextTokenException"})


logger = logging.getLogger("k8s_audit_otlp")


def completed(message: bytes, time_ms: int) -> bytes:
    """Return an event that was cut within its bodies without them, b"" where it is no such event.

    Its own times come last and are lost; CloudWatch's *time_ms* stands for them.
    """
    if is_object(message):
        return b""  # whole
    end = {"stageTimestamp": _shown(time_ms), "annotations": {CUT: "CloudWatch"}}
    tail = b"," + json.dumps(end).encode()[1:]
    return next((whole for head in heads(message) if is_json(whole := head + tail)), b"")


class _Stream(NamedTuple):
    """What CloudWatch says of a stream, in ms; 0 where it had no event yet."""

    newest: int
    created: int


class _StreamPosition(msgspec.Struct, omit_defaults=True, frozen=True):
    """How far a stream is read, and which one it was; times in ms."""

    time: int = 0  # of the newest event that is on disk
    token: str = ""  # CloudWatch's, for what follows
    since: int = 0  # from when on it was given
    group: str | None = None  # not known of what an older version wrote, as the next one
    created: int | None = None
    over: bool = False  # all of it is read, and nothing came for a day; or its end is told


def _now_ms() -> int:
    return round(time.time() * 1000)


def _shown(time_ms: int) -> str:
    when = datetime.fromtimestamp(time_ms / 1000, UTC).isoformat(timespec="milliseconds")
    return when.replace("+00:00", "Z")


class CloudWatchSource(FetchingSource[Any]):
    """One reader of all streams of a group, in a thread of its own."""

    def __init__(self, name: str, options: CloudWatch, spool: Spool) -> None:
        super().__init__(name, spool, again_s=options.poll_interval_s)
        self._options = options
        self._path = spool.path.with_name(_POSITIONS)
        self._positions: dict[str, _StreamPosition] = {}
        self._begun = False  # to read the group
        self.cut = 0  # events, since the start

    def where(self) -> str:
        group = self._options.log_group
        found = read_kept(
            self._path, dict[str, _StreamPosition], "remove it to read the streams anew"
        )
        self._positions = {s: at for s, at in found.items() if at.group in (None, group)}
        self._begun = bool(self._positions)
        return f"{group}:{self._options.stream_prefix}*"

    def connect(self) -> AbstractContextManager[Any]:
        region, address = self._options.region, self._options.endpoint_url
        url = address.resolve() if address else None
        session = boto3.session.Session()  # credentials are looked for anew
        return closing(session.client("logs", region_name=region, endpoint_url=url, config=_CALM))

    def take(self, connection: Any) -> str:
        """Ask every stream for more, then wait for the next time."""
        begin = self.lag.now()
        streams = dict(self._streams(connection))
        if not self._begun:  # a stream that comes later is read from its beginning
            start = max(0, _now_ms() - round(self._options.start_age_s * 1000))
            self._keep({name: self._at(one, time=start) for name, one in streams.items()})
            self._begun = True
        self._tell_of_streams(streams)
        for name, one in streams.items():
            position = self._position(name)
            if _is_over(position, one.newest):
                self._keep({name: replace(position, over=True)})
                continue
            self._tell_of_retention(connection, name, one.newest)
            while not self._stop.is_set() and self._take(connection, name, one):
                pass
        if streams and not self._stop.is_set():
            self.lag.has_all_of(begin)
        self._stop.wait(self._options.poll_interval_s)
        return "" if streams else f"no stream begins with {self._options.stream_prefix!r}"

    def _position(self, stream: str) -> _StreamPosition:
        return self._positions.get(stream, _StreamPosition())

    def _keep(self, moved: Mapping[str, _StreamPosition]) -> None:
        positions = {**self._positions, **moved}
        if positions != self._positions:
            keep(self._path, positions)
            self._positions = positions

    def _at(self, stream: _Stream, **position: Any) -> _StreamPosition:
        """Return the position of a stream, with its name."""
        return _StreamPosition(**position, group=self._options.log_group, created=stream.created)

    def _tell_of_streams(self, streams: Mapping[str, _Stream]) -> None:
        """Tell which streams are gone, or were made anew, before they were over."""
        found: dict[str, _StreamPosition] = {}
        for name, position in self._positions.items():
            now = streams.get(name)
            as_it_was = now is not None and position.created in (None, now.created)
            if as_it_was or not name.startswith(self._options.stream_prefix):
                continue
            if not position.over:
                became = "made anew" if now else "deleted"
                self.lose(f"{name}: it was {became}: what was not read of it before is gone", 0)
            found[name] = self._at(now) if now else replace(position, over=True)
        if found and self.losses_are_on_record():
            self._keep(found)

    def _streams(self, client: Any) -> Iterator[tuple[str, _Stream]]:
        pages = client.get_paginator("describe_log_streams").paginate(
            logGroupName=self._options.log_group, logStreamNamePrefix=self._options.stream_prefix
        )
        for page in pages:
            for stream in page["logStreams"]:
                newest = int(stream.get("lastEventTimestamp") or 0)
                yield stream["logStreamName"], _Stream(newest, int(stream.get("creationTime") or 0))

    def _tell_of_retention(self, client: Any, stream: str, newest: int) -> None:
        """Tell what may have been deleted of a stream while nobody read it; then go on behind it.

        A stream without newer events had nothing to lose: EKS begins others now and then.
        """
        position, now = self._position(stream), _now_ms()
        since = position.time if position.token else 0
        if not since or newest <= since or now - since <= _DAY_MS:  # none is kept for less
            return
        days = self._kept_days(client)
        oldest = now - days * _DAY_MS
        if not days or since >= oldest:
            return
        self.lose(
            f"{stream}: what came from {_shown(since)} to {_shown(oldest)} may have been deleted "
            f"unread: the log group keeps {days} days",
            0,
        )
        if self.losses_are_on_record():
            self._positions[stream] = _StreamPosition(time=oldest)

    def _kept_days(self, client: Any) -> int:
        """Return for how long the log group keeps events, 0 for ever or if nobody says."""
        group = self._options.log_group
        try:
            found = client.describe_log_groups(logGroupNamePrefix=group)["logGroups"]
        except ClientError as error:
            logger.warning("%s: what retention deleted cannot be told: %s", self.name, error)
            return 0
        kept = (one.get("retentionInDays", 0) for one in found if one["logGroupName"] == group)
        return int(next(kept, 0))

    def _take(self, client: Any, stream: str, now: _Stream) -> bool:
        """Take what a stream has next, put it on disk, note the position; say if more may follow.

        A page may be empty and not the last: behind that one the token stays the same.
        """
        position = self._position(stream)
        since, page = self._page(client, stream, position)
        lines: list[bytes] = []
        newest = position.time
        for event in page["events"]:
            message = event["message"].encode()
            if whole := completed(message, int(event["timestamp"])):
                message = whole
                self._say_cut(stream)
            found, left_out = lines_in(message)
            lines += found
            self.left_out += left_out
            newest = max(newest, min(int(event["timestamp"]), _now_ms()))  # clocks differ
        if not self.put(lines):
            return False
        token = page["nextForwardToken"]
        if token == position.token:
            return False
        at = self._at(now, token=token, since=since, time=newest)
        self._keep({stream: at})
        return True

    def _say_cut(self, stream: str) -> None:
        self.cut += 1
        logger.warning(
            "%s: CloudWatch has cut events of %s (%d since the start): what it has kept of "
            "them is sent without bodies and says so",
            self.name,
            stream,
            self.cut,
            extra={"once": f"cut {self.name}"},
        )

    def _page(self, client: Any, stream: str, position: _StreamPosition) -> tuple[int, Any]:
        """Return the next page, and the time that reading has begun from: a token goes with it."""
        group = self._options.log_group
        asked = {"logGroupName": group, "logStreamName": stream, "startFromHead": True}
        since = position.time
        if position.token:
            begun, token = position.since, position.token
            try:
                return begun, client.get_log_events(**asked, startTime=begun, nextToken=token)
            except ClientError as error:
                if error.response["Error"]["Code"] not in _EXPIRED:
                    raise
            since = max(0, since - _LATE_MS)
        return since, client.get_log_events(**asked, startTime=since)


def _is_over(position: _StreamPosition, newest: int) -> bool:
    """Say whether all of a stream is read and nothing came for a day.

    EKS begins others now and then, and a group may keep the old ones for ever. That of its *newest*
    event (ms) CloudWatch hears within hours.
    """
    return 0 < newest <= position.time and newest < _now_ms() - _DAY_MS
