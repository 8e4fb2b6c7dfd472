/* Encodes the plain lines of a block in a row. */

#include "quick.h"

/* Places of plain_line.Run. */
enum {
    READ, START, RUN_TABLES, MOST, MOST_BESIDE, REFUSED, STAY, JUDGE, UID_HEAD, HASH, RECORDS,
    ENDS, DIGESTS, FIRED, RUN_PARTS
};
enum { BODY, SAID, RULES };  /* of plain_line.Judged */
enum { OF_PLACE = 5 };
enum { BEFORE, BETWEEN, AFTER_IT, UNTIL, PLACE_PARTS };

#define RUN(name) PyTuple_GetItem(run, name)
#define NUMBER(tuple, name) PyLong_AsSsize_t(PyTuple_GetItem(tuple, name))
#define LONGEST_OUTSIDE (2 << 20)

/* Append to a list what is given away. */
static int
append(PyObject *list, PyObject *item)
{
    int done = item && !PyList_Append(list, item);
    Py_XDECREF(item);
    return done;
}

/* Tell an answer that says what responseStatus does, with its kind: most refusals. */
static int
is_answer(const Part *parts)
{
    Part status = parts[STATUS], response = parts[RESPONSE];
    const char *said = AFTER(status.start, status.end, ",\"responseStatus\":{");
    const char *answer = AFTER(
        response.start, response.end, "{\"kind\":\"Status\",\"apiVersion\":\"v1\",");
    return answer && AFTER(said, status.end, "\"") && status.end - said == response.end - answer
           && !memcmp(said, answer, status.end - said);
}

/* Return a line without its answer. */
static PyObject *
without_answer(const Line *line)
{
    Part before = {line->text.start, line->parts[RESPONSE].start};
    Part behind = {line->parts[RESPONSE].end, line->text.end};
    size_t size = before.end - before.start;
    PyObject *rest = PyBytes_FromStringAndSize(NULL, size + (behind.end - behind.start));
    if (rest) {
        memcpy(PyBytes_AsString(rest), before.start, size);
        memcpy(PyBytes_AsString(rest) + size, behind.start, behind.end - behind.start);
    }
    return rest;
}

/* Tell whether both bodies of a line stay as they are; -1 with an error. */
static int
stay(PyObject *run, const Line *line, PyObject *request, PyObject *response)
{
    const Part *parts = line->parts, none = {NULL, NULL};
    int answers = is_answer(parts);
    PyObject *front = bytes_of(parts[FRONT]), *back = bytes_of(parts[BACK]), *told = NULL;
    PyObject *sub = bytes_of(parts[SUBRESOURCE]), *nothing = bytes_of(none);
    PyObject *around = answers ? without_answer(line) : bytes_of(none);
    if (front && back && sub && around && nothing)
        told = PyObject_CallFunctionObjArgs(RUN(STAY), front, back, sub, request,
                                            answers ? nothing : response, around, NULL);
    Py_XDECREF(front);
    Py_XDECREF(back);
    Py_XDECREF(sub);
    Py_XDECREF(nothing);
    Py_XDECREF(around);
    int all = told ? told == Py_True : -1;
    Py_XDECREF(told);
    return all;
}

/* Return what is around the bodies of a line: before, between and behind them. */
static PyObject *
around_bodies(const Line *line)
{
    const Part *request = &line->parts[REQUEST], *response = &line->parts[RESPONSE];
    const Part *first = request->start ? request : response;
    const Part *last = response->start ? response : request;
    const char *between = last == first ? last->start : first->end;
    return Py_BuildValue("(y#y#y#)", line->text.start, first->start - line->text.start,
                         between, last->start - between, last->end, line->text.end - last->end);
}

/* Have a line with bodies judged: plain_line.Judged, or NULL with an error. */
static PyObject *
judge(PyObject *run, const Line *line, PyObject *request, PyObject *response)
{
    Part parts[PARTS];
    memcpy(parts, line->parts, sizeof parts);
    parts[REQUEST] = parts[RESPONSE] = (Part){NULL, NULL};
    PyObject *read = tuple_of(parts), *around = read ? around_bodies(line) : NULL, *judged = NULL;
    if (around)
        judged = PyObject_CallFunctionObjArgs(RUN(JUDGE), read, around, request, response, NULL);
    Py_XDECREF(around);
    Py_XDECREF(read);
    return judged;
}

