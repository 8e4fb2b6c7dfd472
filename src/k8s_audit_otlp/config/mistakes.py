"""What is wrong with a configuration, and what about it deserves a word. Values only."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from difflib import get_close_matches
from enum import StrEnum
from typing import Final

_SHORT: Final = 5  # letters


@dataclass(frozen=True, slots=True)
class Mistake:
    """Where, what and the hint. None of them ever holds a secret's value."""

    where: str  # keys joined with "::", as the Collector writes them
    what: str
    hint: str
    line: int | None = None  # in the file, 1 for the first

    def __str__(self) -> str:
        place = f"{self.where}: " if self.where else ""
        return f"{place}{self.what}; {self.hint}"

    def in_file(self, name: str) -> str:
        if not name:
            return str(self)
        return f"{name}:{self.line}: {self}" if self.line else f"{name}: {self}"


def suggest(name: str, candidates: Iterable[str], also: str = "") -> str:
    """Return what to write in the place of an unknown *name*; *also*: where it may be none."""
    known = sorted(set(candidates))
    likeness = 0.75 if len(name) > _SHORT else 0.6  # a slip is more of a short word
    close = get_close_matches(name, known, n=1, cutoff=likeness)
    if close:
        return f"did you mean {close[0]}?"
    return f"known are {', '.join(known)}{also and f'; {also}'}"


class ConfigError(Exception):
    """Every mistake of one configuration, one a line; what is found when it runs has no source."""

    def __init__(
        self,
        source: str,
        mistakes: Iterable[Mistake],
        *,
        json_logs: bool = False,
        state_dir: str | None = None,
    ) -> None:
        """Take what it says as far as it could be read: *json_logs*, and *state_dir*."""
        self.source = source
        self.state_dir = state_dir
        self.json_logs = json_logs
        self.mistakes = sorted(mistakes, key=lambda mistake: mistake.line or 0)
        super().__init__("\n".join(mistake.in_file(source) for mistake in self.mistakes))

    @classmethod
    def at(cls, where: str, what: str, hint: str) -> "ConfigError":
        """Return one for what does not fit the world, a mistake for each line of *what*."""
        return cls("", [Mistake(where, line, hint) for line in what.splitlines()])

    def below(self, place: str) -> "ConfigError":
        """Return the same mistakes as those of the block at *place*."""
        return ConfigError(
            self.source, [replace(one, where=f"{place}::{one.where}") for one in self.mistakes]
        )


class Kind(StrEnum):
    """Why a key is remarked upon."""

    NO_EFFECT = "no effect"  # accepted so that a Collector block can be pasted
    DIFFERENT = "different"  # honoured, and it means something else than in the Collector
    UNUSUAL = "unusual"  # hardly what the vendor of the preset takes
    LOOK = "worth a look"  # another preset or exporter seems to be meant, or a name is lacking
    MISSING = "not there yet"  # a file that may appear later
    UNREADABLE = "unreadable"  # a file that this user may not read; another may
    UNWRITABLE = "not writable"  # a file or directory, likewise


@dataclass(frozen=True, slots=True)
class Remark:
    """A key that was accepted but does not do what its author may expect."""

    where: str
    kind: Kind
    why: str

    def __str__(self) -> str:
        return f"{self.where}: {self.kind}: {self.why}"
