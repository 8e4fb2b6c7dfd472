/* The compiled twin of fast_path.FastEncoder: the same bytes for a line whose parts were all seen
 * before, None for any other, which then goes the way in Python. Optional: built where there is a
 * compiler when the package is installed, and held equal to its twin by tests.
 *
 * read(line) -> the parts of plain_line.PlainLine, or None
 * encode(line, body, around, tables) -> the record, or None; `tables` is FastEncoder's tuple
 * caller(key, templates) -> the attributes of who asked, or None
 * run(run, at, place) -> where it stopped; `run` is plain_line.Run, `place` a PlaceFrame
 * paths(data) -> the paths of the lines, as a set
 * all_begin_so(data) -> whether each line of a block begins as an event does
 */

#define _GNU_SOURCE
#define PY_SSIZE_T_CLEAN
#define Py_LIMITED_API 0x030B0000
#include <Python.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

typedef struct {
    const char *start; /* NULL, as is the end, where the line has no such part */
    const char *end;
} Part;

enum {
    LEVEL, AUDIT_ID, STAGE, PATH, QUERY, VERB, CALLER, FRONT, NAMESPACE, NAME, UID, BACK,
    VERSION, SUBRESOURCE, STATUS, REQUEST, RESPONSE, RECEIVED, RECEIVED_US, STAGED, STAGED_US, NOTES,
    PARTS
};

/* Places of FastEncoder's tables. */
enum {
    SECONDS, CALLERS, OBJECTS, REQUESTS, NOTES_OF, NAMES, OBJECT_UIDS, VERSIONS, AUDIT_IDS, PATHS,
    QUERIES, CLEAN_PATHS, CLEAN_QUERIES, CLEAN_REFERENCES, DURATION_HEAD, TABLES
};

#define NS_OF_US 1000
#define DAY INT64_C(86400000000)
#define MAX_TIME ((INT64_C(1) << 32) * 1000000)
#define MAX_AUDIT_ID 128
#define OF_SECOND 19
#define OF_TIME 27

/* ---- Reading ---------------------------------------------------------------------------- */

#define AFTER(at, end, text) after(at, end, text, sizeof(text) - 1)
#define FIND(at, end, text) find(at, end, text, sizeof(text) - 1)

static const char *
after(const char *at, const char *end, const char *text, size_t size)
{
    return at && (size_t)(end - at) >= size && !memcmp(at, text, size) ? at + size : NULL;
}

static const char *
find(const char *at, const char *end, const char *text, size_t size)
{
    return memmem(at, end - at, text, size);
}

/* Take in text up to the quote that ends it; NULL where it needs an escape or has no end. */
static const char *
text(const char *at, const char *end, Part *part)
{
    part->start = at;
    for (; at && at < end; at++) {
        if (*at == '"') {
            part->end = at;
            return at;
        }
        if (*at == '\\' || (unsigned char)*at < 0x20)
            return NULL;
    }
    return NULL;
}

/* Take in `"name":"text"` where it is there; NULL where it is and cannot be read. */
static const char *
optional(const char *at, const char *end, const char *name, size_t size, Part *part)
{
    const char *start = after(at, end, name, size);
    if (!start)
        return at;
    start = text(start, end, part);
    return start ? start + 1 : NULL;
}
#define OPTIONAL(at, end, name, part) optional(at, end, name, sizeof(name) - 1, part)

static const char *
head(const char *at, const char *end, Part *parts)
{
    at = AFTER(at, end, "{\"kind\":\"Event\",\"apiVersion\":\"audit.k8s.io/v1\",\"level\":\"");
    at = text(at, end, &parts[LEVEL]);
    at = text(AFTER(at, end, "\",\"auditID\":\""), end, &parts[AUDIT_ID]);
    at = text(AFTER(at, end, "\",\"stage\":\""), end, &parts[STAGE]);
    at = AFTER(at, end, "\",\"requestURI\":\"");
    parts[PATH].start = at;
    for (; at && *at != '"'; at++) {
        if (at == end || (unsigned char)*at < 0x20 || (*at == '\\' && !parts[QUERY].start))
            return NULL;
        if (*at == '?' && !parts[QUERY].start) {
            parts[PATH].end = at;
            parts[QUERY].start = at + 1;
        }
    }
    *(parts[QUERY].start ? &parts[QUERY].end : &parts[PATH].end) = at;
    at = text(AFTER(at, end, "\",\"verb\":\""), end, &parts[VERB]);
    return AFTER(at, end, "\",");
}

