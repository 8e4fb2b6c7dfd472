"""`schema`: the JSON Schema of the configuration, for editors and checks."""

import json

import click


@click.command("schema")
def command() -> None:
    r"""Print the JSON Schema of the configuration.

    Draft 2020-12, with a description of every key. For an editor:

    \b
        k8s-audit-otlp schema > schema.json
        # yaml-language-server: $schema=schema.json
    """
    from k8s_audit_otlp.config.schema import json_schema  # noqa: PLC0415 - pydantic is slow

    click.echo(json.dumps(json_schema(), indent=2, ensure_ascii=False))
