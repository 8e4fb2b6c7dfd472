"""Writes the mapping as a Markdown table, for the page of attributes."""

from k8s_audit_otlp.otlp.mapping import MappingOptions, rows_in


def attributes_page(options: MappingOptions) -> str:
    lines = ["| attribute | type | from | remark |", "|---|---|---|---|"]
    for row in rows_in(options):
        key = row.key_with(options.prefix)
        lines.append(f"| `{key}` | {row.type} | `{row.source}` | {row.note} |")
    return "\n".join(lines) + "\n"
