"""Runs many seeds and writes their totals as a row of README.md. One can be run again alone.

python -m tests.faults.campaign --seeds 1-1000 --jobs 2
python -m tests.faults.campaign --seed 17
python -m tests.faults.campaign --seeds 1-6 --seconds 20 --name "20-second runs"
"""

import multiprocessing
import re
import shutil
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import fields
from functools import partial
from pathlib import Path

import click

from tests.faults.processes import Totals
from tests.faults.scenario import run_scenario

README = Path(__file__).with_name("README.md")
MAX_REPEATS = 0.03  # of what was written, over many seeds; beside what had no answer
_COUNTS = [f.name for f in fields(Totals) if f.type is int and f.name != "seed"]
_ROW = (
    ("runs", "{runs}"),
    ("passed", "{passed}"),
    ("events", "{written:,}"),
    ("rotations", "{rotations:,}"),
    ("kill -9", "{kills:,}"),
    ("SIGTERM (slowest)", "{terms:,} ({slowest_term_s:.1f} s)"),
    ("SIGSTOP", "{stops:,}"),
    ("back end away", "{outages:,}"),
    ("faulty answers", "{faults:,}"),
    ("full disks", "{full_disks:,}"),
    ("writer killed", "{writer_kills:,}"),
    ("power cuts", "{power_cuts:,}"),
    ("runs that delete early", "{deletes_early:,}"),
    ("gaps told", "{gaps:,}"),
    ("receipts", "{receipts:,}"),
    ("taken without an answer", "{unanswered:,}"),
    ("repeats beside these (for each kill)", "{beside:,}, {repeats:.2%} ({per_kill:.0f})"),
    ("missing, unexplained", "{unexplained:,}"),
)


def run(folder: Path, seconds: float | None, max_backups: int | None, seed: int) -> Totals:
    """Run one seed; what it leaves is kept only if something is wrong."""
    here = folder / str(seed)
    shutil.rmtree(here, ignore_errors=True)
    try:
        totals = run_scenario(here, seed, seconds, max_backups)
    except Exception as error:  # noqa: BLE001 - one seed must not end the campaign
        return Totals(seed, notes=[f"the run itself failed: {error!r}"])
    if not totals.wrong:
        shutil.rmtree(here)
    return totals


def run_all(
    folder: Path, seeds: range, seconds: float | None, jobs: int, max_backups: int | None = None
) -> Iterator[Totals]:
    """Run seeds side by side, each in a process that is used once."""
    context = multiprocessing.get_context("spawn")  # no threads of one run in the next
    with context.Pool(jobs, maxtasksperchild=1) as pool:
        yield from pool.imap_unordered(partial(run, folder, seconds, max_backups), seeds)


def _beside(runs: list[Totals]) -> int:
    """Count the repeats that are not owed to a back end that takes records without a word."""
    return sum(max(0, t.repeated - t.unanswered) for t in runs)


def _repeats(runs: list[Totals]) -> float:
    return _beside(runs) / max(1, sum(t.written for t in runs))


def row(name: str, runs: list[Totals]) -> str:
    """Add the runs up to a row of the table."""
    sums: dict[str, float] = {n: sum(getattr(t, n) for t in runs) for n in _COUNTS}
    cells = [
        form.format(
            runs=len(runs),
            passed=sum(not t.wrong for t in runs),
            slowest_term_s=max((t.slowest_term_s for t in runs), default=0.0),
            repeats=_repeats(runs),
            beside=_beside(runs),
            per_kill=_beside(runs) / max(1, sums["kills"] + sums["power_cuts"]),
            **sums,
        )
        for _, form in _ROW
    ]
    return f"| {name} | {' | '.join(cells)} |"


def update(readme: Path, name: str, line: str) -> None:
    """Put the row into the table, in the place of an older one of that name."""
    head = f"| campaign | {' | '.join(title for title, _ in _ROW)} |\n|{'---|' * (len(_ROW) + 1)}\n"
    text = readme.read_text()
    old = re.search(r"<!-- totals -->\n(?:\|.*\n)*", text)
    if old is None:
        raise click.UsageError(f"{readme} has no line <!-- totals -->")
    rows = {r.split("|")[1].strip(): r for r in old[0].splitlines()[3:]}
    rows[name] = line
    table = "<!-- totals -->\n" + head + "".join(f"{r}\n" for r in rows.values())
    readme.write_text(text[: old.start()] + table + text[old.end() :])


def _seeds(text: str) -> range:
    first, _, last = text.partition("-")
    return range(int(first), int(last or first) + 1)


@click.command()
@click.option("--seeds", default="1-20", show_default=True, help="A range, such as 1-1000.")
@click.option("--seed", type=int, help="Run this seed alone.")
@click.option("--jobs", default=2, show_default=True, help="Runs side by side.")
@click.option("--seconds", type=float, help="How long the writer writes; else the seed decides.")
@click.option(
    "--max-backups", type=int, help="Backups that the writer keeps, 0 all; else the seed decides."
)
@click.option("--name", help="Update this row of README.md.")
@click.option("--keep", type=click.Path(path_type=Path), help="Where failed runs are kept.")
def main(
    seeds: str,
    seed: int | None,
    jobs: int,
    seconds: float | None,
    max_backups: int | None,
    name: str | None,
    keep: Path | None,
) -> None:
    """Run the campaign; the exit code is 1 if a seed failed."""
    chosen = _seeds(seeds) if seed is None else range(seed, seed + 1)
    folder = keep or Path(tempfile.gettempdir()) / "k8s-audit-otlp-faults"
    runs: list[Totals] = []
    for totals in run_all(folder, chosen, seconds, jobs, max_backups):
        runs.append(totals)
        if totals.wrong:
            click.echo(f"seed {totals.seed} failed, kept in {folder / str(totals.seed)}: {totals}")
        if len(runs) % 20 == 0 or len(runs) == len(chosen):
            click.echo(row(f"{len(runs)} of {len(chosen)}", runs))
    if name:
        update(README, name, row(name, runs))
    if (share := _repeats(runs)) > MAX_REPEATS and len(runs) > 1:
        click.echo(f"{share:.2%} of what was written came again, more than {MAX_REPEATS:.0%}")
        sys.exit(1)
    sys.exit(any(t.wrong for t in runs))


if __name__ == "__main__":
    main()
