/* What the files of the compiled part share; each says what it is for. */

#define _GNU_SOURCE
#define PY_SSIZE_T_CLEAN
#define Py_LIMITED_API 0x030B0000
#include <Python.h>
#include <stdint.h>
#include <string.h>

typedef struct {
    const char *start; /* NULL, as is the end, where the line has no such part */
    const char *end;
} Part;

/* Places of plain_line.PlainLine. */
enum {
    LEVEL, AUDIT_ID, STAGE, PATH, QUERY, VERB, CALLER, FRONT, NAMESPACE, NAME, UID, BACK,
    VERSION, SUBRESOURCE, STATUS, REQUEST, RESPONSE, RECEIVED, RECEIVED_US, STAGED, STAGED_US,
    NOTES, PARTS
};

/* Places of plain_line.Tables. */
enum {
    SECONDS, CALLERS, OBJECTS, STATUSES, REQUESTS, NOTES_OF, NAMES, OBJECT_UIDS, VERSIONS, AUDIT_IDS, PATHS,
    QUERIES, CLEAN_PATHS, CLEAN_QUERIES, CLEAN_REFERENCES, DURATION_HEAD, RECENT,
    TABLES
};

/* A plain line of a block. */
typedef struct {
    Part text, parts[PARTS];
    const char *next; /* where the line behind it begins */
    Py_ssize_t row_end; /* of its texts that are looked at with those of all lines */
    int is_free; /* whether none of these can hold anything */
} Line;

/* The plain lines of a block, in their order. */
typedef struct {
    PyObject *data;
    Line *lines;
    Py_ssize_t count, room;
} Block;

enum { OF_SECOND = 19 }; /* the length of a time without its fraction */
enum { MOST_PIECES = 64, MOST_HELD = 24, MOST_IN_FRAME = 8 };
enum { PLACES = 4096, FRAMES = 1024 };
enum { LONGEST_KEY = 1024 }; /* of one that is made of parts, or looked up of late */

/* What a table has for a key. The table lives as long as what holds this. */
typedef struct {
    PyObject *table, *key, *value;
    Part text; /* of the key */
} Known;

/* What is around a value of a size: what a table of frames has for it. */
typedef struct {
    PyObject *table, *frame;
    size_t size;
    int count;
    Part parts[MOST_IN_FRAME];
} Frame;

/* What was looked up of late. */
typedef struct {
    Known known[PLACES];
    Frame frames[FRAMES];
} Recent;

/* What a record is put together from, and the objects that hold it. */
typedef struct {
    Recent *recent; /* or NULL */
    Part pieces[MOST_PIECES];
    PyObject *held[MOST_HELD];
    int count, holds;
    size_t size;
} Pieces;

/* What of a record is written by who asks for it: where its event stands, and its body. */
typedef struct {
    const Part *around;
    int count;
    Part body;
} Given;

#define AFTER(at, end, text) after(at, end, text, sizeof(text) - 1)
#define FIND(at, end, text, rare) find(at, end, text, sizeof(text) - 1, rare)

static inline const char *
after(const char *at, const char *end, const char *text, size_t size)
{
    return at && (size_t)(end - at) >= size && !memcmp(at, text, size) ? at + size : NULL;
}

/* Find a text by a byte of it that is rare elsewhere: memmem takes three times as long. */
static inline const char *
find(const char *at, const char *end, const char *text, size_t size, char rare)
{
    size_t before = (const char *)memchr(text, rare, size) - text;
    for (at += before; at < end && (at = memchr(at, rare, end - at)); at++)
        if (after(at - before, end, text, size))
            return at - before;
    return NULL;
}

/* read.c */

const char *text(const char *at, const char *end, Part *part);
int is(Part part, const char *word);
int read_parts(const char *line, Py_ssize_t size, Part *parts);
PyObject *bytes_of(Part part);
PyObject *tuple_of(const Part *parts);
PyObject *quick_read(PyObject *module, PyObject *line);
const char *line_end(const char *at, const char *end);
PyObject *quick_all_begin_so(PyObject *module, PyObject *data);

/* block.c */

Block *block_in(PyObject *capsule);
Line *line_at(const Block *block, const char *start);
PyObject *quick_read_all(PyObject *module, PyObject *args);
PyObject *quick_doubt(PyObject *module, PyObject *args);

/* pieces.c */

int add(Pieces *out, const char *start, size_t size);
int add_parts(Pieces *out, const Part *parts, int count);
int part_of(PyObject *bytes, Part *part);
int add_bytes(Pieces *out, PyObject *bytes);
PyObject *look_up(Pieces *out, PyObject *table, Part key);
Part key_of(char *space, long one, long other, const Part *parts, int count);
int is_clean(Pieces *out, PyObject *verdicts, Part part);
int add_in_frame(Pieces *out, PyObject *frame, Part value);
int add_framed(Pieces *out, PyObject *frames, Part value);
int fill(Pieces *out, PyObject *template, const Part *values, long count);
int is_empty(Part part);
int is_of_uids(Part part);
size_t varint(char *out, uint64_t number);
char *little_endian(char *out, uint64_t number, int bytes);
char *put(const Pieces *pieces, char *to);
PyObject *end_of(Pieces *pieces, PyObject *made);

/* recent.c */

PyObject *quick_recent(PyObject *module, PyObject *ignored);
Recent *recent_in(PyObject *capsule);
Known *place_of(Recent *recent, Part key);
Frame *frame_at(Recent *recent, PyObject *table, size_t size);
void keep_frame(Frame *at, PyObject *table, size_t size, PyObject *frame);
int is_known(const Known *known, PyObject *table, Part key);
void keep(Known *known, PyObject *table, PyObject *key, PyObject *value);

/* record.c */

PyObject *record_of(const Line *line, const Given *given, PyObject *tables);
int has_bodies(const Part *parts);

/* run.c */

PyObject *quick_run(PyObject *module, PyObject *args);

/* digest.c */

int append_entry(PyObject *entries, PyObject *make, uint64_t offset, const Part *uid, Part body);
PyObject *quick_use_sha256(PyObject *module, PyObject *args);
PyObject *quick_split(PyObject *module, PyObject *args);

/* caller.c */

PyObject *quick_caller(PyObject *module, PyObject *args);