/* Append what a line has become; 0 with an error. */
static int
append_line(PyObject *run, PyObject *record, const Line *line, Py_ssize_t offset, Part hex, Part body,
            PyObject *judged)
{
    PyObject *end = PyLong_FromSsize_t(offset + (line->next - line->text.start));
    if (!append(RUN(RECORDS), Py_NewRef(record)) || !append(RUN(ENDS), end))
        return 0;
    if (RUN(HASH) != Py_None) {
        Part uid;
        if (!part_of(RUN(UID_HEAD), &uid)
            || !append_entry(RUN(DIGESTS), RUN(HASH), (uint64_t)offset, (Part[]){uid, hex}, body))
            return 0;
    }
    PyObject *fired = judged ? PyTuple_GetItem(judged, RULES) : NULL;
    return !fired || !PyTuple_Size(fired) || !PyList_Append(RUN(FIRED), fired);
}

/* Write a number as hex, up to *end*. */
static Part
in_hex(uint64_t number, char *end)
{
    char *start = end;
    do
        *--start = "0123456789abcdef"[number & 15];
    while (number >>= 4);
    return (Part){start, end};
}

/* Encode a line as it was judged; 1 where it was, 0 where the run stops before it, or with an error. */
static int
run_judged(PyObject *run, PyObject *place, const Line *line, Py_ssize_t offset, PyObject *judged)
{
    Part around[OF_PLACE + 1] = {{NULL, NULL}}, body = line->text;
    char hex[16], groups[12];
    around[1] = in_hex((uint64_t)offset, hex + sizeof hex);
    around[3] = (Part){groups, groups + varint(groups, (uint64_t)offset)};
    if (!part_of(PyTuple_GetItem(place, BEFORE), &around[0])
        || !part_of(PyTuple_GetItem(place, BETWEEN), &around[2])
        || !part_of(PyTuple_GetItem(place, AFTER_IT), &around[4])
        || (judged && !part_of(PyTuple_GetItem(judged, SAID), &around[OF_PLACE])))
        return 0;
    PyObject *become = judged ? PyTuple_GetItem(judged, BODY) : Py_None;
    if (!become || (become != Py_None && !part_of(become, &body)))
        return 0;
    const Given given = {around, judged ? OF_PLACE + 1 : OF_PLACE, body};
    PyObject *record = record_of(line, &given, RUN(RUN_TABLES));
    Py_ssize_t size = record && record != Py_None ? PyBytes_Size(record) : -1;
    int fits = size >= 0 && size <= NUMBER(run, MOST)
               && size - (body.end - body.start) <= NUMBER(run, MOST_BESIDE);
    int done = fits && append_line(run, record, line, offset, around[1], body, judged);
    Py_XDECREF(record);
    return done;
}

/* Encode one line; 1 where it was, 0 where the run stops before it, or with an error. */
static int
run_line(PyObject *run, PyObject *place, const Line *line, Py_ssize_t offset)
{
    const Part *parts = line->parts;
    Py_ssize_t outside = (line->text.end - line->text.start)
                         - (parts[REQUEST].end - parts[REQUEST].start)
                         - (parts[RESPONSE].end - parts[RESPONSE].start);
    if (outside > LONGEST_OUTSIDE)
        return 0;
    if (!has_bodies(parts))
        return run_judged(run, place, line, offset, NULL);
    PyObject *request = bytes_of(parts[REQUEST]), *response = bytes_of(parts[RESPONSE]);
    int as_it_is = request && response ? stay(run, line, request, response) : -1;
    PyObject *judged = as_it_is ? NULL : judge(run, line, request, response);
    Py_XDECREF(request);
    Py_XDECREF(response);
    int done = (judged || as_it_is > 0) && run_judged(run, place, line, offset, judged);
    Py_XDECREF(judged);
    return done;
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
    const Block *block = block_in(RUN(READ));
    if (!block || !part_of(block->data, &data))
        return NULL;
    Py_ssize_t start = NUMBER(run, START), until = NUMBER(place, UNTIL);
    const Line *line = line_at(block, data.start + at), *end = block->lines + block->count;
    for (; line && line < end && line->text.start == data.start + at && start + at < until; line++) {
        if (!run_line(run, place, line, start + at))
            break;
        at = line->next - data.start;
    }
    if (PyErr_Occurred()) {
        if (!PyErr_ExceptionMatches(RUN(REFUSED)))
            return NULL;
        PyErr_Clear();
    }
    return PyLong_FromSsize_t(at);
}
