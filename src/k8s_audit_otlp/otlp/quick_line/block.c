/* Reads the lines of a block once: which are plain, and whether what clients chose in them may
 * leave. As read_lines.py does. */

#include "quick.h"

#define CAPSULE "k8s_audit_otlp.block"

enum { FIRST_ROOM = 64, RUN_OF_ASCII = 64 };

static void
forget(PyObject *capsule)
{
    Block *block = block_in(capsule);
    Py_XDECREF(block->data);
    PyMem_Free(block->lines);
    PyMem_Free(block);
}

Block *
block_in(PyObject *capsule)
{
    return PyCapsule_GetPointer(capsule, CAPSULE);
}

static int
is_ascii(const unsigned char *run)
{
    uint64_t words[RUN_OF_ASCII / sizeof(uint64_t)], all = 0;
    memcpy(words, run, sizeof words);
    for (size_t i = 0; i < sizeof words / sizeof *words; i++)
        all |= words[i];
    return !(all & UINT64_C(0x8080808080808080));
}

/* Tell UTF-8: no code point in more bytes than it needs, no surrogate. */
static int
is_utf8(const char *line, const char *line_end)
{
    static const uint32_t least[] = {0, 0x80, 0x800, 0x10000};
    const unsigned char *at = (const unsigned char *)line, *end = (const unsigned char *)line_end;
    while (at < end) {
        if (end - at >= RUN_OF_ASCII && is_ascii(at)) {
            at += RUN_OF_ASCII;
        } else if (*at < 0x80) {
            at++;
        } else {
            int more = *at >= 0xf0 ? 3 : *at >= 0xe0 ? 2 : 1;
            uint32_t code = *at & (0x3f >> more);
            if (*at < 0xc0 || *at > 0xf7 || end - at <= more)
                return 0;
            for (const unsigned char *last = at++ + more; at <= last; at++) {
                if ((*at & 0xc0) != 0x80)
                    return 0;
                code = code << 6 | (*at & 0x3f);
            }
            if (code < least[more] || code > 0x10ffff || (code >= 0xd800 && code < 0xe000))
                return 0;
        }
    }
    return 1;
}

/* What is known of late of texts in rows. */
typedef struct {
    Recent *recent;
    PyObject *paths, *references;
} Verdicts;

/* Write a text and a newline, or nothing where it is known to leave as it is. NULL where it may not:
 * it is known, or has a sign of an address with a password, an escape, a parameter, words or JSON. */
static char *
write_text(char *to, Part text, Recent *recent, PyObject *verdicts)
{
    const Known *known = place_of(recent, text);
    if (known && is_known(known, verdicts, text))
        return known->value == Py_True ? to : NULL;
    if (FIND(text.start, text.end, "/proxy/", 'x')) /* any text may be behind it */
        return NULL;
    static const char is_sign[256] = {
        ['@'] = 1, ['%'] = 1, ['='] = 1, [';'] = 1, ['#'] = 1, ['?'] = 1, [' '] = 1, ['"'] = 1,
    };
    char sign = 0;
    for (const char *at = text.start; at < text.end; at++) {
        sign |= is_sign[(unsigned char)*at];
        *to++ = *at;
    }
    *to++ = '\n';
    return sign ? NULL : to;
}

static int
is_step(Part path, Part name)
{
    size_t size = name.end - name.start;
    for (const char *at = path.start; (at = memmem(at, path.end - at, name.start, size)); at++)
        if (at > path.start && at[-1] == '/' && (at + size == path.end || at[size] == '/'))
            return 1;
    return 0;
}

/* Write the row of a line; NULL where it has none. A path that is written has its steps in it; one
 * that is known was judged as a path, which may have more in it than a name. */
static char *
write_row(char *to, const Part *parts, const Verdicts *of)
{
    static const int names[] = {NAMESPACE, NAME}, uids[] = {UID, VERSION};
    const char *start = to;
    Part path = parts[PATH];
    to = write_text(to, path, of->recent, of->paths);
    int has_steps = to != start;
    for (int i = 0; to && i < 2; i++)
        if (!is_empty(parts[names[i]]) && !(has_steps && is_step(path, parts[names[i]])))
            to = write_text(to, parts[names[i]], of->recent, of->references);
    for (int i = 0; to && i < 2; i++)
        if (!is_of_uids(parts[uids[i]]) && !(has_steps && is_step(path, parts[uids[i]])))
            to = write_text(to, parts[uids[i]], of->recent, of->references);
    return to;
}

