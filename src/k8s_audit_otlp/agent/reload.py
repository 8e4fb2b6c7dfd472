"""Reloads the configuration while the process runs: on SIGHUP, or when its files change.

The new one is read and checked first. If it has a mistake the old one stays and the log says why.
Else the running agent finishes its requests, stores its positions and ends, and the process starts
another agent on the same state: for the positions a reload is a restart.
"""

import os
import time
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import suppress
from pathlib import Path

from k8s_audit_otlp.agent.config_changes import changes, effects
from k8s_audit_otlp.agent.exporter_mapping import ExporterMapping
from k8s_audit_otlp.config.config import Config, ConfigFindings
from k8s_audit_otlp.config.load import Loaded
from k8s_audit_otlp.config.mistakes import ConfigError
from k8s_audit_otlp.config.reading.files import look as look_at_files
from k8s_audit_otlp.telemetry.logs import logger
from k8s_audit_otlp.telemetry.views import ReloadAnswer
from k8s_audit_otlp.transport.tls import stamp

SAME = (
    "the configuration says the same; a key or a certificate in a file is read anew when it "
    "changes, the environment (${env:NAME}) at a restart alone"
)
_SAMPLE_BYTES = 256 * 1024  # of each log, to say what another policy would have done

Mappings = dict[str, ExporterMapping]
Stamp = list[tuple[int, int, int]]


