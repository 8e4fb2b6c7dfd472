/* Encodes a line as a LogRecord: record_of. */

#include "quick.h"

#define MAX_AUDIT_ID 128
#define MAX_TIME ((INT64_C(1) << 32) * 1000000)
#define DAY INT64_C(86400000000)
#define NS_OF_US 1000

/* Write `&` for each `\u0026` of a query; 0 where there is another escape. */
static int
unescape(Pieces *out, Part *plain)
{
    Part query = *plain;
    if (!query.start || !memchr(query.start, '\\', query.end - query.start))
        return 1;
    PyObject *space = PyBytes_FromStringAndSize(NULL, query.end - query.start);
    if (!space)
        return 0;
    out->held[out->holds++] = space;
    char *to = PyBytes_AsString(space);
    plain->start = to;
    for (const char *at = query.start; at < query.end;) {
        if (*at != '\\') {
            *to++ = *at++;
        } else if (AFTER(at, query.end, "\\u0026")) {
            *to++ = '&';
            at += sizeof("\\u0026") - 1;
        } else {
            return 0;
        }
    }
    plain->end = to;
    return 1;
}

/* The second that was looked up last, which most lines after it are of. */
static struct {
    char text[OF_SECOND];
    int64_t micros;
} latest;

/* Read a time as microseconds since the epoch; -1 where it is none. */
static int64_t
micros(Pieces *out, PyObject *seconds, Part second, Part micros)
{
    int64_t number = 0;
    for (const char *at = micros.start; at < micros.end; at++)
        number = number * 10 + (*at - '0');
    if (memcmp(latest.text, second.start, OF_SECOND)) {
        PyObject *base = look_up(out, seconds, second);
        if (!base)
            return -1;
        latest.micros = PyLong_AsLongLong(base);
        memcpy(latest.text, second.start, OF_SECOND);
    }
    return latest.micros + number;
}

#define TABLE(name) PyTuple_GetItem(tables, name)

/* Add time and duration, which are written to *space*. */
static int
add_times(Pieces *out, PyObject *tables, const Part *parts, char *space)
{
    int64_t time = micros(out, TABLE(SECONDS), parts[STAGED], parts[STAGED_US]);
    if (time <= 0 || time >= MAX_TIME)
        return 0;
    int64_t start = micros(out, TABLE(SECONDS), parts[RECEIVED], parts[RECEIVED_US]);
    if (start <= 0 || time < start || time - start >= DAY)
        return 0;
    space[0] = 0x09;
    little_endian(space + 1, (uint64_t)time * NS_OF_US, sizeof(uint64_t));
    if (!add(out, space, 9))
        return 0;
    PyObject *head = TABLE(DURATION_HEAD);
    if (!PyBytes_Size(head) || is(parts[STAGE], "RequestReceived"))
        return 1;
    double took = (double)(time - start) / 1000;
    uint64_t bits;
    memcpy(&bits, &took, sizeof bits);
    little_endian(space + 9, bits, sizeof bits);
    return add_bytes(out, head) && add(out, space + 9, sizeof bits);
}

/* Judge the texts of a row that is not free. */
static int
row_may_leave(Pieces *out, PyObject *tables, const Part *parts)
{
    static const int names[] = {NAMESPACE, NAME}, uids[] = {UID, VERSION};
    PyObject *references = TABLE(CLEAN_REFERENCES);
    if (!is_clean(out, TABLE(CLEAN_PATHS), parts[PATH]))
        return 0;
    for (int i = 0; i < 2; i++) {
        Part name = parts[names[i]], uid = parts[uids[i]];
        if (!is_empty(name) && !is_clean(out, references, name))
            return 0;
        if (!is_of_uids(uid) && !is_clean(out, references, uid))
            return 0;
    }
    return 1;
}

/* Judge what clients write freely, an auditID too, as plain_line does. */
static int
may_leave(Pieces *out, PyObject *tables, const Line *line, Part query)
{
    PyObject *queries = TABLE(CLEAN_QUERIES);
    if (queries == Py_None)
        return 1;
    return is_of_uids(line->parts[AUDIT_ID])
           && (is_empty(query) || is_clean(out, queries, query))
           && (line->is_free || row_may_leave(out, tables, line->parts));
}

/* Look up one of the parts that repeat: its bytes, other values, and whether it may leave. */
static PyObject *
clean_part(PyObject *found)
{
    return found && PyTuple_GetItem(found, 1) == Py_True ? PyTuple_GetItem(found, 0) : NULL;
}