static const char *
reference(const char *at, const char *end, Part *parts)
{
    Part ignored;
    parts[FRONT].start = at;
    if (!AFTER(at, end, "\"resource\":\""))
        return NULL;
    at = OPTIONAL(at, end, "\"resource\":\"", &ignored);
    parts[FRONT].end = at;
    at = OPTIONAL(at, end, ",\"namespace\":\"", &parts[NAMESPACE]);
    at = OPTIONAL(at, end, ",\"name\":\"", &parts[NAME]);
    at = OPTIONAL(at, end, ",\"uid\":\"", &parts[UID]);
    parts[BACK].start = at;
    at = OPTIONAL(at, end, ",\"apiGroup\":\"", &ignored);
    at = OPTIONAL(at, end, ",\"apiVersion\":\"", &ignored);
    parts[BACK].end = at;
    at = OPTIONAL(at, end, ",\"resourceVersion\":\"", &parts[VERSION]);
    parts[SUBRESOURCE].start = at;
    at = OPTIONAL(at, end, ",\"subresource\":\"", &ignored);
    parts[SUBRESOURCE].end = at;
    return AFTER(at, end, "}");
}

/* Take in a time with six digits and the quote behind it. */
static const char *
moment(const char *at, const char *end, Part *second, Part *micros)
{
    static const char form[] = "0000-00-00T00:00:00.000000Z\"";
    if (!at || end - at < OF_TIME + 1)
        return NULL;
    for (int i = 0; i <= OF_TIME; i++)
        if (form[i] == '0' ? at[i] < '0' || at[i] > '9' : at[i] != form[i])
            return NULL;
    *second = (Part){at, at + OF_SECOND};
    *micros = (Part){at + OF_SECOND + 1, at + OF_TIME - 1};
    return at + OF_TIME + 1;
}

static int
tail(const char *at, const char *end, Part *parts)
{
    at = moment(at, end, &parts[RECEIVED], &parts[RECEIVED_US]);
    at = AFTER(at, end, ",\"stageTimestamp\":\"");
    at = moment(at, end, &parts[STAGED], &parts[STAGED_US]);
    const char *notes = AFTER(at, end, ",\"annotations\":");
    if (notes) {
        if (end - notes < 3 || *notes != '{' || end[-2] != '}')
            return 0;
        parts[NOTES] = (Part){notes, end - 1};
        at = end - 1;
    }
    return at && end - at == 1 && *at == '}';
}

static void
bodies(Part *parts)
{
    Part *status = &parts[STATUS], *request = &parts[REQUEST], *response = &parts[RESPONSE];
    const char *at = FIND(status->start, status->end, ",\"requestObject\":");
    if (at) {
        *request = (Part){at + sizeof(",\"requestObject\":") - 1, status->end};
        status->end = at;
        at = FIND(request->start, request->end, ",\"responseObject\":");
        if (at) {
            *response = (Part){at + sizeof(",\"responseObject\":") - 1, request->end};
            request->end = at;
        }
    } else if ((at = FIND(status->start, status->end, ",\"responseObject\":"))) {
        *response = (Part){at + sizeof(",\"responseObject\":") - 1, status->end};
        status->end = at;
    }
}

static int
is(Part part, const char *word)
{
    size_t size = strlen(word);
    return (size_t)(part.end - part.start) == size && !memcmp(part.start, word, size);
}

