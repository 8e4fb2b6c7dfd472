"""Checks the paths of a Config on disk: what is wrong now, or may come to be."""

import os
import ssl
from collections.abc import Iterable, Iterator
from fnmatch import fnmatch
from importlib.metadata import entry_points
from pathlib import Path
from stat import S_IFREG, S_ISDIR, S_ISREG
from typing import Any

from k8s_audit_otlp.config.audit import Audit
from k8s_audit_otlp.config.audit_files import read_policy, read_rules
from k8s_audit_otlp.config.blocks import Tls, values_in
from k8s_audit_otlp.config.config import Config, ConfigFindings
from k8s_audit_otlp.config.exporters import OtlpFile, Sdk
from k8s_audit_otlp.config.mistakes import ConfigError, Kind
from k8s_audit_otlp.config.reading.document import Path as KeyPath
from k8s_audit_otlp.config.reading.document import where as key_of
from k8s_audit_otlp.config.reading.needs import check_packages, check_tls
from k8s_audit_otlp.config.secret import Secret
from k8s_audit_otlp.config.service import Service
from k8s_audit_otlp.config.sources import ServerTls
from k8s_audit_otlp.evidence.seal import KeyFileError, SealKey
from k8s_audit_otlp.receiver.listing import what_is_in
from k8s_audit_otlp.receiver.names import GLOB
from k8s_audit_otlp.state.files import STATE_FILES
from k8s_audit_otlp.transport.tls import TlsError, load_server, make_context

_TERMINALS = "/dev/tty", "/dev/pts/", "/dev/console"
_SDK_EXPORTERS = "opentelemetry_logs_exporter"
_FILE_KEYS = frozenset({"filename"})


def look(config: Config, found: ConfigFindings) -> None:
    """Add what the disk says: a directory for a file is a mistake, a missing file a remark."""
    logs = _look_at_receivers(config, found)
    _look_at_service(config.service, found)
    check_packages(config, found)
    telemetry = values_in(config.service.telemetry, ("service", "telemetry"))
    values = [*_values(config, found), *telemetry]
    check_tls(values, found)
    for path, value in values:
        if isinstance(value, Tls | ServerTls):
            _look_at_certificates(value, path, found)
        for name in _files_of(path, value):
            _look_at_file(name, path, found)
    taken = {os.path.realpath(file): what for file, what in _in_use(config, values)}
    taken |= dict.fromkeys(logs, "is an audit log that is read")
    if config.service.evidence.seal_file:
        seals: KeyPath = ("service", "evidence", "seal_file")
        _look_at_output(config.service.evidence.seal_file, seals, taken, found, "seals.jsonl")
    for exporter_id, exporter in config.exporters.items():
        where = found.path_of("exporters", exporter_id)
        _look_at_audit(exporter.audit, (*where, "audit"), found)
        if isinstance(exporter, OtlpFile):
            _look_at_output(exporter.path, (*where, "path"), taken, found)
            if not (exporter.create_directory or Path(exporter.path).parent.exists()):
                why = "its directory is not there; make it, or write create_directory: true"
                found.remark((*where, "path"), Kind.MISSING, why)
            if _is_sink(Path(exporter.path)):
                why = f"{exporter.path} keeps nothing, and all that is read counts as delivered"
                found.remark((*where, "path"), Kind.UNUSUAL, why)
        elif isinstance(exporter, Sdk):
            _look_at_sdk(exporter, (*where, "exporter"), found)


def _in_use(config: Config, values: Iterable[tuple[KeyPath, Any]]) -> Iterator[tuple[str, str]]:
    """Yield files that nothing may be written to by its configuration, and what each is."""
    for name in STATE_FILES:
        yield str(Path(config.service.state_dir, name)), "is a file of the agent's state"
    read = [name for path, value in values for name in _files_of(path, value)]
    audits = [exporter.audit for exporter in config.exporters.values()]
    read += [name for a in audits for name in (a.policy, a.redaction.key_file) if name]
    for name in filter(None, [*read, config.service.evidence.key_file]):
        yield name, "is read for this configuration"


