"""The base of sources that fetch their events: a thread that reads until it is stopped."""

import logging
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from threading import Event, Thread
from typing import Generic, NamedTuple, TypeVar

import msgspec

from k8s_audit_otlp.receiver.spool.segment_files import SpoolFullError
from k8s_audit_otlp.receiver.spool.spool import Spool
from k8s_audit_otlp.state.files import replace_file

logger = logging.getLogger("k8s_audit_otlp")

_LOOK_S = 0.1
_ENOUGH = 100  # texts to tell by; other logs may be beside

Connection = TypeVar("Connection")
Kept = TypeVar("Kept")


class Lag:
    """How far a reader is behind what there is to read."""

    def __init__(self, monotonic: Callable[[], float] = time.monotonic) -> None:
        self.now = monotonic
        self._had_all_at = monotonic()
        self.waiting: Mapping[str, int] = {}  # messages that are not on disk, by place

    def has_all_of(self, at: float) -> None:
        """Note that everything up to a moment (of `now`) is on disk."""
        self._had_all_at = max(self._had_all_at, at)

    @property
    def behind_s(self) -> float:
        """Seconds since the last moment of which everything is on disk, from the start on."""
        return self.now() - self._had_all_at


def read_kept(path: Path, kind: type[Kept], hint: str) -> Kept:
    """Return what a source has kept beside its spool, nothing at first.

    Raise OSError, with the *hint*, where it cannot be read.
    """
    try:
        return msgspec.json.decode(path.read_bytes(), type=kind)
    except FileNotFoundError:
        return kind()
    except (msgspec.MsgspecError, ValueError) as error:
        raise OSError(f"{path}: {error}; {hint}") from None


def keep(path: Path, what: Mapping[str, object]) -> None:
    """Keep it for the next start; it is on disk when this returns."""
    replace_file(path, lambda file: file.write(msgspec.json.encode(what)))


class Lost(NamedTuple):
    """What a service deleted before it was read: words, and how many messages if that is known."""

    what: str
    messages: int


class FetchingSource(ABC, Generic[Connection]):
    """Connects and takes, over and over; after any trouble it goes on from its last position.

    `trouble` says why nothing is taken, '' while it is; `left_out` counts what held no audit event;
    `lag` is measured by whoever knows what there is; `lost` is what the service has no more, and
    `on_record` how much of that is on disk as notices.
    """

    def __init__(self, name: str, spool: Spool, *, again_s: float = 2.0) -> None:
        """*again_s*: the wait after trouble, in seconds."""
        self.name = name
        self.left_out = 0
        self.trouble = ""
        self.lag = Lag()
        self.lost: list[Lost] = []
        self.on_record = 0
        self.answers: dict[str, int] = {}  # nobody asks it
        self.risks: dict[str, str] = {}  # no buffer before it is known
        self._spool = spool
        self._again_s = again_s
        self._stop = Event()
        self._thread = Thread(target=self._run, name=name, daemon=True)

    @abstractmethod
    def where(self) -> str:
        """Return what it reads, for people. Raise OSError where its positions cannot be read."""

    @abstractmethod
    def connect(self) -> AbstractContextManager[Connection]: ...

    @abstractmethod
    def take(self, connection: Connection) -> str:
        """Take what has come, put it on disk, note the position; return within some seconds.

        Returns why nothing may come although it goes on, '' as a rule.
        """

    def start(self) -> str:
        """Begin to read, and return what; a service that is away is waited for.

        Raise OSError where its positions cannot be read.
        """
        where = self.where()
        self._thread.start()
        return where

    def look(self) -> None:
        """Do nothing: it reads its settings anew whenever it connects."""

    def stop(self, within_s: float) -> None:
        """Take nothing more; a call to a service that lasts longer is left to itself.

        What it may still bring finds the spool closed, and comes again.
        """
        self._stop.set()
        if self._thread.is_alive():
            self._thread.join(within_s)

    @property
    def alive(self) -> bool:
        return self._thread.is_alive()

    def put(self, lines: Sequence[bytes], meanwhile: Callable[[], None] = lambda: None) -> bool:
        """Put *lines* on disk, however long the spool is full; False when it is stopped before.

        *meanwhile* is called now and then while it waits.
        """
        while lines:
            try:
                self._spool.append(lines)
                break
            except SpoolFullError as full:
                self._note(f"nothing is taken: {full}")
                if self._stop.wait(self._again_s):
                    return False
                meanwhile()
        return True

    def lose(self, what: str, messages: int) -> None:
        """Note what can never be read; once, however often it is met."""
        if (lost := Lost(what, messages)) not in self.lost:
            self.lost.append(lost)

    def losses_are_on_record(self) -> bool:
        """Wait until no kill can take back what was lost; False when it is stopped before."""
        while self.on_record < len(self.lost):
            if self._stop.wait(_LOOK_S):
                return False
        return True

    def _run(self) -> None:
        while not self._stop.is_set():
            try:
                with self.connect() as connection:
                    while not self._stop.is_set():
                        self._note(self.take(connection) or self._nothing_of_use())
            except Exception as error:  # noqa: BLE001 - a thread that dies takes nothing any more
                self._note(f"{error or type(error).__name__}; it begins again")
                self._stop.wait(self._again_s)

    def _nothing_of_use(self) -> str:
        """Say where all that came was something else: a topic or a group may be the wrong one."""
        if self.left_out < _ENOUGH or self._spool.written or self._spool.repeated:
            return ""
        return (
            "nothing that has come since the start holds an audit event; see what is written to it"
        )

    def _note(self, why: str) -> None:
        """Say *why* nothing is taken; '' is no trouble."""
        self.trouble = why
        if why:
            logger.warning("%s: %s", self.name, why)