static int
read_parts(const char *line, Py_ssize_t size, Part *parts)
{
    static const char received[] = ",\"requestReceivedTimestamp\":\"";
    const char *end = line + size, *times = NULL;
    memset(parts, 0, PARTS * sizeof *parts);
    const char *at = head(line, end, parts);
    if (!at)
        return 0;
    parts[CALLER].start = at;
    const char *object = FIND(at, end, ",\"objectRef\":{");
    if (object) {
        parts[CALLER].end = object;
        at = reference(object + sizeof(",\"objectRef\":{") - 1, end, parts);
        if (!at)
            return 0;
    }
    for (const char *next = at; (next = FIND(next, end, received)); next += sizeof received - 1)
        times = next; /* the last: a body may hold such a member */
    if (!times || !tail(times + sizeof received - 1, end, parts))
        return 0;
    if (!object) {
        const char *status = FIND(at, times, ",\"responseStatus\":");
        at = parts[CALLER].end = status ? status : times;
    }
    parts[STATUS] = (Part){at, times};
    if (!is(parts[LEVEL], "Metadata"))
        bodies(parts);
    return 1;
}

static PyObject *
bytes_of(Part part)
{
    return PyBytes_FromStringAndSize(part.start ? part.start : "", part.end - part.start);
}

static PyObject *
quick_read(PyObject *Py_UNUSED(module), PyObject *line)
{
    Part parts[PARTS];
    char *start;
    Py_ssize_t size;
    if (PyBytes_AsStringAndSize(line, &start, &size) < 0)
        return NULL;
    if (!read_parts(start, size, parts))
        Py_RETURN_NONE;
    PyObject *read = PyTuple_New(PARTS);
    for (int i = 0; read && i < PARTS; i++) {
        PyObject *part = bytes_of(parts[i]);
        if (!part || PyTuple_SetItem(read, i, part) < 0)
            Py_CLEAR(read);
    }
    return read;
}

/* Return where a line ends. */
static const char *
line_end(const char *at, const char *end)
{
    const char *found = memchr(at, '\n', end - at);
    return found ? found : end;
}

static PyObject *
quick_paths(PyObject *Py_UNUSED(module), PyObject *data)
{
    char *at;
    Py_ssize_t size;
    if (PyBytes_AsStringAndSize(data, &at, &size) < 0)
        return NULL;
    PyObject *found = PySet_New(NULL);
    const char *end = at + size, *next;
    for (const char *line = at; found && line < end; line = next + 1) {
        Part parts[PARTS] = {{NULL, NULL}};
        next = line_end(line, end);
        if (!head(line, next, parts))
            continue;
        PyObject *path = bytes_of(parts[PATH]);
        if (!path || PySet_Add(found, path) < 0)
            Py_CLEAR(found);
        Py_XDECREF(path);
    }
    return found;
}

static PyObject *
quick_all_begin_so(PyObject *Py_UNUSED(module), PyObject *data)
{
    char *at;
    Py_ssize_t size;
    if (PyBytes_AsStringAndSize(data, &at, &size) < 0)
        return NULL;
    const char *end = at + size, *next = at;
    do {
        if (!AFTER(next, end, "{\"kind\":\"Event\""))
            Py_RETURN_FALSE;
        next = memchr(next, '\n', end - next);
    } while (next && ++next < end);
    Py_RETURN_TRUE;
}

/* ---- Encoding --------------------------------------------------------------------------- */

enum { MOST_PIECES = 64, MOST_HELD = 24 };

/* What a record is put together from, and the objects that hold it. */
typedef struct {
    Part pieces[MOST_PIECES];
    PyObject *held[MOST_HELD];
    int count, holds;
    size_t size;
} Pieces;

static int
add(Pieces *out, const char *start, size_t size)
{
    if (out->count == MOST_PIECES)
        return 0;
    out->pieces[out->count++] = (Part){start, start + size};
    out->size += size;
    return 1;
}

static int
add_parts(Pieces *out, const Part *parts, int count)
{
    for (int i = 0; i < count; i++)
        if (!add(out, parts[i].start, parts[i].end - parts[i].start))
            return 0;
    return 1;
}

