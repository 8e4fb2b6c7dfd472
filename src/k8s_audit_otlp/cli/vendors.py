"""`vendors`: the presets as a table, and a ready block for one of them."""

import click

from k8s_audit_otlp.cli.terminal import console, echo, echo_json
from k8s_audit_otlp.config.mistakes import suggest
from k8s_audit_otlp.config.vendors import show as vendors_show
from k8s_audit_otlp.config.vendors.preset import ROUTES, VENDORS, Vendor
from k8s_audit_otlp.tools.table import FittingTable

_JSON = click.option(
    "--json", "as_json", is_flag=True, help="Print everything that is known, as JSON."
)


@click.group("vendors", invoke_without_command=True)
@_JSON
@click.pass_context
def command(ctx: click.Context, *, as_json: bool) -> None:
    """Show what each back end takes, and a ready block for it.

    `audit: {vendor: NAME}` in an exporter sets form, limits and start for that back end.
    """
    if ctx.invoked_subcommand is not None:
        return

    if as_json:
        presets = [vendors_show.as_json(row) for row in VENDORS.values()]
        routes = [vendors_show.as_json(row) for row in ROUTES.values()]
        echo_json([*presets, *routes])
        return

    console().print(_table(list(VENDORS.values())))
    echo("request, record: the largest that it takes; age: of the oldest event that it takes\n")
    echo("Through a Collector (not tested):")
    for route in ROUTES.values():
        echo(route.why, head=f"  {route.name:<16}")
    click.echo("\nA ready block: k8s-audit-otlp vendors show NAME")


def _table(vendors: list[Vendor]) -> FittingTable:

    titles = ("vendor", "logs go to", "gRPC", "header", "form", "request", "record", "age")
    table = FittingTable(titles, 5)
    for vendor in vendors:
        size, count = (vendor.limits.get(f"max_request_{of}", "") for of in ("bytes", "records"))
        table.add_row(
            vendor.name,
            f"{vendor.endpoint}/v1/logs",
            vendor.grpc.rpartition(":")[2],
            " ".join(header.name for header in vendor.headers if header.required),
            vendor.profile,
            " ".join(filter(None, (str(size), f"{count} records" if count else ""))),
            vendor.max_record_bytes,
            vendor.max_age,
        )
    return table


def _names(_ctx: click.Context, _param: click.Parameter, incomplete: str) -> list[str]:
    return [name for name in (*VENDORS, *ROUTES) if name.startswith(incomplete)]


@command.command("show")
@click.argument("name", shell_complete=_names)
@click.option("--grpc", is_flag=True, help="Send over gRPC.")
@_JSON
def show(name: str, *, grpc: bool, as_json: bool) -> None:
    """Print a ready configuration for one back end, and its limits."""
    vendor, route = VENDORS.get(name), ROUTES.get(name)
    row = vendor or route
    if row is None:
        hint = suggest(name, (*VENDORS, *ROUTES))
        raise click.BadParameter(f"there is no vendor {name}; {hint}", param_hint="NAME")
    if grpc and (vendor is None or not vendor.grpc):
        raise click.BadParameter(f"{row.title} takes no gRPC", param_hint="--grpc")
    if as_json:
        echo_json(vendors_show.as_json(row))
    elif vendor is not None:
        click.echo(vendors_show.vendor_text(vendor, grpc=grpc), nl=False)
    elif route is not None:
        click.echo(vendors_show.route_text(route), nl=False)
