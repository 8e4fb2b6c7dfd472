"""Writes a configuration file with every key at its default, one comment each, from the models.

    python -m tests.kit.config_reference > otel-config/agent/reference.yaml

Blocks that several components share are written out once. Keys that only a Collector honours are
left out.
"""

import json
import sys
from collections.abc import Iterator, Mapping
from typing import Any, Final

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from k8s_audit_otlp.config.output.schema import component_models
from k8s_audit_otlp.config.reading.collector_keys import table_of
from k8s_audit_otlp.config.reading.model_errors import model_in
from k8s_audit_otlp.config.service import Service

HEAD: Final = """\
# Every key of the agent's configuration at its default; required keys hold an example.
# A key without a value has the default that its comment tells. Made from the schema.
"""
# required keys have no default; `client_secret` and the like are one of a pair that must be there
EXAMPLES: Final[Mapping[str, Mapping[str, Any]]] = {
    "k8s_audit": {"include": ["/var/log/kubernetes/audit.log"]},
    "k8s_audit_webhook": {"endpoint": "localhost:9443"},
    "kafka receiver": {"brokers": ["localhost:9092"], "topics": ["k8s-audit"]},
    "kafka": {"brokers": ["localhost:9092"]},
    "aws_cloudwatch": {"log_group": "/aws/eks/prod/cluster"},
    "otlp_http": {"endpoint": "http://localhost:4318"},
    "otlp_grpc": {"endpoint": "localhost:4317"},
    "otlp_file": {"path": "-"},
    "sdk": {"exporter": "console"},
    "bearertokenauth": {"token": "${env:BEARER_TOKEN}"},
    "basicauth": {"username": "${env:BASIC_USER}", "password": "${env:BASIC_PASSWORD}"},
    "oauth2client": {
        "client_id": "${env:CLIENT_ID}",
        "client_secret": "${env:CLIENT_SECRET}",
        "token_url": "https://login.example.com/token",
    },
}


class _Writer:
    """Writes blocks below each other; remembers which ones are written already."""

    def __init__(self) -> None:
        self._written: dict[type[BaseModel], str] = {}

    def document(self) -> Iterator[str]:
        for section, models in component_models().items():
            yield f"{section}:"
            for kind, model in models.items():
                yield from self._comment(model.__doc__ or "", "  ")
                yield f"  {kind}:"
                examples = EXAMPLES.get(table_of(section, kind), {})
                yield from self._block(model, examples, f"{section}::{kind}", "    ")
            yield ""
        yield from self._comment(Service.__doc__ or "", "")
        yield "service:"
        yield from self._block(Service, {}, "service", "  ")

    def _block(
        self, model: type[BaseModel], examples: Mapping[str, Any], owner: str, indent: str
    ) -> Iterator[str]:
        fields = sorted(model.model_fields.items(), key=lambda one: _is_block(one[1]))
        for name, field in fields:
            key = field.alias or name
            inner = model_in(field.annotation)
            if inner in self._written:
                yield f"{indent}# {key}: as in {self._written[inner]}"
                continue
            yield from self._comment(field.description or "", indent)
            if inner is None or not _is_block(field):
                yield f"{indent}{key}: {_value(examples.get(key, field.get_default()))}".rstrip()
                continue
            self._written[inner] = owner
            off = field.default is None  # the whole block is absent unless it is written
            yield f"{indent}{key}:"
            below = f"{indent}#   " if off else f"{indent}  "
            yield from self._block(inner, examples, owner, below)

    def _comment(self, text: str, indent: str) -> Iterator[str]:
        yield f"{indent}# {text.strip().splitlines()[0]}"


def _is_block(field: FieldInfo) -> bool:
    """Tell a block from a map or list of blocks, which is empty by default."""
    many = str(field.annotation).startswith(("dict", "tuple"))
    return model_in(field.annotation) is not None and not many


def _value(value: Any) -> str:
    """Write a value as YAML: JSON is YAML, and words need no quotes."""
    if value is None or type(value).__name__ == "PydanticUndefinedType":
        return ""
    if isinstance(value, str) and value.replace("_", "").replace("-", "").isalnum():
        return value
    return json.dumps(list(value) if isinstance(value, tuple) else value)


def reference_file() -> str:
    """Return the whole file."""
    return HEAD + "\n" + "\n".join(_Writer().document()) + "\n"


if __name__ == "__main__":
    sys.stdout.write(reference_file())
