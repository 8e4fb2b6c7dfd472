"""JSON Schemas of what an apiserver serves, for kubeconform."""

import json
from typing import Any


def write_schemas(definitions: Any, folder: Any) -> None:
    """One JSON Schema a kind; an unknown field is a mistake."""
    for definition in definitions.values():
        if "properties" in definition:
            definition["additionalProperties"] = False
        if definition.get("format") == "int-or-string":
            del definition["type"]
    for name, definition in definitions.items():
        for kind in definition.get("x-kubernetes-group-version-kind", []):
            if kind["kind"] in {
                "ConfigMap",
                "DaemonSet",
                "Namespace",
                "NetworkPolicy",
                "Pod",
                "Role",
                "RoleBinding",
                "Service",
                "ServiceAccount",
                "StatefulSet",
            }:
                schema = {"$ref": f"#/definitions/{name}", "definitions": definitions}
                (folder / f"{kind['kind'].lower()}.json").write_text(json.dumps(schema))
