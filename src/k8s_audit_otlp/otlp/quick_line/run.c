/* Encodes the plain lines of a block in a row. */

#include "quick.h"

#include <stdio.h>

/* Places of plain_line.Run. */
enum {
    DATA, START, IS_ASCII, RUN_TABLES, MOST, MOST_BESIDE, REFUSED, UID_HEAD, HASH, RECORDS, ENDS,
    DIGESTS, RUN_PARTS
};
enum { BEFORE, BETWEEN, AFTER_IT, UNTIL, PLACE_PARTS };

#define RUN(name) PyTuple_GetItem(run, name)
#define NUMBER(tuple, name) PyLong_AsSsize_t(PyTuple_GetItem(tuple, name))
#define LONGEST_LINE (2 << 20)

static int
is_ascii(Part line)
{
    uint64_t word = 0, high = 0;
    const char *at = line.start;
    for (; line.end - at >= 8; at += 8) {
        memcpy(&word, at, sizeof word);
        high |= word;
    }
    for (; at < line.end; at++)
        high |= (uint64_t)(unsigned char)*at;
    return !(high & UINT64_C(0x8080808080808080));
}

/* Append to a list what is given away. */
static int
append(PyObject *list, PyObject *item)
{
    int done = item && !PyList_Append(list, item);
    Py_XDECREF(item);
    return done;
}

/* Append the offset of a line and the hash over its uid, a newline and the line. */
static int
add_digest(PyObject *run, Py_ssize_t offset, Part hex, Part line)
{
    Part uid;
    if (RUN(HASH) == Py_None)
        return 1;
    if (!part_of(RUN(UID_HEAD), &uid))
        return 0;
    const Part hashed[] = {uid, hex, {"\n", "\n" + 1}, line};
    Pieces pieces;
    pieces.count = pieces.holds = 0;
    pieces.size = 0;
    add_parts(&pieces, hashed, 4);
    PyObject *bytes = PyBytes_FromStringAndSize(NULL, pieces.size);
    if (!bytes)
        return 0;
    put(&pieces, PyBytes_AsString(bytes));
    PyObject *hash = PyObject_CallFunctionObjArgs(RUN(HASH), bytes, NULL);
    Py_DECREF(bytes);
    PyObject *digest = hash ? PyObject_CallMethod(hash, "digest", NULL) : NULL;
    Py_XDECREF(hash);
    return digest && append(RUN(DIGESTS), Py_BuildValue("(nN)", offset, digest));
}

/* Encode one line; 1 where it was, 0 where the run stops before it, -1 with an error. */
static int
run_line(PyObject *run, PyObject *place, Part line, Py_ssize_t offset)
{
    Part parts[PARTS], around[5];
    char hex[20], groups[12];
    if ((line.end > line.start && line.end[-1] == '\r') || line.end - line.start > LONGEST_LINE
        || (RUN(IS_ASCII) != Py_True && !is_ascii(line))
        || !read_parts(line.start, line.end - line.start, parts) || has_bodies(parts))
        return 0;
    around[1] = (Part){hex, hex + snprintf(hex, sizeof hex, "%zx", (size_t)offset)};
    around[3] = (Part){groups, groups + varint(groups, (uint64_t)offset)};
    if (!part_of(PyTuple_GetItem(place, BEFORE), &around[0])
        || !part_of(PyTuple_GetItem(place, BETWEEN), &around[2])
        || !part_of(PyTuple_GetItem(place, AFTER_IT), &around[4]))
        return -1;
    const Given given = {around, 5, line};
    PyObject *record = record_of(parts, &given, RUN(RUN_TABLES));
    if (!record) {
        if (!PyErr_ExceptionMatches(RUN(REFUSED)))
            return -1;
        PyErr_Clear();
        return 0;
    }
    Py_ssize_t size = record == Py_None ? -1 : PyBytes_Size(record);
    if (size < 0 || size > NUMBER(run, MOST)
        || size - (line.end - line.start) > NUMBER(run, MOST_BESIDE)) {
        Py_DECREF(record);
        return 0;
    }
    Py_ssize_t end = offset + (line.end - line.start) + 1;
    if (!append(RUN(RECORDS), record) || !append(RUN(ENDS), PyLong_FromSsize_t(end))
        || !add_digest(run, offset, around[1], line))
        return -1;
    return 1;
}

PyObject *
quick_run(PyObject *Py_UNUSED(module), PyObject *args)
{
    PyObject *run, *place;
    Py_ssize_t at;
    Part data;
    if (!PyArg_ParseTuple(args, "O!nO!", &PyTuple_Type, &run, &at, &PyTuple_Type, &place))
        return NULL;
    if (PyTuple_Size(run) != RUN_PARTS || PyTuple_Size(place) != PLACE_PARTS) {
        PyErr_SetString(PyExc_TypeError, "no Run or no PlaceFrame");
        return NULL;
    }
    if (!part_of(RUN(DATA), &data))
        return NULL;
    Py_ssize_t start = NUMBER(run, START), size = data.end - data.start;
    Py_ssize_t until = NUMBER(place, UNTIL);
    while (at < size && start + at < until) {
        Part line = {data.start + at, line_end(data.start + at, data.end)};
        int done = run_line(run, place, line, start + at);
        if (done < 0)
            return NULL;
        if (!done)
            break;
        at = line.end - data.start + 1;
    }
    return PyErr_Occurred() ? NULL : PyLong_FromSsize_t(at);
}