/* Return the place of one more line; NULL with an error. */
static Line *
one_more(Block *block)
{
    if (block->count == block->room) {
        Py_ssize_t room = block->room ? 2 * block->room : FIRST_ROOM;
        Line *lines = PyMem_Realloc(block->lines, room * sizeof *lines);
        if (!lines) {
            PyErr_NoMemory();
            return NULL;
        }
        block->lines = lines;
        block->room = room;
    }
    return &block->lines[block->count++];
}

/* Read the lines; write rows, if there are verdicts. Return the end of the rows; NULL with an error. */
static char *
read_lines(Block *block, Part data, char *rows, const Verdicts *of)
{
    char *to = rows;
    const char *next;
    int are_utf8 = is_utf8(data.start, data.end);
    for (const char *start = data.start; start < data.end; start = next) {
        const char *end = line_end(start, data.end);
        next = end + 1;
        end -= end > start && end[-1] == '\r';
        Line *line = one_more(block);
        if (!line)
            return NULL;
        if ((!are_utf8 && !is_utf8(start, end)) || !read_parts(start, end - start, line->parts)) {
            block->count--;
            continue;
        }
        line->text = (Part){start, end};
        line->next = next;
        char *row = of->paths != Py_None ? write_row(to, line->parts, of) : NULL;
        line->is_free = row != NULL;
        to = row ? row : to;
        line->row_end = to - rows;
    }
    return to;
}

PyObject *
quick_read_all(PyObject *Py_UNUSED(module), PyObject *args)
{
    PyObject *data, *tables, *rows = NULL;
    Part whole;
    if (!PyArg_ParseTuple(args, "O!O!", &PyBytes_Type, &data, &PyTuple_Type, &tables)
        || !part_of(data, &whole))
        return NULL;
    const Verdicts of = {recent_in(PyTuple_GetItem(tables, RECENT)),
                         PyTuple_GetItem(tables, CLEAN_PATHS),
                         PyTuple_GetItem(tables, CLEAN_REFERENCES)};
    if (!of.recent || !of.paths || !of.references)
        return NULL;
    Block *block = PyMem_Calloc(1, sizeof *block);
    PyObject *capsule = block ? PyCapsule_New(block, CAPSULE, forget) : PyErr_NoMemory();
    if (!capsule) {
        PyMem_Free(block);
        return NULL;
    }
    block->data = Py_NewRef(data);
    char *space = PyMem_Malloc(whole.end - whole.start + 1);
    char *end = space ? read_lines(block, whole, space, &of) : NULL;
    if (!space)
        PyErr_NoMemory();
    else if (!PyErr_Occurred())
        rows = PyBytes_FromStringAndSize(space, end - space);
    PyMem_Free(space);
    PyObject *read = rows ? Py_BuildValue("(OO)", capsule, rows) : NULL;
    Py_XDECREF(rows);
    Py_DECREF(capsule);
    return read;
}

/* Return the first line whose row ends behind a place, or the end of the lines. */
static Line *
row_at(const Block *block, Py_ssize_t place)
{
    Py_ssize_t low = 0, high = block->count;
    while (low < high) {
        Py_ssize_t middle = low + (high - low) / 2;
        if (block->lines[middle].row_end > place)
            high = middle;
        else
            low = middle + 1;
    }
    return block->lines + low;
}

PyObject *
quick_doubt(PyObject *Py_UNUSED(module), PyObject *args)
{
    PyObject *capsule;
    Py_ssize_t start, end, last;
    if (!PyArg_ParseTuple(args, "Onn", &capsule, &start, &end))
        return NULL;
    Block *block = block_in(capsule);
    if (!block)
        return NULL;
    last = end;
    for (Line *line = row_at(block, start); line < block->lines + block->count; line++) {
        line->is_free = 0;
        last = line->row_end;
        if (last >= end)
            break;
    }
    return PyLong_FromSsize_t(last);
}

/* Return the plain line that begins at a place, or NULL. */
Line *
line_at(const Block *block, const char *start)
{
    Py_ssize_t low = 0, high = block->count;
    while (low < high) {
        Py_ssize_t middle = low + (high - low) / 2;
        if (block->lines[middle].text.start < start)
            low = middle + 1;
        else
            high = middle;
    }
    return low < block->count && block->lines[low].text.start == start ? block->lines + low : NULL;
}
