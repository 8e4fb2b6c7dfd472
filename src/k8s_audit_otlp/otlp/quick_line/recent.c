/* Finds what was looked up of late without a hash of its key by the interpreter's dictionary, which
 * takes a byte at a time. Kept is what a table has already, so what never comes again is not. */

#include "quick.h"

#define NAME "k8s_audit_otlp.recent"
#define MIX UINT64_C(0x9E3779B97F4A7C15)

static void
forget(PyObject *capsule)
{
    Recent *recent = recent_in(capsule);
    for (int i = 0; i < PLACES; i++) {
        Py_XDECREF(recent->known[i].key);
        Py_XDECREF(recent->known[i].value);
    }
    for (int i = 0; i < FRAMES; i++)
        Py_XDECREF(recent->frames[i].frame);
    PyMem_Free(recent);
}

PyObject *
quick_recent(PyObject *Py_UNUSED(module), PyObject *Py_UNUSED(ignored))
{
    Recent *recent = PyMem_Calloc(1, sizeof *recent);
    return recent ? PyCapsule_New(recent, NAME, forget) : PyErr_NoMemory();
}

Recent *
recent_in(PyObject *capsule)
{
    return PyCapsule_GetPointer(capsule, NAME);
}

static inline uint64_t
mixed(uint64_t number, const char *at, size_t size)
{
    uint64_t word = 0;
    memcpy(&word, at, size);
    return (number ^ word) * MIX;
}

/* Return the place of a key; NULL where there is none for it. */
Known *
place_of(Recent *recent, Part part)
{
    if (!recent || part.end - part.start > LONGEST_KEY)
        return NULL;
    const char *at = part.start;
    uint64_t one = part.end - at, two = 0, three = 0, four = 0;
    for (; part.end - at >= 32; at += 32) { /* side by side: each step waits for the one before */
        one = mixed(one, at, 8);
        two = mixed(two, at + 8, 8);
        three = mixed(three, at + 16, 8);
        four = mixed(four, at + 24, 8);
    }
    for (; part.end - at >= 8; at += 8)
        one = mixed(one, at, 8);
    one = mixed(one, at, part.end - at);
    return &recent->known[((((one ^ two) * MIX ^ three) * MIX ^ four) * MIX >> 48) % PLACES];
}

int
is_known(const Known *known, PyObject *table, Part key)
{
    size_t size = known->text.end - known->text.start;
    return known->table == table && size == (size_t)(key.end - key.start)
           && !memcmp(known->text.start, key.start, size);
}

void
keep(Known *known, PyObject *table, PyObject *key, PyObject *value)
{
    Part text;
    if (!part_of(key, &text))
        return;
    Known before = *known;
    *known = (Known){table, Py_NewRef(key), Py_NewRef(value), text};
    Py_XDECREF(before.key);
    Py_XDECREF(before.value);
}

/* Return the place of a frame, which may be that of another one. */
Frame *
frame_at(Recent *recent, PyObject *table, size_t size)
{
    return &recent->frames[((uintptr_t)table / 64 * 31 + size) % FRAMES];
}

/* Keep a frame, unless it has many parts. */
void
keep_frame(Frame *at, PyObject *table, size_t size, PyObject *frame)
{
    Frame kept = {table, frame, size, (int)PyTuple_Size(frame), {{NULL, NULL}}};
    if (kept.count < 0 || kept.count > MOST_IN_FRAME)
        return;
    for (int i = 0; i < kept.count; i++)
        if (!part_of(PyTuple_GetItem(frame, i), &kept.parts[i]))
            return;
    Py_INCREF(frame);
    PyObject *before = at->frame;
    *at = kept;
    Py_XDECREF(before);
}
