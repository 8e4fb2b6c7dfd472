/* What is known of records for receipts, as content_hash.py has it: entries of an offset and a
 * digest, made while lines are encoded and taken into a content. */

#include "quick.h"

enum { STATE_WORDS = 32, WHOLE_DIGEST = 32, DIGEST = 20, OFFSET = 8, ENTRY = OFFSET + DIGEST };
enum { POWERS = 4, LONGEST_UID = 64 };
#define PRIME ((UINT64_C(1) << 61) - 1)

/* The functions of libcrypto, where Python's hashlib has them: a hash by them costs its bytes alone,
 * one by an object of hashlib more than twice as much. Its state takes 112 bytes. */
static struct {
    int (*begin)(void *state);
    int (*update)(void *state, const void *start, size_t size);
    int (*end)(unsigned char *digest, void *state);
} sha256;

PyObject *
quick_use_sha256(PyObject *Py_UNUSED(module), PyObject *args)
{
    unsigned long long begin, update, end;
    if (!PyArg_ParseTuple(args, "KKK", &begin, &update, &end))
        return NULL;
    sha256.begin = (int (*)(void *))(uintptr_t)begin;
    sha256.update = (int (*)(void *, const void *, size_t))(uintptr_t)update;
    sha256.end = (int (*)(unsigned char *, void *))(uintptr_t)end;
    Py_RETURN_NONE;
}

static int
hash_by_libcrypto(Part head, Part body, unsigned char *digest)
{
    uint64_t state[STATE_WORDS];
    if (sha256.begin(state) && sha256.update(state, head.start, head.end - head.start)
        && sha256.update(state, body.start, body.end - body.start) && sha256.end(digest, state))
        return 1;
    PyErr_SetString(PyExc_RuntimeError, "libcrypto does not hash");
    return 0;
}

static int
hash_by_hashlib(PyObject *make, Part head, Part body, unsigned char *digest)
{
    PyObject *hash = PyObject_CallFunction(make, "y#", head.start, head.end - head.start);
    PyObject *view = hash ? PyMemoryView_FromMemory(
        (char *)body.start, body.end - body.start, PyBUF_READ) : NULL;
    PyObject *done = view ? PyObject_CallMethod(hash, "update", "O", view) : NULL;
    PyObject *made = done ? PyObject_CallMethod(hash, "digest", NULL) : NULL;
    Part found;
    int is_made = part_of(made, &found);
    if (is_made)
        memcpy(digest, found.start, WHOLE_DIGEST);
    Py_XDECREF(made);
    Py_XDECREF(done);
    Py_XDECREF(view);
    Py_XDECREF(hash);
    return is_made;
}

/* Append the entry of a record, whose uid is in two parts; 0 with an error. */
int
append_entry(PyObject *entries, PyObject *make, uint64_t offset, const Part *uid, Part body)
{
    char head[LONGEST_UID];
    unsigned char digest[WHOLE_DIGEST];
    size_t first = uid[0].end - uid[0].start, second = uid[1].end - uid[1].start;
    if (first + second + 1 > LONGEST_UID) {
        PyErr_SetString(PyExc_ValueError, "a uid is too long");
        return 0;
    }
    memcpy(head, uid[0].start, first);
    memcpy(head + first, uid[1].start, second);
    head[first + second] = '\n';
    Part before = {head, head + first + second + 1};
    if (!(sha256.begin ? hash_by_libcrypto(before, body, digest)
                       : hash_by_hashlib(make, before, body, digest)))
        return 0;
    Py_ssize_t size = PyByteArray_Size(entries);
    if (PyByteArray_Resize(entries, size + ENTRY) < 0)
        return 0;
    char *to = PyByteArray_AsString(entries) + size;
    for (int i = 0; i < OFFSET; i++)
        to[i] = (char)(offset >> (8 * (OFFSET - 1 - i)));
    memcpy(to + OFFSET, digest, DIGEST);
    return 1;
}

static uint64_t
big_endian(const char *at, int size)
{
    uint64_t number = 0;
    for (int i = 0; i < size; i++)
        number = number << 8 | (unsigned char)at[i];
    return number;
}

static uint64_t
times(uint64_t one, uint64_t other)
{
    unsigned __int128 product = (unsigned __int128)one * other;
    product = (product & PRIME) + (product >> 61); /* as 2**61 is 1 modulo PRIME */
    return (uint64_t)((product & PRIME) + (product >> 61)) % PRIME;
}

PyObject *
quick_split(PyObject *Py_UNUSED(module), PyObject *args)
{
    const char *at;
    Py_ssize_t size;
    unsigned long long sums[POWERS];
    long long last;
    if (!PyArg_ParseTuple(args, "y#(KKKK)L", &at, &size, &sums[0], &sums[1], &sums[2], &sums[3],
                          &last))
        return NULL;
    PyObject *joined = PyBytes_FromStringAndSize(NULL, size / ENTRY * DIGEST);
    if (!joined)
        return NULL;
    int in_order = 1;
    char *to = PyBytes_AsString(joined);
    for (const char *end = at + size; end - at >= ENTRY; at += ENTRY, to += DIGEST) {
        uint64_t offset = big_endian(at, OFFSET), term = big_endian(at + OFFSET, 4);
        in_order &= last <= (long long)offset;
        last = (long long)offset;
        memcpy(to, at + OFFSET, DIGEST);
        for (int power = 0; power < POWERS; power++, term = times(term, offset))
            sums[power] = (sums[power] + term) % PRIME;
    }
    return Py_BuildValue("(N(KKKK)LN)", joined, sums[0], sums[1], sums[2], sums[3], last,
                         PyBool_FromLong(in_order));
}
