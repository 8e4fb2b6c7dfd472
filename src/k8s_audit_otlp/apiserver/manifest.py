"""Switches the audit log on in the text of a kube-apiserver manifest.

No I/O. Comments and layout stay; patching twice changes nothing the second time.
"""

import io
import re
from collections.abc import Mapping, MutableSequence
from dataclasses import dataclass, replace
from pathlib import PurePosixPath

from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError
from ruamel.yaml.nodes import ScalarNode
from ruamel.yaml.representer import RoundTripRepresenter

from k8s_audit_otlp.apiserver import flags
from k8s_audit_otlp.apiserver.mounts import Mounts, Node, log_directory, policy_file
from k8s_audit_otlp.apiserver.observed import Apiserver, container_of, not_yaml, observe
from k8s_audit_otlp.apiserver.settings import (
    DEFAULTS,
    LOG_PATH,
    POLICY_FILE,
    TOO_WIDE,
    RefusalError,
    check,
    choose,
)
from k8s_audit_otlp.config.reading.plain_yaml import REFUSED, line_of

_RENAMED = "the single-file mount of {} is replaced: rotation cannot rename a mounted file"
SHELLS = frozenset({"sh", "bash", "ash", "dash"})


@dataclass(frozen=True, slots=True)
class Patched:
    """The new text, the flags that were set in it, what it says as a whole, and remarks."""

    text: str
    flags: Mapping[str, str]
    apiserver: Apiserver
    notes: tuple[str, ...]


def patch(text: str, asked: Mapping[str, str], path: str = "manifest") -> Patched:
    """Switch the audit log on in a manifest. `asked` holds the flags that the operator named."""
    if "\r\n" in text:
        found = patch(text.replace("\r\n", "\n"), asked, path)
        return replace(found, text=found.text.replace("\n", "\r\n"))
    yaml = _yaml_like(text)
    try:
        pod = yaml.load(text)
    except (YAMLError, *REFUSED) as error:
        raise not_yaml(path, line_of(error)) from None
    container = container_of(pod, path)
    lists = _command_lists(container, path)
    chosen = {name: choose(name, _present(lists, name), asked.get(name)) for name in DEFAULTS}
    wanted = {name: choice.value for name, choice in chosen.items()}
    check(wanted)
    notes = [choice.why for choice in chosen.values() if choice.why]
    if _dump(yaml, pod) != text:
        notes.append("the layout of this file cannot be kept exactly; its meaning is")
    old_policy, old_log = _present(lists, POLICY_FILE), _present(lists, LOG_PATH)
    for name, value in wanted.items():
        _put(lists, name, value)
    mounts = Mounts(pod["spec"], container)
    if old_policy and old_policy != wanted[POLICY_FILE]:
        mounts.drop_file(old_policy)
    if old_log and old_log != wanted[LOG_PATH]:
        mounts.drop_file(old_log, _RENAMED.format(old_log))
    _mount(mounts, wanted, flags.paths([item for items in lists for item in items]))
    new = _dump(yaml, pod)
    return Patched(new, wanted, observe(new, path), (*notes, *mounts.notes))


def _mount(mounts: Mounts, wanted: Mapping[str, str], needed: list[str]) -> None:
    log_path = wanted[LOG_PATH]
    policy, log = policy_file(wanted[POLICY_FILE]), log_directory(log_path)
    policy_on_host, log_file_on_host = mounts.host_path(policy.path), mounts.host_path(log_path)
    mounts.drop_file(log_path, _RENAMED.format(log_path))
    mounts.drop_too_wide(policy.path, needed)
    directory = str(PurePosixPath(log_file_on_host).parent)
    mounts.ensure(log, log.path if directory in TOO_WIDE else directory)
    mounts.ensure(policy, policy_on_host)


def _yaml_like(text: str) -> YAML:
    """Make a round-trip reader that writes as `text` is written."""
    yaml = YAML()
    yaml.preserve_quotes = True
    yaml.width = 1 << 20  # never fold: a folded flag is hard to read in a diff
    yaml.explicit_start = text.startswith("---")
    if re.search(r"^( *)[\w-]+:\n\1  +- ", text, re.MULTILINE):
        yaml.indent(mapping=2, sequence=4, offset=2)
    if re.search(r": null$", text, re.MULTILINE):
        yaml.Representer = _SpelledNull
    return yaml


class _SpelledNull(RoundTripRepresenter):
    """Writes `creationTimestamp: null` as kubeadm does."""

    def represent_null(self, _data: object) -> ScalarNode:
        return self.represent_scalar("tag:yaml.org,2002:null", "null")


_SpelledNull.add_representer(type(None), _SpelledNull.represent_null)


def _command_lists(container: Node, path: str) -> list[MutableSequence[object]]:
    """`command` and `args`, the one that holds the flags last."""
    lists = [container[key] for key in ("command", "args") if container.get(key)]
    if lists and PurePosixPath(str(lists[0][0])).name in SHELLS:
        raise RefusalError(
            f"{path}: kube-apiserver is started by a shell, so its flags are one "
            "string; add the flags of `k8s-audit-otlp apiserver kubeadm` to it by hand"
        )
    if not lists:
        raise RefusalError(
            f"{path}: the container has neither command nor args, so its flags come "
            "from elsewhere; add the audit flags there"
        )
    return sorted(lists, key=lambda items: any(str(i).startswith("--") for i in items))


def _present(lists: list[MutableSequence[object]], name: str) -> str | None:
    values = [flags.value_of(items, name) for items in lists]
    return next((value for value in reversed(values) if value is not None), None)


def _put(lists: list[MutableSequence[object]], name: str, value: str) -> None:
    holders = [items for items in lists if flags.find(items, name)] or lists[-1:]
    for items in holders[:-1]:
        flags.drop(items, name)
    flags.put(holders[-1], name, value)


def _dump(yaml: YAML, pod: Node) -> str:
    out = io.StringIO()
    yaml.dump(pod, out)
    return out.getvalue()