def _look_at_sdk(exporter: Sdk, path: KeyPath, found: ConfigFindings) -> None:
    there = entry_points(group=_SDK_EXPORTERS).names
    if exporter.exporter not in there:
        why = f"none of that name is installed here, but {', '.join(sorted(there))}"
        found.remark(path, Kind.MISSING, why)


def _look_at_receivers(config: Config, found: ConfigFindings) -> set[str]:
    """Return the paths and patterns of the logs that are read, without symbolic links."""
    spools, logs = {log for _, _, log in config.spools()}, set[str]()
    state_dir = os.path.realpath(config.service.state_dir)  # `run` makes it
    for receiver_id, receiver in config.receivers.items():
        where = found.path_of("receivers", receiver_id)
        for pattern in () if receiver_id in spools else receiver.include:
            if (real := os.path.realpath(pattern)) == state_dir:
                found.mistake((*where, "include"), f"{pattern} is the state_dir", "name the log")
            else:
                _look_at_log(pattern, (*where, "include"), found)
            logs.add(real)
        if receiver.rescue_dir:
            _look_at_directory(Path(receiver.rescue_dir), (*where, "rescue_dir"), found)
    return logs


def _look_at_service(service: Service, found: ConfigFindings) -> None:
    evidence = service.evidence
    _look_at_directory(Path(service.state_dir), ("service", "state_dir"), found)
    where = ("service", "evidence", "key_file")
    if evidence.key_file and not _refuse_home(evidence.key_file, where, found):
        try:
            SealKey.read(Path(evidence.key_file))
        except KeyFileError as error:
            what, _, hint = str(error).partition("; ")
            found.mistake(where, what, hint)


def _look_at_output(
    name: str,
    path: KeyPath,
    taken: dict[str, str],
    found: ConfigFindings,
    example: str = "audit.jsonl",
) -> None:
    """Refuse a place that is something else already, by its path or pattern in *taken*."""
    file = Path(name)
    if _refuse_home(name, path, found) or name == "-":
        return
    real = os.path.realpath(file)
    if S_ISDIR(_mode(file)):
        hint = f"write {name.rstrip('/')}/{example}"
        found.mistake(path, f"{name} is a directory", hint)
    elif what := next((of for at, of in taken.items() if real == at or fnmatch(real, at)), ""):
        found.mistake(path, f"{name} {what}", "name another file")
    elif not _is_sink(file):
        taken[real] = f"is written by {key_of(path)}"  # two would tear each other's lines
    if not S_ISREG(_mode(file)):
        _look_at_directory(file.parent, path, found)
    elif not os.access(file, os.W_OK, effective_ids=True):
        found.remark(path, Kind.UNWRITABLE, f"{name} may not be written by this user")


def _look_at_directory(directory: Path, path: KeyPath, found: ConfigFindings) -> None:
    """Refuse a directory that cannot be made, as a part of its path is a file or leads nowhere."""
    there = next((p for p in (directory, *directory.parents) if os.path.lexists(p)), directory)
    if os.path.lexists(there) and not S_ISDIR(_mode(there)):
        found.mistake(path, f"{there} is not a directory", "name a directory")
    elif not os.access(there, os.W_OK | os.X_OK, effective_ids=True):
        found.remark(path, Kind.UNWRITABLE, f"{there} may not be written by this user")


def _look_at_audit(audit: Audit, path: KeyPath, found: ConfigFindings) -> None:
    """Read what `run` reads at its start, and refuses to start without."""
    for read in (lambda: audit.policy and read_policy(audit.policy), lambda: read_rules(audit)):
        try:
            read()
        except ConfigError as error:
            found.mistakes += error.below(key_of(path)).mistakes


def secrets_in(config: Config) -> Iterator[Secret]:
    yield from (
        value for _, value in _values(config, ConfigFindings()) if isinstance(value, Secret)
    )


