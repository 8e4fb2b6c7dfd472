/* Takes a line apart: read_parts. Nothing of it is decoded. */

#include "quick.h"

#define OF_TIME 27

#define EACH(byte) (UINT64_C(0x0101010101010101) * (byte))
#define ZEROES(word) (((word) - EACH(1)) & ~(word)) /* the high bit of each zero byte, and others */

/* Return the first quote, backslash or control character, or the end; eight bytes at a time. */
static const char *
special(const char *at, const char *end)
{
    for (uint64_t word; end - at >= 8; at += 8) {
        memcpy(&word, at, sizeof word);
        uint64_t quotes = ZEROES(word ^ EACH('"')), escapes = ZEROES(word ^ EACH('\\'));
        if ((quotes | escapes | ((word - EACH(0x20)) & ~word)) & EACH(0x80))
            break;
    }
    while (at < end && *at != '"' && *at != '\\' && (unsigned char)*at >= 0x20)
        at++;
    return at;
}

/* Take in text up to the quote that ends it; NULL where it needs an escape or has no end. */
const char *
text(const char *at, const char *end, Part *part)
{
    part->start = at;
    at = at ? special(at, end) : end;
    part->end = at;
    return at < end && *at == '"' ? at : NULL;
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
    const char *uri = AFTER(at, end, "\",\"requestURI\":\"");
    at = uri ? special(uri, end) : end;
    const char *query = uri ? memchr(uri, '?', at - uri) : NULL;
    while (query && at < end && *at == '\\')
        at = special(at + 1, end);
    if (at == end || *at != '"')
        return NULL;
    parts[PATH] = (Part){uri, query ? query : at};
    if (query)
        parts[QUERY] = (Part){query + 1, at};
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
    const char *at = FIND(status->start, status->end, ",\"requestObject\":", 'q');
    if (at) {
        *request = (Part){at + sizeof(",\"requestObject\":") - 1, status->end};
        status->end = at;
        at = FIND(request->start, request->end, ",\"responseObject\":", 'O');
        if (at) {
            *response = (Part){at + sizeof(",\"responseObject\":") - 1, request->end};
            request->end = at;
        }
    } else if ((at = FIND(status->start, status->end, ",\"responseObject\":", 'O'))) {
        *response = (Part){at + sizeof(",\"responseObject\":") - 1, status->end};
        status->end = at;
    }
}

int
is(Part part, const char *word)
{
    size_t size = strlen(word);
    return (size_t)(part.end - part.start) == size && !memcmp(part.start, word, size);
}

static int
is_blank(char byte)
{
    return byte == ' ' || byte == '\t' || byte == '\r' || byte == '\n';
}

/* Tell a value as it is written: there, without a blank around it; or no such member. */
static int
is_value(const char *start, const char *end)
{
    return !start || (start < end && !is_blank(*start) && !is_blank(end[-1]));
}

int
read_parts(const char *line, Py_ssize_t size, Part *parts)
{
    static const char received[] = ",\"requestReceivedTimestamp\":\"";
    const char *end = line + size, *times = NULL;
    memset(parts, 0, PARTS * sizeof *parts);
    const char *at = head(line, end, parts);
    if (!at)
        return 0;
    parts[CALLER].start = at;
    const char *object = FIND(at, end, ",\"objectRef\":{", 'R');
    if (object) {
        parts[CALLER].end = object;
        at = reference(object + sizeof(",\"objectRef\":{") - 1, end, parts);
        if (!at)
            return 0;
    }
    for (const char *next = at; (next = FIND(next, end, received, 'q')); next += sizeof received - 1)
        times = next; /* the last: a body may hold such a member */
    if (!times || !tail(times + sizeof received - 1, end, parts))
        return 0;
    if (!object) {
        const char *status = FIND(at, times, ",\"responseStatus\":", 'S');
        at = parts[CALLER].end = status ? status : times;
    }
    parts[STATUS] = (Part){at, times};
    if (!is(parts[LEVEL], "Metadata"))
        bodies(parts);
    const char *status = AFTER(parts[STATUS].start, parts[STATUS].end, ",\"responseStatus\":");
    return is_value(parts[CALLER].start, parts[CALLER].end)
           && is_value(status, parts[STATUS].end)
           && is_value(parts[REQUEST].start, parts[REQUEST].end)
           && is_value(parts[RESPONSE].start, parts[RESPONSE].end);
}

PyObject *
bytes_of(Part part)
{
    return PyBytes_FromStringAndSize(part.start ? part.start : "", part.end - part.start);
}

PyObject *
tuple_of(const Part *parts)
{
    PyObject *read = PyTuple_New(PARTS);
    for (int i = 0; read && i < PARTS; i++) {
        PyObject *part = bytes_of(parts[i]);
        if (!part || PyTuple_SetItem(read, i, part) < 0)
            Py_CLEAR(read);
    }
    return read;
}

PyObject *
quick_read(PyObject *Py_UNUSED(module), PyObject *line)
{
    Part parts[PARTS], whole;
    if (!part_of(line, &whole))
        return NULL;
    if (!read_parts(whole.start, whole.end - whole.start, parts))
        Py_RETURN_NONE;
    return tuple_of(parts);
}

/* Return where a line ends. */
const char *
line_end(const char *at, const char *end)
{
    const char *found = memchr(at, '\n', end - at);
    return found ? found : end;
}

PyObject *
quick_all_begin_so(PyObject *Py_UNUSED(module), PyObject *data)
{
    Part whole;
    if (!part_of(data, &whole))
        return NULL;
    const char *next = whole.start;
    do {
        if (!AFTER(next, whole.end, "{\"kind\":\"Event\""))
            Py_RETURN_FALSE;
        next = memchr(next, '\n', whole.end - next);
    } while (next && ++next < whole.end);
    Py_RETURN_TRUE;
}
