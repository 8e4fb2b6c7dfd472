/* Encodes who asked by the template of its shape, as templates.py does. */

#include "quick.h"

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

PyObject *
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
    pieces.recent = NULL;
    pieces.count = pieces.holds = 0;
    pieces.size = 0;
    PyObject *template = look_up(&pieces, templates, (Part){shape.bytes, shape.bytes + shape.size});
    if (template && template != Py_None && fill(&pieces, template, shape.values, shape.count)
        && (made = PyBytes_FromStringAndSize(NULL, pieces.size)))
        put(&pieces, PyBytes_AsString(made));
    return end_of(&pieces, made);
}
