"""`evidence`: keys for seals, and what an export of a back end proves by itself."""

import json
import sys
from contextlib import closing
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path

import click

from k8s_audit_otlp.cli import MISSING, USAGE, die
from k8s_audit_otlp.cli.options import JSON
from k8s_audit_otlp.cli.terminal import reading
from k8s_audit_otlp.cli.verify import files_of, open_export
from k8s_audit_otlp.evidence.seal import KeyFileError, make_key, read_public_keys
from k8s_audit_otlp.tools.verify.compare import Comparison, VerifyReport
from k8s_audit_otlp.tools.verify.contents import ContentReport, Contents
from k8s_audit_otlp.tools.verify.export import UID_FIELD, Export, UnreadableExportError
from k8s_audit_otlp.tools.verify.links import ChainReport, IntegrityReport, Links

_MOST = 20  # segments that are named
CHANGED = 6  # what is there is not what was written

_CANNOT_KNOW = (
    "not judged: events that a policy of kube-apiserver never wrote, what a policy or redaction "
    "of the exporter took away, and attributes and times beside uid and body, from which they are "
    "made"
)


@click.group("evidence")
def command() -> None:
    """Make keys that seal receipts; check what a back end holds without the node."""


@command.command()
@click.argument("file", type=click.Path(path_type=Path))
@click.option(
    "--previous", type=click.Path(path_type=Path), help="The key in use; it vouches for the new."
)
def keygen(file: Path, previous: Path | None) -> None:
    """Make an Ed25519 key FILE (0600) and its public half FILE.pub.

    Keep FILE on the node, as service::evidence::key_file; keep FILE.pub elsewhere. To change keys,
    name the old one with --previous, and give both public keys when you verify.
    """
    try:
        name = make_key(file, previous)
    except KeyFileError as error:
        die(str(error), USAGE)
    except OSError as error:
        die(f"{error.filename or file}: {error.strerror}; name a file in a directory that is there")
    click.echo(f"key {name}: {file} for the agent, {file}.pub for whoever verifies")


@command.command()
@click.option(
    "--against",
    required=True,
    multiple=True,
    metavar="FILE|DIR|-",
    help="An export of the back end; may be given again.",
)
@click.option(
    "--key",
    "keys",
    multiple=True,
    type=click.Path(path_type=Path),
    help="Public key that is trusted; may be given again.",
)
@click.option("--uid-field", default=UID_FIELD, show_default=True, help="Field that holds the uid.")
@JSON
def verify(
    against: tuple[str, ...], keys: tuple[Path, ...], uid_field: str, *, as_json: bool
) -> None:
    """Judge an export by itself: whether it is complete, and what the agent sent.

    Completeness holds the records against the receipts. Integrity holds receipts, gaps and seals
    against each other. The exit code is 5 if something is missing, and 6 if something was changed,
    taken out of the chain or forged.
    """
    try:
        trusted = read_public_keys(list(keys)) if keys else None
    except KeyFileError as error:
        die(f"--key: {error}", USAGE)
    comparison, links, contents = Comparison(), Links(trusted), Contents()
    try:
        files = list(files_of(against))
        with reading(sum(size for _, size in files), "the export") as advance:
            for name, _ in files:
                with closing(open_export(name)) as stream:
                    export = Export(name, stream, uid_field, advance)
                    comparison.take(contents.taking(links.taking(export)))
    except UnreadableExportError as error:
        die(str(error))
    except OSError as error:
        die(f"{error.filename}: {error.strerror}")
    complete, sound, said = comparison.report(), links.report(), contents.report()
    sound.faults += said.changed
    if not any(chain.last for chain in sound.chains):
        die(f"{', '.join(against)}: no receipt that is linked; nothing proves anything here")
    if as_json:
        click.echo(json.dumps(_as_json(complete, sound, said), indent=2))
    else:
        _print(complete, sound, said)
    if not sound.sound:
        sys.exit(CHANGED)
    if not _is_complete(complete):
        sys.exit(MISSING)


def _is_complete(report: VerifyReport) -> bool:
    return report.complete and not report.foreign


def _as_json(
    complete: VerifyReport, sound: IntegrityReport, said: ContentReport
) -> dict[str, object]:
    return {
        "complete": _is_complete(complete),
        "sound": sound.sound,
        "missing": complete.total("missing"),
        "repeated": complete.total("repeated"),
        "foreign": complete.foreign,
        "gaps": complete.total("gaps"),
        "without_receipt": {"records": complete.elsewhere, "segments": complete.elsewhere_segments},
        "seals": sound.seals,
        "seals_checked": sound.checked,
        "faults": sound.faults,
        "chains": [asdict(chain) for chain in sound.chains],
        "contents": asdict(said),
        "not_judged": _CANNOT_KNOW,
    }


def _print(complete: VerifyReport, sound: IntegrityReport, said: ContentReport) -> None:
    total = complete.total
    for segment in complete.segments:
        for remark in segment.remarks:
            click.echo(f"{segment.identity}: {remark}")
    for fault in sound.faults:
        click.echo(fault)
    for chain in sound.chains:
        click.echo(f"{chain.exporter} ({chain.id}): {_extent(chain, checked=sound.checked)}")
        for fault in chain.faults:
            click.echo(f"  {fault}")
    click.echo(
        f"{'complete' if _is_complete(complete) else 'NOT COMPLETE'}: "
        f"{total('arrived'):,} records under receipts, {total('missing'):,} missing, "
        f"{total('repeated'):,} repeated, {complete.foreign:,} foreign, {total('gaps'):,} gaps; "
        f"{complete.elsewhere:,} records are of segments without a receipt yet"
    )
    for line in said.missing:
        click.echo(line)
    for line in said.not_judged[:_MOST]:
        click.echo(f"not judged: the records of {line}")
    if len(said.not_judged) > _MOST:
        click.echo(f"not judged: the records of {len(said.not_judged) - _MOST} more segments")
    click.echo(
        f"{said.records:,} records of {said.judged:,} segments were held against the hashes of "
        "uid and body in their receipts"
    )
    click.echo("sound: the chain holds" if sound.sound else "NOT SOUND: see above")
    click.echo(_CANNOT_KNOW)


def _extent(chain: ChainReport, *, checked: bool) -> str:
    if not chain.last:
        return f"sealed up to {chain.sealed}; its links are in another back end"
    links = f"links {chain.first} to {chain.last}"
    if not checked:
        return f"{links}; no key was given: it shows accident and loss, and no forger"
    if not chain.sealed:
        return f"{links}; not sealed"
    when = datetime.fromtimestamp(chain.sealed_ns / 1e9, UTC).isoformat(timespec="seconds")
    after = max(0, chain.last - chain.sealed)
    return f"{links}; sealed up to {chain.sealed} at {when}, {after} after it are not"
