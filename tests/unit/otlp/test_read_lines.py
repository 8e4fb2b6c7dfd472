"""Reading a block: both forms tell its events, find the same rows, and doubt the same ones."""

import json
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from k8s_audit_otlp import otlp
from k8s_audit_otlp.otlp import plain_line
from k8s_audit_otlp.otlp.interned import Tables
from k8s_audit_otlp.otlp.plain_line import Lines
from tests.kit import strategies
from tests.unit.otlp.test_fast_path import both
from tests.unit.otlp.test_plain_line import EVENT, LINE, encoder_of, mutated, run_over

beginning = b'{"kind":"Event"'
pieces = st.sampled_from([beginning, b"\n", b"{", beginning[:-1], b" ", b"x", b"\r", b""])


@settings(max_examples=200, deadline=None)
@given(data=st.lists(pieces, max_size=8).map(b"".join))
def test_both_tell_blocks_of_events_alike(compiled: Lines, data: bytes) -> None:
    """A block that is not only of events is looked through for frames."""
    told = plain_line.all_begin_so(data)
    assert compiled.all_begin_so(data) is told
    lines = data.removesuffix(b"\n").split(b"\n")
    assert told == all(line.startswith(beginning) for line in lines)


def tables_of(lines: Lines, *, redact: bool = True) -> Tables:
    fast = encoder_of(lines, redact=redact)._fast
    assert fast
    return fast.tables


@settings(max_examples=100, deadline=None)
@given(lines=st.lists(mutated(), max_size=4), end=st.sampled_from([b"", b"\n", b"\r\n"]))
def test_both_find_the_same_rows(compiled: Lines, lines: list[bytes], end: bytes) -> None:
    """Of plain lines only; where nothing is redacted nobody asks for them."""
    data = b"\n".join(lines) + end
    rows = compiled.read_all(data, tables_of(compiled))[1]
    assert rows == plain_line.read_all(data, tables_of(plain_line))[1]
    more = compiled.read_all(data + b"\n" + LINE, tables_of(compiled))[1]
    assert more == rows + b"/api/v1/pods\na\nb\n"
    for each in (compiled, plain_line):
        assert not each.read_all(data, tables_of(each, redact=False))[1].strip()


@settings(max_examples=200, deadline=None)
@given(
    names=st.lists(st.sampled_from(["", "a", "b/c", "d%41", "ns/e", "é"]), min_size=1, max_size=6),
    places=st.lists(st.tuples(st.integers(0, 60), st.integers(0, 8)), max_size=3),
)
def test_both_doubt_the_same_rows(
    compiled: Lines, names: list[str], places: list[tuple[int, int]]
) -> None:
    """What is doubted is asked for, and where rows end is said alike."""
    uris = [f"/api/{name}" for name in names]
    lines = [strategies.as_written({**EVENT, "requestURI": uri}, escaped=False) for uri in uris]
    asked = []
    for each in (compiled, plain_line):
        encoder = encoder_of(each, redact=True)
        fast = encoder._fast
        assert fast
        tables = fast.tables._replace(clean_paths=Asked(), clean_references=Asked())
        read, rows = each.read_all(b"\n".join(lines), tables)
        ends = [each.doubt(read, start, start + size) for start, size in places]
        run_over(encoder, b"\n".join(lines), read=read, tables=tables)
        asked.append((rows, ends, tables.clean_paths, tables.clean_references))
    assert asked[0] == asked[1]


class Asked(dict[bytes, bool]):
    """Says that all may leave, and remembers what it was asked."""

    def __missing__(self, text: bytes) -> bool:
        self[text] = True
        return True


CHANGED = {"spec": {"containers": [{"args": ["--token", "s3cr3t-value"]}]}}
WITH_BODIES = strategies.as_written(
    {**EVENT, "level": "RequestResponse", "requestObject": CHANGED, "responseObject": {"b": [2]}}
)
MEMBERS = ("user", "sourceIPs", "userAgent", "responseStatus", "requestObject", "responseObject")


@pytest.mark.parametrize("redact", [True, False])
@pytest.mark.parametrize("member", MEMBERS)
def test_a_member_without_a_value_takes_the_general_way(member: str, *, redact: bool) -> None:
    """The line is no JSON, and its record says so."""
    before, name, behind = WITH_BODIES.partition(b',"%b":' % member.encode())
    value = json.dumps(json.loads(WITH_BODIES)[member], separators=(",", ":")).encode()
    line = before + name + behind.removeprefix(value)
    fast, general = both(line, redact=redact)
    assert fast == general
    assert b"[unparsable, " in fast[0]


