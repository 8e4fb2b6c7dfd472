"""The audit log as kube-apiserver is told to write it. No I/O.

What the operator asked for and what a manifest already says become flags, each with its reason.
"""

from collections.abc import Mapping
from pathlib import Path, PurePosixPath
from typing import NamedTuple

MANIFEST = Path("/etc/kubernetes/manifests/kube-apiserver.yaml")  # kubeadm's
LOG_PATH = "audit-log-path"
POLICY_FILE = "audit-policy-file"
WEBHOOK_FILE = "audit-webhook-config-file"


class AuditFlag(NamedTuple):
    """A flag of kube-apiserver, and the option that sets it: an error names what can be typed."""

    default: str
    option: str
    help: str


# Seven days or a gigabyte, whichever comes first, beside the log that is being written.
FLAGS: dict[str, AuditFlag] = {
    "audit-log-format": AuditFlag(
        "json", "--format", "Format of the log; only json can be read without loss."
    ),
    "audit-log-maxage": AuditFlag("7", "--maxage", "Days that a rotated log is kept."),
    "audit-log-maxbackup": AuditFlag("10", "--maxbackup", "Rotated logs that are kept."),
    "audit-log-maxsize": AuditFlag("100", "--maxsize", "Megabytes after which the log is rotated."),
    LOG_PATH: AuditFlag(
        "/var/log/kubernetes/audit.log",
        "--log-path",
        "The log; its directory is mounted into the apiserver.",
    ),
    POLICY_FILE: AuditFlag(
        "/etc/kubernetes/audit-policy.yml",
        "--policy-path",
        "The policy on the node, mounted read-only.",
    ),
}
DEFAULTS = {name: flag.default for name, flag in FLAGS.items()}

# A whole-directory mount of these would hand the apiserver's container far more than a log.
TOO_WIDE = frozenset(
    {"/", "/etc", "/etc/kubernetes", "/home", "/opt", "/root", "/srv", "/tmp", "/usr", "/var"}  # noqa: S108 - refused, not used
    | {"/var/lib", "/var/log", "/var/run"}
)


class RefusalError(Exception):
    """Nothing was changed: the message says where, what and the hint."""


class Choice(NamedTuple):
    """The value of one flag, and what to tell the operator about it ("" where nothing)."""

    value: str
    why: str = ""


def choose(flag: str, present: str | None, asked: str | None) -> Choice:
    """Take an asked-for value, else a present one that works, else the default."""
    if asked is not None:
        return Choice(asked)
    default = DEFAULTS[flag]
    if present is None or present == default:
        return Choice(default)
    fault = _fault(flag, present)
    if fault:
        return Choice(default, f"--{flag}={present} {fault}: corrected to {default}")
    option = FLAGS[flag].option
    return Choice(present, f"--{flag}={present} is kept (default {default}; {option} changes it)")


def check(flags: Mapping[str, str]) -> None:
    """Refuse values that would stop the apiserver or expose more than the log."""
    for flag, value in flags.items():
        if fault := _fault(flag, value):
            raise RefusalError(
                f"{FLAGS[flag].option}: {value!r} {fault}; write e.g. {DEFAULTS[flag]}"
            )
    if flags[LOG_PATH] == flags[POLICY_FILE]:
        raise RefusalError(
            f"{FLAGS[POLICY_FILE].option}: {flags[POLICY_FILE]} is also the log; "
            f"keep the policy elsewhere, e.g. {DEFAULTS[POLICY_FILE]}"
        )


def _fault(flag: str, value: str) -> str:
    match flag:
        case "audit-log-path" | "audit-policy-file":
            return _path_fault(value) or (_wide_fault(value) if flag == LOG_PATH else "")
        case "audit-log-format":
            return "" if value == "json" else "is not the format that can be read losslessly (json)"
        case _:
            return "" if value.isdecimal() else "is not a whole number"


def _path_fault(value: str) -> str:
    path = PurePosixPath(value)
    if path.is_absolute() and path.name and ".." not in path.parts and not value.endswith("/"):
        return ""
    return "is not an absolute path of a file on the node"


def _wide_fault(log_path: str) -> str:
    directory = PurePosixPath(log_path).parent
    if str(directory) in TOO_WIDE or directory.is_relative_to("/etc/kubernetes"):
        return f"lies in {directory}, which holds more than the log and would be mounted, writable"
    return ""
