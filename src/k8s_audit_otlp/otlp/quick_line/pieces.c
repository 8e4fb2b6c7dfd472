/* What a record is put together from: bytes where they stand, and objects that hold them. */

#include "quick.h"

enum { OF_NUMBER = 4, SHORTEST_HEX_KEY = 32 };

int
add(Pieces *out, const char *start, size_t size)
{
    if (!size) /* nothing to copy, from nowhere */
        return 1;
    if (out->count == MOST_PIECES)
        return 0;
    out->pieces[out->count++] = (Part){start, start + size};
    out->size += size;
    return 1;
}

int
add_parts(Pieces *out, const Part *parts, int count)
{
    for (int i = 0; i < count; i++)
        if (!add(out, parts[i].start, parts[i].end - parts[i].start))
            return 0;
    return 1;
}

int
part_of(PyObject *bytes, Part *part)
{
    char *start;
    Py_ssize_t size;
    if (!bytes || PyBytes_AsStringAndSize(bytes, &start, &size) < 0)
        return 0;
    *part = (Part){start, start + size};
    return 1;
}

int
add_bytes(Pieces *out, PyObject *bytes)
{
    Part part;
    return part_of(bytes, &part) && add_parts(out, &part, 1);
}

/* Hold a value until the record is made. */
static PyObject *
hold(Pieces *out, PyObject *value)
{
    if (value && out->holds == MOST_HELD)
        Py_CLEAR(value);
    if (value)
        out->held[out->holds++] = value;
    return value;
}

/* Look up a key, which is given away. A table builds what it does not know; NULL, with an error, where
 * it cannot. What it knows is taken directly: a look-up by its class, which has `__missing__`, takes
 * three times as long. */
static PyObject *
look_in(PyObject *table, PyObject *key, Known *known)
{
    PyObject *value = key ? Py_XNewRef(PyDict_GetItemWithError(table, key)) : NULL;
    if (value && known)
        keep(known, table, key, value);
    else if (key && !value && !PyErr_Occurred())
        value = PyObject_GetItem(table, key);
    Py_XDECREF(key);
    return value;
}

/* Look up a key of bytes, and hold what is found. */
PyObject *
look_up(Pieces *out, PyObject *table, Part key)
{
    static const char nothing[1];
    if (!key.start)
        key = (Part){nothing, nothing};
    Known *known = place_of(out->recent, key);
    if (known && is_known(known, table, key))
        return hold(out, Py_NewRef(known->value));
    return hold(out, look_in(table, bytes_of(key), known));
}

char *
little_endian(char *out, uint64_t number, int bytes)
{
    for (int i = 0; i < bytes; i++)
        *out++ = (char)(number >> (8 * i));
    return out;
}

/* Write a key as interned.key_of does; NULL as its start where it is too long. */
Part
key_of(char *space, long one, long other, const Part *parts, int count)
{
    size_t size = 2 * OF_NUMBER + count - 1;
    for (int i = 0; i < count; i++)
        size += parts[i].end - parts[i].start;
    if (size > LONGEST_KEY)
        return (Part){NULL, NULL};
    char *to = little_endian(space, (uint64_t)one, OF_NUMBER);
    to = little_endian(to, (uint64_t)other, OF_NUMBER);
    for (int i = 0; i < count; i++) {
        size_t each = parts[i].end - parts[i].start;
        if (i)
            *to++ = '\0';
        if (each)
            memcpy(to, parts[i].start, each);
        to += each;
    }
    return (Part){space, to};
}

int
is_clean(Pieces *out, PyObject *verdicts, Part part)
{
    return look_up(out, verdicts, part) == Py_True;
}

/* Add the attributes that have *value*, in a frame made for its length. */
int
add_in_frame(Pieces *out, PyObject *frame, Part value)
{
    size_t size = value.end - value.start;
    Py_ssize_t count = frame ? PyTuple_Size(frame) : -1;
    for (Py_ssize_t i = 0; i < count; i++)
        if ((i && !add(out, value.start, size)) || !add_bytes(out, PyTuple_GetItem(frame, i)))
            return 0;
    return count >= 0;
}

/* Add the attributes that have *value*, by a table of frames. */
int
add_framed(Pieces *out, PyObject *frames, Part value)
{
    size_t size = value.end - value.start;
    Frame *known = out->recent ? frame_at(out->recent, frames, size) : NULL;
    if (!known || known->table != frames || known->size != size) {
        PyObject *frame = hold(out, look_in(frames, PyLong_FromSize_t(size), NULL));
        if (frame && known)
            keep_frame(known, frames, size, frame);
        return add_in_frame(out, frame, value);
    }
    if (!hold(out, Py_NewRef(known->frame)))
        return 0;
    for (int i = 0; i < known->count; i++)
        if ((i && !add(out, value.start, size)) || !add_parts(out, &known->parts[i], 1))
            return 0;
    return 1;
}

/* Add a template: bytes, and between each two the number of a value and its frames. */
int
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

int
is_empty(Part part)
{
    return part.end == part.start;
}

/* Tell a text of hex digits and dashes that is too short between these for a key in hex. */
int
is_of_uids(Part part)
{
    for (const char *at = part.start; at < part.end; at++)
        if (!((*at >= '0' && *at <= '9') || (*at >= 'a' && *at <= 'f') || *at == '-'))
            return 0;
    const char *dash;
    for (const char *at = part.start; part.end - at >= SHORTEST_HEX_KEY; at = dash + 1)
        if (!(dash = memchr(at, '-', SHORTEST_HEX_KEY)))
            return 0;
    return 1;
}

size_t
varint(char *out, uint64_t number)
{
    size_t size = 0;
    for (; number > 127; number >>= 7)
        out[size++] = (char)((number & 127) | 128);
    out[size++] = (char)number;
    return size;
}

/* Write the pieces and return where they end. */
char *
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
PyObject *
end_of(Pieces *pieces, PyObject *made)
{
    while (pieces->holds)
        Py_DECREF(pieces->held[--pieces->holds]);
    if (!made && !PyErr_Occurred())
        Py_RETURN_NONE;
    return made;
}