class Reload:
    """Asked by a signal handler, looked at by the thread that commits."""

    def __init__(
        self,
        read: Callable[[], Loaded] | None,
        file: Path | None = None,
        *,
        watch: bool = False,
    ) -> None:
        """*read* reads the configuration again; None where there is nothing to read again."""
        self._read = read
        self._file = file
        self._watch = watch
        self._requested = False
        self._seen: Stamp | None = None
        self._last_seen: Stamp | None = None
        self._running_mappings: Mappings | None = None  # a policy's file may change
        self._seal_key = b""
        self._now: Loaded | None = None
        self.next: Loaded | None = None  # what to start with after the running agent has ended
        self.said: tuple[str, ...] = ()  # how it differs
        self.answer = ReloadAnswer()
        self._read_at = 0.0
        self.refused = False  # the files say something that does not run
        self.keeps_out = False  # logs that came to match, as a file of what runs is wrong by now

    def ask(self) -> None:
        """Read the configuration again soon; safe to call from a signal handler."""
        self._requested = True

    def began(self, loaded: Loaded) -> None:
        """Note that *loaded* runs now; a reload that was asked for meanwhile is still to come."""
        self.next, self._now, config = None, loaded, loaded.config
        self._running_mappings = _mappings_or_none(config)
        self._seal_key = _seal_key(config)
        self._seen = self._last_seen = self._stamp(config)

    def look(self, config: Config, appeared: Collection[Path] = ()) -> bool:
        """Say whether the agent that runs *config* should end for another one.

        *appeared*: logs that match by now, which the next one reads beside the others.
        """
        if self.next is not None:
            return True
        self.keeps_out = bool(appeared) and self._is_broken(config, appeared)
        if appeared and not self.keeps_out:
            said = [f"{path} has come to match" for path in sorted(appeared)]
            self._start_next([*said, *self._effects(config, config)], self._now)
            return True
        if not self._requested and not self._changed(config):
            return False
        self._requested, self._read_at = False, time.monotonic()
        if self._read is None:
            why = "with --once, with --path or from standard input nothing is read again"
            logger.warning("reload_refused", f"reload refused: {why}")
            self._answer(why, refused=True)
            return False
        try:
            new = self._read()
            _same_state(config, new.config)
            said = [*changes(config, new.config), *self._effects(config, new.config)]
            if not said and _seal_key(new.config) != self._seal_key:
                said = ["service::evidence::key_file holds another key"]
        except ConfigError as error:
            self._refuse(error)
            return False
        self.refused = False
        if not said:
            logger.info("unchanged", f"reload: {SAME}")
            self._answer(SAME)
            return False
        self._start_next(said, new)
        return True

    def works(self) -> None:
        """Note that the new configuration runs."""
        self._answer(*self.said)

    def fell_back(self, why: str) -> None:
        """Note that the new configuration could not start, and the one before goes on."""
        self.refused = True
        self._answer(why, refused=True)

    def _answer(self, *said: str, refused: bool = False) -> None:
        self.answer = ReloadAnswer(self._read_at, refused, said)

    def _is_broken(self, config: Config, appeared: Collection[Path]) -> bool:
        """Say whether a file that *config* names would let no agent start, and tell it."""
        found = ConfigFindings()
        look_at_files(config, found)
        for path in appeared if found.mistakes else ():
            text = f"{path} has come to match and is not read yet: {found.mistakes[0]}"
            logger.error("reload_refused", text, log=str(path))
        return bool(found.mistakes)

    def _start_next(self, said: Sequence[str], new: Loaded | None) -> None:
        for line in said:
            logger.info("reloading", f"reload: {line}")
        self.next, self.said = new, tuple(said)

    def _refuse(self, error: ConfigError) -> None:
        self.refused = True
        mistakes = [one.in_file(error.source) for one in error.mistakes]
        for mistake in mistakes:
            text = f"reload refused, the old configuration stays: {mistake}"
            logger.error("reload_refused", text)
        self._answer(*mistakes, refused=True)

    def _effects(self, old: Config, new: Config) -> list[str]:
        now, before = _mappings(new), self._running_mappings
        if before is None:
            return ["a file of the old configuration could not be read"]
        if not any(before[name] != now[name] for name in before.keys() & now.keys()):
            return []
        logs = [path for receiver in old.receivers.values() for path in receiver.include]
        return effects(before, now, (line for path in logs for line in _tail(Path(path))))

    def _changed(self, config: Config) -> bool:
        """Say whether a file is another than at the start, and has been the same for a look."""
        if not self._watch:
            return False
        stamp = self._stamp(config)
        settled, self._last_seen = stamp == self._last_seen, stamp
        if stamp == self._seen or not settled:
            return False
        self._seen = stamp
        return True

    def _stamp(self, config: Config) -> Stamp:
        """Return what changes with a file. kubelet swaps a link to change all of a ConfigMap."""
        audits = [exporter.audit for exporter in config.exporters.values()]
        named = [file for audit in audits for file in (audit.policy, audit.redaction.key_file)]
        values = self._now.files if self._now else ()
        files = (self._file, *named, config.service.evidence.key_file, *values)
        return stamp(str(file) for file in files if file)


def _same_state(old: Config, new: Config) -> None:
    """Refuse another state directory: the positions are in this one."""
    if new.service.state_dir != old.service.state_dir:
        raise ConfigError.at(
            "service::state_dir",
            f"{new.service.state_dir} holds other positions, all would be sent again",
            "stop the agent, move the directory, start it",
        )


def _mappings_or_none(config: Config) -> Mappings | None:
    with suppress(ConfigError):  # whoever starts with it says so
        return _mappings(config)
    return None


def _seal_key(config: Config) -> bytes:
    """Return what the file of the key holds; what is wrong with it whoever reads it says."""
    with suppress(OSError):
        return Path(config.service.evidence.key_file or os.devnull).read_bytes()
    return b""


def _mappings(config: Config) -> Mappings:
    return {name: ExporterMapping.of(name, of) for name, of in config.exporters.items()}


def _tail(path: Path) -> Iterator[bytes]:
    """Yield the whole lines at the end of a log; none where it cannot be read."""
    try:
        with path.open("rb") as file:
            size = file.seek(0, os.SEEK_END)
            file.seek(max(0, size - _SAMPLE_BYTES))
            data = file.read(_SAMPLE_BYTES)
    except OSError:
        return
    lines = data.split(b"\n")
    yield from (line for line in lines[size > _SAMPLE_BYTES : -1] if line)