static int
part_of(PyObject *bytes, Part *part)
{
    char *start;
    Py_ssize_t size;
    if (!bytes || PyBytes_AsStringAndSize(bytes, &start, &size) < 0)
        return 0;
    *part = (Part){start, start + size};
    return 1;
}

static int
add_bytes(Pieces *out, PyObject *bytes)
{
    Part part;
    return part_of(bytes, &part) && add_parts(out, &part, 1);
}

/* Look up a key, which is given away, and hold what is found until the record is made. A table
 * builds what it does not know; NULL, with an error, where it cannot. */
static PyObject *
look_up(Pieces *out, PyObject *table, PyObject *key)
{
    PyObject *value = key && out->holds < MOST_HELD ? PyObject_GetItem(table, key) : NULL;
    Py_XDECREF(key);
    if (value)
        out->held[out->holds++] = value;
    return value;
}

static PyObject *
look_up_many(Pieces *out, PyObject *table, int count, PyObject **items)
{
    PyObject *key = PyTuple_New(count);
    for (int i = 0; i < count; i++) {
        if (!items[i])
            Py_CLEAR(key);
        if (key)
            PyTuple_SetItem(key, i, items[i]);
        else
            Py_XDECREF(items[i]);
    }
    return look_up(out, table, key);
}

static int
is_clean(Pieces *out, PyObject *verdicts, Part part)
{
    return look_up(out, verdicts, bytes_of(part)) == Py_True;
}

/* Add the attributes that have *value*, in a frame made for its length. */
static int
add_in_frame(Pieces *out, PyObject *frame, Part value)
{
    size_t size = value.end - value.start;
    Py_ssize_t count = frame ? PyTuple_Size(frame) : -1;
    for (Py_ssize_t i = 0; i < count; i++)
        if ((i && !add(out, value.start, size)) || !add_bytes(out, PyTuple_GetItem(frame, i)))
            return 0;
    return count >= 0;
}

static int
add_framed(Pieces *out, PyObject *frames, Part value)
{
    return add_in_frame(out, look_up(out, frames, PyLong_FromSize_t(value.end - value.start)), value);
}

/* Add a template: bytes, and between each two the number of a value and its frames. */
static int
fill(Pieces *out, PyObject *template, const Part *values, long count)
{
    Py_ssize_t size = PyTuple_Size(template);
    for (Py_ssize_t i = 0; i + 2 < size; i += 3) {
        long value = PyLong_AsLong(PyTuple_GetItem(template, i + 1));
        if (value < 0 || value >= count || !add_bytes(out, PyTuple_GetItem(template, i))
            || !add_framed(out, PyTuple_GetItem(template, i + 2), values[value]))
            return 0;
    }
    return add_bytes(out, PyTuple_GetItem(template, size - 1));
}

static int
is_of_uids(Part part)
{
    for (const char *at = part.start; at < part.end; at++)
        if (!((*at >= '0' && *at <= '9') || (*at >= 'a' && *at <= 'f') || *at == '-'))
            return 0;
    return 1;
}

static size_t
varint(char *out, uint64_t number)
{
    size_t size = 0;
    for (; number > 127; number >>= 7)
        out[size++] = (char)((number & 127) | 128);
    out[size++] = (char)number;
    return size;
}

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

/* Read a time as microseconds since the epoch; -1 where it is none. */
static int64_t
micros(Pieces *out, PyObject *seconds, Part second, Part micros)
{
    PyObject *base = look_up(out, seconds, bytes_of(second));
    int64_t number = 0;
    for (const char *at = micros.start; at < micros.end; at++)
        number = number * 10 + (*at - '0');
    return base ? PyLong_AsLongLong(base) + number : -1;
}

static void
little_endian(char *out, uint64_t number)
{
    for (int i = 0; i < 8; i++)
        out[i] = (char)(number >> (8 * i));
}

