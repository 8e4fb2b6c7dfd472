"""The audit policies that come with the package, and whether kube-apiserver would take a policy.

A profile's name, or the text of a policy, becomes that text, or every mistake in it.
"""

from collections.abc import Iterator
from importlib.resources import files
from importlib.resources.abc import Traversable

from k8s_audit_otlp.apiserver.settings import RefusalError
from k8s_audit_otlp.config.mistakes import ConfigError


def names(folder: Traversable | None = None) -> list[str]:
    return sorted(
        entry.name.removesuffix(".yaml")
        for entry in _folder(folder).iterdir()
        if entry.name.endswith(".yaml")
    )


def text_of(name: str, folder: Traversable | None = None) -> str:
    """Return the policy of a profile, comments and all."""
    if name not in (known := names(folder)):
        raise RefusalError(f"--profile: there is no {name!r}; choose one of {', '.join(known)}")
    return (_folder(folder) / f"{name}.yaml").read_text(encoding="utf-8")


def mistakes(text: str, file_name: str) -> list[str]:
    """Say why kube-apiserver would not work by this policy; empty where it would."""
    from k8s_audit_otlp.config.reading.policy_file import parse_policy  # noqa: PLC0415 - slow

    try:
        parse_policy(text, file_name)
    except ConfigError as error:
        return str(error).splitlines()
    return []


def remarks(text: str, file_name: str) -> Iterator[str]:
    """Name what an exporter's policy may hold and kube-apiserver passes over."""
    from k8s_audit_otlp.config.reading.policy_file import parse_policy  # noqa: PLC0415 - slow

    policy = parse_policy(text, file_name)
    if policy.omit_codes or any(rule.omit_codes for rule in policy.rules):
        yield (
            f"{file_name}: kube-apiserver passes over omitResponseCodes and logs those events; "
            "it works in the policy of an exporter (audit.policy)"
        )


def _folder(folder: Traversable | None) -> Traversable:
    return folder if folder is not None else files(__package__) / "policies"