@pytest.mark.parametrize("place", ["before", "behind"])
@pytest.mark.parametrize("member", MEMBERS)
def test_blanks_around_a_member_go_where_a_body_is_changed(member: str, place: str) -> None:
    """As on the general way, which writes such a line anew."""
    value = json.dumps(json.loads(WITH_BODIES)[member], separators=(",", ":")).encode()
    spaced = b" " + value if place == "before" else value + b"\t"
    old = b'"%b":%b' % (member.encode(), value)
    line = WITH_BODIES.replace(old, b'"%b":%b' % (member.encode(), spaced))
    fast, general = both(line)
    assert fast == general
    assert b"redacted" in fast[0]
    assert spaced not in fast[0]


def test_a_line_without_a_caller_takes_the_general_way() -> None:
    """Two commas in a row are no JSON."""
    _, caller, behind = LINE.partition(b'"user":')
    line = LINE.replace(caller + behind.partition(b',"objectRef"')[0], b"")
    fast, general = both(line)
    assert fast == general
    assert b"[unparsable, " in fast[0]


def test_a_request_from_before_1970_has_no_duration() -> None:
    """However short a time before."""
    line = LINE.replace(b"2026-01-02T03:04:05", b"1969-12-31T23:59:59")
    line = line.replace(b"2026-01-02T03:04:06", b"1970-01-01T00:00:00")
    fast, general = both(line)
    assert fast == general
    assert b"duration" not in fast[0]


LONG_HEX = "0123456789abcdef" * 2
PATH = "/api/v1/namespaces/{}/pods/{}"


@pytest.mark.parametrize("text", [LONG_HEX, f"1-{LONG_HEX}-2", "48#1173", "letmein!_" + "A5" * 16])
@pytest.mark.parametrize("place", ["auditID", "uid", "resourceVersion", "name", "namespace"])
def test_what_is_like_a_key_is_judged_by_where_it_stands(place: str, text: str) -> None:
    """Hex digits are not always of a uid; what leaves in a path may not leave as a name."""
    event = json.loads(LINE)
    if place == "auditID":
        event[place] = text
    else:
        event["objectRef"][place] = text
    if place in ("name", "namespace"):
        event["requestURI"] = PATH.format(text, text)
    fast, general = both(strategies.as_written(event))
    assert fast == general


SOURCES = sorted((Path(otlp.__file__).parent / "quick_line").glob("*.c"))
TREE = Path(__file__).parents[3]
RUN = """
import sys
from importlib.util import module_from_spec, spec_from_file_location

from tests.unit.otlp.test_plain_line import LINE, WITH_BODIES, encoder_of, run_over

spec = spec_from_file_location("_quick_line", sys.argv[1])
lines = module_from_spec(spec)
spec.loader.exec_module(lines)
short = LINE[: LINE.index(b',"objectRef"')] + LINE[LINE.index(b',"requestReceivedTimestamp"') :]
short = short[: short.index(b',"annotations"')] + b"}"
block = b"\\n".join((LINE, WITH_BODIES, short, b"", b"\\xff", LINE[:400], short))
for redact in (True, False):
    assert len(run_over(encoder_of(lines, redact=redact), block).records) == 3
"""


@pytest.fixture(scope="module")
def checked(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build it with checks."""
    compiler = shutil.which("cc")
    if compiler is None or sys.platform != "linux":
        pytest.skip("no compiler was there")
    made = tmp_path_factory.mktemp("checked") / "_quick_line.so"
    flags = ("-O1", "-g", "-shared", "-fPIC", "-fsanitize=undefined")
    headers = sysconfig.get_paths()["include"]
    command = (compiler, *flags, f"-I{headers}", *map(str, SOURCES), "-o", str(made))
    if subprocess.run(command, capture_output=True, check=False).returncode:
        pytest.skip("the compiler makes no checks")
    return made


def test_lines_of_all_shapes_do_nothing_that_is_undefined(checked: Path) -> None:
    """Those that have every part, and those that have few."""
    done = subprocess.run(
        (sys.executable, "-c", RUN, str(checked)), cwd=TREE, capture_output=True, check=False
    )
    assert done.stderr.decode() == ""
    assert done.returncode == 0