#define TABLE(name) PyTuple_GetItem(tables, name)

/* Add time and duration, which are written to *space*. */
static int
add_times(Pieces *out, PyObject *tables, Part *parts, char *space)
{
    int64_t time = micros(out, TABLE(SECONDS), parts[STAGED], parts[STAGED_US]);
    if (time <= 0 || time >= MAX_TIME)
        return 0;
    int64_t start = micros(out, TABLE(SECONDS), parts[RECEIVED], parts[RECEIVED_US]);
    if (time < start || time - start >= DAY || PyErr_Occurred())
        return 0;
    space[0] = 0x09;
    little_endian(space + 1, (uint64_t)time * NS_OF_US);
    if (!add(out, space, 9))
        return 0;
    PyObject *head = TABLE(DURATION_HEAD);
    if (!PyBytes_Size(head) || is(parts[STAGE], "RequestReceived"))
        return 1;
    double took = (double)(time - start) / 1000;
    uint64_t bits;
    memcpy(&bits, &took, sizeof bits);
    little_endian(space + 9, bits);
    return add_bytes(out, head) && add(out, space + 9, sizeof bits);
}

static int
is_empty(Part part)
{
    return part.end == part.start;
}

static int
is_step(Part path, Part name)
{
    size_t size = name.end - name.start;
    for (const char *at = path.start; (at = find(at, path.end, name.start, size)); at++)
        if (at > path.start && at[-1] == '/' && (at + size == path.end || at[size] == '/'))
            return 1;
    return 0;
}

/* Judge what clients write freely, as plain_line does. Most names are a step of the path. */
static int
may_leave(Pieces *out, PyObject *tables, Part *parts, Part query)
{
    static const int names[] = {NAMESPACE, NAME}, uids[] = {UID, VERSION};
    Part path = parts[PATH];
    PyObject *references = TABLE(CLEAN_REFERENCES);
    if (references == Py_None)
        return 1;
    if (!is_of_uids(parts[AUDIT_ID]) || !is_clean(out, TABLE(CLEAN_PATHS), path)
        || (!is_empty(query) && !is_clean(out, TABLE(CLEAN_QUERIES), query)))
        return 0;
    for (int i = 0; i < 2; i++) {
        Part name = parts[names[i]], uid = parts[uids[i]];
        if (!is_empty(name) && !is_step(path, name) && !is_clean(out, references, name))
            return 0;
        if (!is_of_uids(uid) && !is_clean(out, references, uid))
            return 0;
    }
    return 1;
}

/* Look up one of the parts that repeat: its bytes, other values, and whether it may leave. */
static PyObject *
clean_part(PyObject *found)
{
    return found && PyTuple_GetItem(found, 1) == Py_True ? PyTuple_GetItem(found, 0) : NULL;
}

/* What of a record is written by who asks for it: where its event stands, and its body. */
typedef struct {
    const Part *around;
    int count;
    Part body;
} Given;