/* Return the number that was found beside the bytes. */
static long
number_in(PyObject *found)
{
    return PyLong_AsLong(PyTuple_GetItem(found, 2));
}

/* Gather the pieces of a record in their order, up to its body. */
static int
gather(Pieces *out, PyObject *tables, const Line *line, Part query, const Given *given, char *space)
{
    const Part *parts = line->parts;
    char of_key[LONGEST_KEY];
    PyObject *caller = look_up(out, TABLE(CALLERS), parts[CALLER]), *object = NULL;
    if (!clean_part(caller))
        return 0;
    if (parts[FRONT].start) {
        const Part of_object[] = {parts[FRONT], parts[BACK], parts[SUBRESOURCE]};
        Part key = key_of(of_key, parts[NAMESPACE].end - parts[NAMESPACE].start, 0, of_object, 3);
        object = key.start ? look_up(out, TABLE(OBJECTS), key) : NULL;
        if (!clean_part(object))
            return 0;
    }
    PyObject *notes = look_up(out, TABLE(NOTES_OF), parts[NOTES]);
    PyObject *status = clean_part(notes) ? look_up(out, TABLE(STATUSES), parts[STATUS]) : NULL;
    Part of_request[] = {parts[LEVEL], parts[STAGE], parts[VERB], {NULL, NULL}};
    if (!clean_part(status) || !part_of(clean_part(status), &of_request[3]))
        return 0;
    Part key = key_of(
        of_key, object ? number_in(object) : 0, number_in(notes), of_request, 4);
    PyObject *request = key.start ? look_up(out, TABLE(REQUESTS), key) : NULL;
    return clean_part(request) && may_leave(out, tables, line, query)
           && add_times(out, tables, parts, space) && add_parts(out, given->around, given->count)
           && add_bytes(out, clean_part(request)) && add_bytes(out, clean_part(caller))
           && (!object || add_in_frame(out, clean_part(object), parts[NAMESPACE]))
           && add_framed(out, TABLE(OBJECT_UIDS), parts[UID])
           && add_framed(out, TABLE(VERSIONS), parts[VERSION])
           && add_framed(out, TABLE(NAMES), parts[NAME]) && add_bytes(out, clean_part(notes))
           && add_framed(out, TABLE(AUDIT_IDS), parts[AUDIT_ID])
           && add_framed(out, TABLE(PATHS), parts[PATH])
           && add_framed(out, TABLE(QUERIES), query);
}

/* Put a field of ScopeLogs together: tag, length, the pieces, the body. */
static PyObject *
joined(Pieces *pieces, Part body)
{
    char inner[12] = {0x0a}, head[24] = {0x2a}, start[12] = {0x12};
    size_t size = body.end - body.start;
    size_t of_inner = 1 + varint(inner + 1, size);
    size_t of_head = 1 + varint(head + 1, of_inner + size);
    memcpy(head + of_head, inner, of_inner);
    of_head += of_inner;
    size_t of_record = pieces->size + of_head + size;
    size_t of_start = 1 + varint(start + 1, of_record);
    PyObject *record = PyBytes_FromStringAndSize(NULL, of_start + of_record);
    if (!record)
        return NULL;
    char *to = PyBytes_AsString(record);
    memcpy(to, start, of_start);
    to = put(pieces, to + of_start);
    memcpy(to, head, of_head);
    memcpy(to + of_head, body.start, size);
    return record;
}

/* Encode a line; None where it must take the general way, NULL with an error of a table. */
PyObject *
record_of(const Line *line, const Given *given, PyObject *tables)
{
    const Part *parts = line->parts;
    Pieces pieces;
    char space[17];
    Part query = parts[QUERY];
    PyObject *record = NULL;
    pieces.recent = recent_in(PyTuple_GetItem(tables, RECENT));
    if (!pieces.recent)
        return NULL;
    pieces.count = pieces.holds = 0;
    pieces.size = 0;
    if (parts[AUDIT_ID].end - parts[AUDIT_ID].start <= MAX_AUDIT_ID && unescape(&pieces, &query)
        && gather(&pieces, tables, line, query, given, space))
        record = joined(&pieces, given->body);
    return end_of(&pieces, record);
}

int
has_bodies(const Part *parts)
{
    return parts[REQUEST].start || parts[RESPONSE].start;
}
