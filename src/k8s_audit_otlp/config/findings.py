"""What the steps of loading find, collected under the names that the file uses. Values only."""

from dataclasses import dataclass, field

from k8s_audit_otlp.config.collector_keys import ALIASES
from k8s_audit_otlp.config.config import Config
from k8s_audit_otlp.config.document import Path, where
from k8s_audit_otlp.config.mistakes import Kind, Mistake, Remark


def canonical(component_id: str) -> str:
    """Return the id with its type's own name: `otlphttp/siem` is `otlp_http/siem`."""
    kind, slash, name = component_id.partition("/")
    return f"{ALIASES.get(kind, kind)}{slash}{name}"


@dataclass(slots=True)
class Findings:
    """What was found on the way; `config` is there when there are no mistakes."""

    mistakes: list[Mistake] = field(default_factory=list)
    remarks: list[Remark] = field(default_factory=list)
    config: Config | None = None
    written: dict[str, str] = field(default_factory=dict)  # a component's id as spelled there

    def path_of(self, section: str, component_id: str) -> Path:
        return (section, self.written.get(where((section, component_id)), component_id))

    def mistake(self, path: Path, what: str, hint: str) -> None:
        self.mistakes.append(Mistake(where(path), what, hint))

    def remark(self, path: Path, kind: Kind, why: str) -> None:
        self.remarks.append(Remark(where(path), kind, why))