/* Gather the pieces of a record in their order, up to its body. */
static int
gather(Pieces *out, PyObject *tables, Part *parts, Part query, const Given *given, char *space)
{
    PyObject *caller = look_up(out, TABLE(CALLERS), bytes_of(parts[CALLER])), *object = NULL;
    if (!clean_part(caller))
        return 0;
    if (parts[FRONT].start) {
        object = look_up_many(out, TABLE(OBJECTS), 4, (PyObject *[]){
            bytes_of(parts[FRONT]), bytes_of(parts[BACK]), bytes_of(parts[SUBRESOURCE]),
            PyLong_FromSsize_t(parts[NAMESPACE].end - parts[NAMESPACE].start)});
        if (!clean_part(object))
            return 0;
    }
    PyObject *notes = look_up(out, TABLE(NOTES_OF), bytes_of(parts[NOTES]));
    if (!clean_part(notes))
        return 0;
    PyObject *request = look_up_many(out, TABLE(REQUESTS), 6, (PyObject *[]){
        bytes_of(parts[LEVEL]), bytes_of(parts[STAGE]), bytes_of(parts[VERB]),
        bytes_of(parts[STATUS]),
        object ? Py_NewRef(PyTuple_GetItem(object, 2)) : PyLong_FromLong(0),
        Py_NewRef(PyTuple_GetItem(notes, 2))});
    return clean_part(request) && may_leave(out, tables, parts, query)
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

/* Write the pieces and return where they end. */
static char *
put(const Pieces *pieces, char *to)
{
    for (int i = 0; i < pieces->count; i++) {
        size_t each = pieces->pieces[i].end - pieces->pieces[i].start;
        memcpy(to, pieces->pieces[i].start, each);
        to += each;
    }
    return to;
}

/* Let go of what the pieces held and return what was made, or None. */
static PyObject *
end_of(Pieces *pieces, PyObject *made)
{
    while (pieces->holds)
        Py_DECREF(pieces->held[--pieces->holds]);
    if (!made && !PyErr_Occurred())
        Py_RETURN_NONE;
    return made;
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
static PyObject *
record_of(Part *parts, const Given *given, PyObject *tables)
{
    Pieces pieces;
    char space[17];
    Part query = parts[QUERY];
    PyObject *record = NULL;
    pieces.count = pieces.holds = 0;
    pieces.size = 0;
    if (parts[AUDIT_ID].end - parts[AUDIT_ID].start <= MAX_AUDIT_ID && unescape(&pieces, &query)
        && gather(&pieces, tables, parts, query, given, space))
        record = joined(&pieces, given->body);
    return end_of(&pieces, record);
}

static int
has_bodies(const Part *parts)
{
    return parts[REQUEST].start || parts[RESPONSE].start;
}

static PyObject *
quick_encode(PyObject *Py_UNUSED(module), PyObject *args)
{
    PyObject *line, *body, *bytes_around, *tables;
    Part parts[PARTS], whole, around;
    if (!PyArg_ParseTuple(args, "O!OO!O!", &PyBytes_Type, &line, &body, &PyBytes_Type,
                          &bytes_around, &PyTuple_Type, &tables)
        || !part_of(line, &whole) || !part_of(bytes_around, &around))
        return NULL;
    Given given = {&around, 1, whole};
    if (body != Py_None && !part_of(body, &given.body))
        return NULL;
    if (!read_parts(whole.start, whole.end - whole.start, parts)
        || (body == Py_None && has_bodies(parts)))
        Py_RETURN_NONE;
    return record_of(parts, &given, tables);
}

/* ---- A run over the lines of a block ---------------------------------------------------- */

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

static PyObject *
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

/* ---- Who asked -------------------------------------------------------------------------- */

enum { MOST_VALUES = 16, LONGEST_SHAPE = 2048 };

/* What is said of who asked, as it repeats, and the values of this one, where a NUL stands. */
typedef struct {
    char bytes[LONGEST_SHAPE];
    Part values[MOST_VALUES];
    const char *copied; /* of the key, up to here */
    size_t size;
    int count;
} Shape;

/* Copy up to *end*, from where the next is copied on. */
static int
copy(Shape *shape, const char *end, const char *on)
{
    size_t size = end - shape->copied;
    if (shape->size + size + 1 > LONGEST_SHAPE)
        return 0;
    memcpy(shape->bytes + shape->size, shape->copied, size);
    shape->size += size;
    shape->copied = on;
    return 1;
}

/* Take a text out of the shape; NULL where it cannot be read. */
static const char *
take_out(Shape *shape, const char *at, const char *end)
{
    Part value;
    at = text(at, end, &value);
    if (!at || shape->count == MOST_VALUES || !copy(shape, value.start, value.end))
        return NULL;
    shape->bytes[shape->size++] = '\0';
    shape->values[shape->count++] = value;
    return at;
}

/* Take in what is between the braces of `extra`: lists of one text each. */
static const char *
extras(Shape *shape, const char *at, const char *end)
{
    Part name;
    for (;;) {
        at = AFTER(text(AFTER(at, end, "\""), end, &name), end, "\":[\"");
        at = AFTER(at ? take_out(shape, at, end) : NULL, end, "\"]");
        if (!at || !AFTER(at, end, ","))
            return AFTER(at, end, "}");
        at++;
    }
}

/* Take in the texts of a list and its end. */
static const char *
texts(const char *at, const char *end)
{
    Part ignored;
    for (;;) {
        at = text(AFTER(at, end, "\""), end, &ignored);
        if (!AFTER(at, end, "\","))
            return AFTER(at, end, "\"]");
        at += 2;
    }
}

/* Take in a username. Service accounts and nodes are many: what tells one of them stays. */
static const char *
username(Shape *shape, const char *at, const char *end)
{
    Part whole;
    const char *name = AFTER(at, end, "system:serviceaccount:");
    if (!name)
        name = AFTER(at, end, "system:node:");
    if (!name)
        return text(at, end, &whole);
    name = take_out(shape, name, end);
    if (name)
        shape->values[0].start = at;
    return name;
}

static int
shape_of(Shape *shape, const char *at, const char *end)
{
    const char *next;
    shape->copied = at;
    shape->size = shape->count = 0;
    at = AFTER(username(shape, AFTER(at, end, "\"user\":{\"username\":\""), end), end, "\"");
    if ((next = AFTER(at, end, ",\"uid\":\"")))
        at = AFTER(take_out(shape, next, end), end, "\"");
    if ((next = AFTER(at, end, ",\"groups\":[")))
        at = texts(next, end);
    if ((next = AFTER(at, end, ",\"extra\":{")))
        at = extras(shape, next, end);
    at = AFTER(at, end, "}");
    if ((next = AFTER(at, end, ",\"sourceIPs\":[\"")))
        at = AFTER(take_out(shape, next, end), end, "\"]");
    if ((next = AFTER(at, end, ",\"userAgent\":\"")))
        at = AFTER(take_out(shape, next, end), end, "\"");
    return at == end && copy(shape, end, end);
}

static PyObject *
quick_caller(PyObject *Py_UNUSED(module), PyObject *args)
{
    PyObject *templates, *made = NULL;
    const char *key;
    Py_ssize_t size;
    Shape shape;
    if (!PyArg_ParseTuple(args, "y#O", &key, &size, &templates))
        return NULL;
    if (!shape_of(&shape, key, key + size))
        Py_RETURN_NONE;
    Pieces pieces;
    pieces.count = pieces.holds = 0;
    pieces.size = 0;
    PyObject *template = look_up(
        &pieces, templates, PyBytes_FromStringAndSize(shape.bytes, shape.size));
    if (template && template != Py_None && fill(&pieces, template, shape.values, shape.count)
        && (made = PyBytes_FromStringAndSize(NULL, pieces.size)))
        put(&pieces, PyBytes_AsString(made));
    return end_of(&pieces, made);
}

static PyMethodDef methods[] = {
    {"read", quick_read, METH_O, "Return the parts of a line, or None."},
    {"encode", quick_encode, METH_VARARGS, "Return the record of a line, or None."},
    {"caller", quick_caller, METH_VARARGS, "Return the attributes of who asked, or None."},
    {"run", quick_run, METH_VARARGS, "Encode lines as long as they are plain."},
    {"paths", quick_paths, METH_O, "Return the paths of lines."},
    {"all_begin_so", quick_all_begin_so, METH_O, "Tell whether all lines begin as events do."},
    {NULL, NULL, 0, NULL},
};

static struct PyModuleDef module = {
    PyModuleDef_HEAD_INIT, "_quick_line", NULL, 0, methods, NULL, NULL, NULL, NULL,
};

PyMODINIT_FUNC
PyInit__quick_line(void)
{
    PyObject *made = PyModule_Create(&module);
    if (made && PyModule_AddIntConstant(made, "VERSION", 4) < 0)
        Py_CLEAR(made);
    return made;
}
