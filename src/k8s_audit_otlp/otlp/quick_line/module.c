/* The compiled twin of plain_line.py: the same bytes for a line that is plain, None for any other.
 * Optional: built where there is a compiler when the package is installed, and held equal to its
 * twin by tests.
 *
 * read(line) -> the parts of plain_line.PlainLine, or None
 * caller(key, templates) -> the attributes of who asked, or None
 * run(run, at, place) -> where it stopped; `run` is plain_line.Run, `place` a PlaceFrame
 * read_all(data, tables) -> the plain lines of a block, and the rows of their texts
 * doubt(read, start, end) -> the end of the last of the rows there, which are not free
 * recent() -> room for what was looked up of late, for Tables
 * all_begin_so(data) -> whether each line of a block begins as an event does
 * split(entries, sums, last) -> the digests of some records, and the next sums of a content
 * use_sha256(begin, update, end): hash by these functions of libcrypto, given by their addresses
 */

#include "quick.h"

static PyMethodDef methods[] = {
    {"read", quick_read, METH_O, "Return the parts of a line, or None."},
    {"caller", quick_caller, METH_VARARGS, "Return the attributes of who asked, or None."},
    {"run", quick_run, METH_VARARGS, "Encode lines as long as they are plain."},
    {"read_all", quick_read_all, METH_VARARGS, "Return the plain lines of a block, and rows."},
    {"doubt", quick_doubt, METH_VARARGS, "Take rows for not free; return where they end."},
    {"recent", quick_recent, METH_NOARGS, "Make room for what was looked up of late."},
    {"all_begin_so", quick_all_begin_so, METH_O, "Tell whether all lines begin as events do."},
    {"split", quick_split, METH_VARARGS, "Take entries apart and add to sums."},
    {"use_sha256", quick_use_sha256, METH_VARARGS, "Hash by functions at these addresses."},
    {NULL, NULL, 0, NULL},
};

static struct PyModuleDef module = {
    PyModuleDef_HEAD_INIT, "_quick_line", NULL, 0, methods, NULL, NULL, NULL, NULL,
};

PyMODINIT_FUNC
PyInit__quick_line(void)
{
    PyObject *made = PyModule_Create(&module);
    if (made && PyModule_AddIntConstant(made, "VERSION", 9) < 0)
        Py_CLEAR(made);
    return made;
}