def _look_at_log(pattern: str, path: KeyPath, found: ConfigFindings) -> None:
    if GLOB & set(pattern):
        return
    log = Path(pattern)
    if S_ISDIR(_mode(log)):
        hint = f"name the log in it: {pattern.rstrip('/')}/audit.log"
        found.mistake(path, f"{pattern} is a directory", hint)
    elif _is_no_file(log):
        found.mistake(path, f"{pattern} is a pipe, socket or device", "name the log file")
    elif not _mode(log):
        why = f"{pattern} will be read as soon as it is there{what_is_in(log.parent)}"
        found.remark(path, Kind.MISSING, why)
    elif not os.access(log, os.R_OK):
        found.remark(
            path, Kind.UNREADABLE, f"{pattern} cannot be read by this user; run as its owner"
        )


def _look_at_certificates(tls: Tls | ServerTls, path: KeyPath, found: ConfigFindings) -> None:
    """Load them where they are; a file that this user cannot read may be another's to read."""
    own = isinstance(tls, Tls) and (tls.has_own_ca or tls.cert_pem)
    if not (own or tls.files):
        return  # and the system's certificates, some hundred, are not loaded for nothing
    if not all(os.access(file, os.R_OK) and Path(file).is_file() for file in tls.files):
        return
    try:
        if isinstance(tls, Tls):
            make_context(tls)
        else:
            load_server(ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), tls)
    except TlsError as error:
        hint = "give certificates and keys in PEM that belong together"
        found.mistake((*path, error.key), f"{getattr(tls, error.key)}: {error.why}", hint)


def _refuse_home(name: str, path: KeyPath, found: ConfigFindings) -> bool:
    """Refuse what only a shell would make the home directory of."""
    if is_home := name.startswith("~"):
        found.mistake(path, f"{name}: ~ is the shell's", "write the whole path")
    return is_home


def _look_at_file(name: str, path: KeyPath, found: ConfigFindings) -> None:
    file = Path(name)
    if _refuse_home(name, path, found):
        return
    if S_ISDIR(_mode(file)):
        found.mistake(path, f"{name} is a directory", "name a file")
    elif not _mode(file):
        found.remark(path, Kind.MISSING, f"{name} is needed for sending")
    elif not os.access(file, os.R_OK):
        found.remark(path, Kind.UNREADABLE, f"{name} cannot be read by this user")
    elif _is_no_file(file):  # it would be waited for without end
        found.mistake(path, f"{name} is a pipe, socket or device", "name a file")


def _mode(path: Path) -> int:
    """Return the mode of what is there, 0 where nothing is."""
    try:
        return path.stat().st_mode
    except (FileNotFoundError, NotADirectoryError):
        return 0
    except OSError:
        return S_IFREG  # behind a directory that may not be entered: it may well be there


def _is_no_file(path: Path) -> bool:
    return not S_ISREG(_mode(path) or S_IFREG)


def _is_sink(path: Path) -> bool:
    """Tell whether it is a device such as /dev/null; a terminal shows what is written to it."""
    try:
        return path.is_char_device() and not os.path.realpath(path).startswith(_TERMINALS)
    except OSError:
        return False


def _files_of(path: KeyPath, value: Any) -> tuple[str, ...]:
    if isinstance(value, Secret):
        return value.files
    last = str(path[-1])
    if last == "key_file" and "redaction" in path:
        return ()  # read with the rules that need it
    if isinstance(value, str) and (last in _FILE_KEYS or last.endswith("_file")):
        return (value,)
    return ()


def _values(config: Config, found: ConfigFindings) -> Iterator[tuple[KeyPath, Any]]:
    sections = (
        ("receivers", config.receivers),
        ("receivers", config.sources),
        ("exporters", config.exporters),
        ("extensions", config.extensions),
    )
    for section, components in sections:
        for component_id, block in components.items():
            yield from values_in(block, found.path_of(section, component_id))
