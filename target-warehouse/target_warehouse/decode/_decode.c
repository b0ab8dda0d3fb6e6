/* RECORD lines of one stream, decoded directly to the columns of an Arrow record batch.

   This does on bytes what `group_decoder.py` does with Python objects, for what nearly every line consists of. Values
   with longer rules (JSON, times, numbers as text) are returned as their JSON, for Python to convert. If a line is not
   plain, the whole group is refused (None), and the caller decodes it in Python. Both give the same columns.

   Decoding runs without the GIL. The only state between two calls are guesses of which property follows which. */

#define PY_SSIZE_T_CLEAN
#define Py_LIMITED_API 0x030B0000
#include <Python.h>
#include <stdlib.h>

#include "json_text.h"

enum { TEXT, INTEGER, DECIMAL, WHOLE, BOOLEAN, DAY, TIMESTAMP, RAW, FORMS }; /* exported */
enum { IGNORED = -1, ABSENT = -2 };         /* exported; instead of a column: skip any value; accept only null */
enum { NULLS = 1, GAPS = 2 };               /* exported; what a column may refuse: null, and a missing property */
typedef enum { FAILED, NOT_PLAIN, DONE } Outcome; /* FAILED: out of memory */

#define MOST_DIGITS 18       /* always fit in 64 bits */
#define DECIMAL_DIGITS 20    /* of a decimal(38, 18) before the point */
#define DECIMAL_PLACES 18

/* Arrow's C data interface, from its specification. */
struct ArrowArray {
    int64_t length, null_count, offset, n_buffers, n_children;
    const void **buffers;
    struct ArrowArray **children;
    struct ArrowArray *dictionary;
    void (*release)(struct ArrowArray *);
    void *private_data;
};

static const size_t widths[FORMS] = {0, 8, 16, 16, 0, 4, 8, 0}; /* bytes of a value; 0 for bits and texts */

static int is_text(int form) { return form == TEXT || form == RAW; }

/* A column under construction; values that are not set are null, and zero in memory. */
typedef struct {
    int form, refused;
    int64_t rows, nulls; /* rows that are set */
    unsigned char *valid;
    char *data;
    size_t size, room;
    int32_t *ends; /* of texts */
} Column;

typedef struct {
    Names names;
    int *places; /* the column of each name, or IGNORED or ABSENT */
    int *forms, *refused;
    int count;                     /* of columns */
    int time_extracted, version;   /* the columns of the message's own members; IGNORED if there is none */
    char *stream;
    Py_ssize_t stream_size;
    int takes_nul;
} Decoder;

static const char decoder_name[] = "target_warehouse.decode._decode.decoder";

/* Columns. */

static void free_column(Column *column)
{
    free(column->valid);
    free(column->data);
    free(column->ends);
}

static int start_column(Column *column, int form, int refused, int64_t rows)
{
    size_t count = (size_t)rows;
    column->form = form, column->refused = refused;
    column->room = is_text(form) ? 16 * count + 64 : form == BOOLEAN ? count / 8 + 1 : widths[form] * count + 1;
    column->valid = calloc(count / 8 + 1, 1);
    column->data = is_text(form) ? malloc(column->room) : calloc(column->room, 1);
    column->ends = is_text(form) ? malloc((count + 1) * sizeof(int32_t)) : NULL;
    if (column->ends) column->ends[0] = 0;
    return column->valid && column->data && (column->ends || !is_text(form));
}

static void set_bit(unsigned char *bits, int64_t row) { bits[row >> 3] |= (unsigned char)(1 << (row & 7)); }

static void put_null(Column *column, int64_t row)
{
    column->nulls++;
    if (column->ends) column->ends[row + 1] = (int32_t)column->size;
}

/* Make room for a text of `size` bytes; NULL if out of memory. */
static char *room_for(Column *column, size_t size)
{
    if (column->room - column->size < size) {
        size_t room = column->room + column->room / 2 + size;
        char *data = realloc(column->data, room);
        if (!data) return NULL;
        column->data = data, column->room = room;
    }
    return column->data + column->size;
}

static Outcome put_bytes(Column *column, int64_t row, Place start, size_t size)
{
    char *at = room_for(column, size);
    if (!at) return FAILED;
    memcpy(at, start, size);
    column->size += size;
    if (column->size > INT32_MAX) return NOT_PLAIN;
    column->ends[row + 1] = (int32_t)column->size;
    return DONE;
}

static Outcome put_text(Column *column, int64_t row, const Value *value, int takes_nul)
{
    char *at;
    Py_ssize_t size;
    if (value->escapes == PLAIN) return put_bytes(column, row, value->start, (size_t)value->size);
    at = room_for(column, (size_t)value->size);
    if (!at) return FAILED;
    size = unescape(value, at);
    if (size < 0 || (!takes_nul && memchr(at, 0, (size_t)size))) return NOT_PLAIN;
    column->size += (size_t)size;
    if (column->size > INT32_MAX) return NOT_PLAIN;
    column->ends[row + 1] = (int32_t)column->size;
    return DONE;
}

/* Numbers and timestamps. */

/* Read a number without exponent into `units` of its last place; return its end, or NULL if it is not plain. */
static Place after_units(Place p, int most_digits, int places, unsigned __int128 *units)
{
    int digits = 0;
    if (*p == '0') {
        p++;
    } else {
        for (; is_digit(*p); p++, digits++) *units = 10 * *units + (unsigned)(*p - '0');
        if (!digits || digits > most_digits) return NULL;
    }
    if (*p == '.') {
        Place point = ++p;
        if (!places) return NULL;
        for (; is_digit(*p) && places; p++, places--) *units = 10 * *units + (unsigned)(*p - '0');
        if (p == point || is_digit(*p)) return NULL;
    }
    if (*p == 'e' || *p == 'E' || is_digit(*p)) return NULL;
    return p;
}

static Place put_number(Column *column, int64_t row, Place p)
{
    int is_negative = *p == '-', places = column->form == DECIMAL ? DECIMAL_PLACES : 0;
    int scale = column->form == INTEGER ? 0 : DECIMAL_PLACES;
    unsigned __int128 units = 0;
    Place start = p + is_negative, point;
    p = after_units(start, scale ? DECIMAL_DIGITS : MOST_DIGITS, places, &units);
    if (!p) return NULL;
    point = memchr(start, '.', (size_t)(p - start));
    for (scale -= point ? (int)(p - point) - 1 : 0; scale > 0; scale--) units *= 10;
    if (is_negative) units = -units;
    if (column->form == INTEGER) ((int64_t *)(void *)column->data)[row] = (int64_t)units;
    else memcpy(column->data + 16 * row, &units, 16);
    return p;
}

static int64_t days_since_1970(Place p)
{
    int64_t year = number_at(p, 4), month = number_at(p + 5, 2), day = number_at(p + 8, 2), era, day_of_year;
    year -= month <= 2; /* years begin in March, so that the leap day is their last day */
    era = year / 400, year -= 400 * era;
    day_of_year = (153 * (month + (month > 2 ? -3 : 9)) + 2) / 5 + day - 1;
    return era * 146097 + 365 * year + year / 4 - year / 100 + day_of_year - 719468;
}

/* Set a timestamp of the form `2026-03-30T12:00:00`, an optional fraction, and `Z` or `+00:00`. */
static int put_timestamp(Column *column, int64_t row, const Value *value)
{
    Place p = value->start, end = p + value->size;
    int64_t seconds, micro = 0;
    int places = 6;
    if (value->size < 20 || !is_day(p, value->size) || p[10] != 'T' || p[13] != ':' || p[16] != ':') return 0;
    if (!is_at_most(p + 11, 23) || !is_at_most(p + 14, 59) || !is_at_most(p + 17, 59)) return 0;
    seconds = 86400 * days_since_1970(p) + 3600 * number_at(p + 11, 2) + 60 * number_at(p + 14, 2) + number_at(p + 17, 2);
    p += 19;
    if (*p == '.') {
        for (p++; is_digit(*p) && places; p++, places--) micro = 10 * micro + (*p - '0');
        if (places == 6) return 0;
        while (places-- > 0) micro *= 10;
    }
    if (!(end - p == 1 && *p == 'Z') && !(end - p == 6 && !memcmp(p, "+00:00", 6))) return 0;
    ((int64_t *)(void *)column->data)[row] = 1000000 * seconds + micro;
    return 1;
}

static int put_day(Column *column, int64_t row, const Value *value)
{
    if (value->size != 10 || !is_day(value->start, value->size)) return 0;
    ((int32_t *)(void *)column->data)[row] = (int32_t)days_since_1970(value->start);
    return 1;
}

/* Read the value at `*p` into a row of a column. */
static Outcome put_value(Column *column, int64_t row, int takes_nul, Place *p, Place end)
{
    Place start = *p;
    Value value;
    Outcome outcome = DONE;
    if (column->rows > row) return NOT_PLAIN; /* the property occurs twice */
    column->rows = row + 1;
    if (*start == 'n') {
        *p = after_word(start, "null");
        if (!*p || column->refused & NULLS) return NOT_PLAIN;
        put_null(column, row);
        return DONE;
    }
    if (column->form == RAW) {
        *p = after_value(start, end, 0);
        if (*p) outcome = put_bytes(column, row, start, (size_t)(*p - start));
    } else if (column->form == BOOLEAN) {
        *p = after_word(start, *start == 't' ? "true" : "false");
        if (*p && *start == 't') set_bit((unsigned char *)column->data, row);
    } else if (column->form == INTEGER || column->form == DECIMAL || column->form == WHOLE) {
        *p = put_number(column, row, start);
    } else {
        *p = *start == '"' ? after_text(start, end, &value) : NULL;
        if (*p && column->form == TEXT) outcome = put_text(column, row, &value, takes_nul);
        else if (*p && !(column->form == DAY ? put_day : put_timestamp)(column, row, &value)) outcome = NOT_PLAIN;
    }
    if (!*p) return NOT_PLAIN;
    set_bit(column->valid, row);
    return outcome;
}

/* Lines. */

static Outcome read_record(Decoder *decoder, Column *columns, int64_t row, Place *p, Place end)
{
    Value name;
    int before = -1, place;
    if (**p != '{') return NOT_PLAIN;
    *p = after_space(*p + 1);
    if (**p == '}') return ++*p, DONE;
    for (;;) {
        if (**p != '"' || !(*p = after_text(*p, end, &name)) || name.escapes != PLAIN) return NOT_PLAIN;
        *p = after_space(*p);
        if (**p != ':') return NOT_PLAIN;
        *p = after_space(*p + 1);
        before = number_of(&decoder->names, before, &name);
        if (before < 0) return NOT_PLAIN;
        place = decoder->places[before];
        if (place >= 0) {
            Outcome outcome = put_value(&columns[place], row, decoder->takes_nul, p, end);
            if (outcome != DONE) return outcome;
        } else {
            *p = place == ABSENT ? after_word(*p, "null") : after_value(*p, end, 0);
            if (!*p) return NOT_PLAIN;
        }
        *p = after_space(*p);
        if (**p == '}') return ++*p, DONE;
        if (**p != ',') return NOT_PLAIN;
        *p = after_space(*p + 1);
    }
}

static int is_word(const Value *value, const char *word, Py_ssize_t size)
{
    return value->size == size && !memcmp(value->start, word, (size_t)size);
}

static Outcome read_line(Decoder *decoder, Column *columns, int64_t row, Place *p, Place end)
{
    enum { TYPE = 1, STREAM = 2, RECORD = 4 };
    int members = 0;
    Value name, text;
    if (**p != '{') return NOT_PLAIN;
    for (*p = after_space(*p + 1);; *p = after_space(*p + 1)) {
        int member = 0, place = IGNORED;
        Outcome outcome = DONE;
        if (**p != '"' || !(*p = after_text(*p, end, &name)) || name.escapes != PLAIN) return NOT_PLAIN;
        *p = after_space(*p);
        if (**p != ':') return NOT_PLAIN;
        *p = after_space(*p + 1);
        if (is_word(&name, "record", 6)) {
            member = RECORD;
            outcome = read_record(decoder, columns, row, p, end);
        } else if (is_word(&name, "type", 4) || is_word(&name, "stream", 6)) {
            member = name.size == 4 ? TYPE : STREAM;
            if (**p != '"' || !(*p = after_text(*p, end, &text))) return NOT_PLAIN;
            if (member == TYPE && !is_word(&text, "RECORD", 6)) return NOT_PLAIN;
            if (member == STREAM && !is_word(&text, decoder->stream, decoder->stream_size)) return NOT_PLAIN;
        } else {
            if (is_word(&name, "time_extracted", 14)) place = decoder->time_extracted;
            else if (is_word(&name, "version", 7)) place = decoder->version;
            if (place >= 0) outcome = put_value(&columns[place], row, decoder->takes_nul, p, end);
            else if (!(*p = after_value(*p, end, 0))) return NOT_PLAIN;
        }
        if (outcome != DONE) return outcome;
        if (members & member) return NOT_PLAIN;
        members |= member;
        *p = after_space(*p);
        if (**p == '}') break;
        if (**p != ',') return NOT_PLAIN;
    }
    ++*p;
    return members == (TYPE | STREAM | RECORD) ? DONE : NOT_PLAIN;
}

/* Set properties that the line does not have to null. */
static Outcome finish_row(Decoder *decoder, Column *columns, int64_t row)
{
    for (int i = 0; i < decoder->count; i++) {
        if (columns[i].rows > row) continue;
        if (columns[i].refused & GAPS) return NOT_PLAIN;
        columns[i].rows = row + 1;
        put_null(&columns[i], row);
    }
    return DONE;
}

/* Read whole lines; `*row` counts them. A line cannot hold more than one object, because `rows` is exact. */
static Outcome read_span(Decoder *decoder, Column *columns, int64_t *row, int64_t rows, Place p, Place end)
{
    for (p = after_space(p); p < end; p = after_space(p)) {
        Outcome outcome;
        if (*row >= rows) return NOT_PLAIN;
        outcome = read_line(decoder, columns, *row, &p, end);
        if (outcome == DONE) outcome = finish_row(decoder, columns, *row);
        if (outcome != DONE) return outcome;
        while (*p == ' ' || *p == '\r' || *p == '\t') p++;
        if (p < end && *p != '\n') return NOT_PLAIN;
        ++*row;
    }
    return DONE;
}

/* The columns as Arrow arrays. */

typedef struct {
    const void *buffers[3];
} Buffers;

static void release_child(struct ArrowArray *array)
{
    Buffers *buffers = array->private_data;
    for (int i = 0; i < 3; i++) free((void *)buffers->buffers[i]);
    free(buffers);
    array->release = NULL;
}

static void release_root(struct ArrowArray *array)
{
    for (int64_t i = 0; i < array->n_children; i++) {
        struct ArrowArray *child = array->children[i];
        if (child && child->release) child->release(child);
        free(child);
    }
    free(array->children);
    free(array->private_data);
    array->release = NULL;
}

static void free_array(struct ArrowArray *array)
{
    if (array && array->release) array->release(array);
    free(array);
}

/* Move a column's memory to an array; return 0 if out of memory. */
static int hand_over(Column *column, int64_t rows, struct ArrowArray **made)
{
    struct ArrowArray *array = calloc(1, sizeof(struct ArrowArray));
    Buffers *buffers = calloc(1, sizeof(Buffers));
    int last = is_text(column->form) ? 2 : 1;
    if (!array || !buffers) {
        free(array);
        free(buffers);
        return 0;
    }
    if (last == 2) {
        char *smaller = realloc(column->data, column->size + 1);
        if (smaller) column->data = smaller;
        buffers->buffers[1] = column->ends;
    }
    buffers->buffers[0] = column->valid, buffers->buffers[last] = column->data;
    column->valid = NULL, column->data = NULL, column->ends = NULL;
    array->length = rows, array->null_count = column->nulls;
    array->n_buffers = last + 1, array->buffers = buffers->buffers;
    array->release = release_child, array->private_data = buffers;
    *made = array;
    return 1;
}

static struct ArrowArray *array_of(Column *columns, int count, int64_t rows)
{
    struct ArrowArray *root = calloc(1, sizeof(struct ArrowArray));
    if (!root) return NULL;
    root->length = rows, root->n_buffers = 1, root->n_children = count, root->release = release_root;
    root->private_data = calloc(1, sizeof(Buffers));
    root->children = calloc((size_t)count + 1, sizeof(struct ArrowArray *));
    if (root->private_data && root->children) {
        int i = 0;
        root->buffers = ((Buffers *)root->private_data)->buffers;
        while (i < count && hand_over(&columns[i], rows, &root->children[i])) i++;
        if (i == count) return root;
    } else {
        root->n_children = 0;
    }
    free_array(root);
    return NULL;
}

static void forget_array(PyObject *capsule) { free_array(PyCapsule_GetPointer(capsule, "arrow_array")); }

/* The decoder object and its functions. */

static void free_decoder(Decoder *decoder)
{
    free_names(&decoder->names);
    PyMem_Free(decoder->places);
    PyMem_Free(decoder->forms);
    PyMem_Free(decoder->refused);
    PyMem_Free(decoder->stream);
    PyMem_Free(decoder);
}

static void forget_decoder(PyObject *capsule) { free_decoder(PyCapsule_GetPointer(capsule, decoder_name)); }

/* The numbers of a tuple; each must be at least `least` and less than `most`. */
static int *numbers_of(PyObject *tuple, int least, int most)
{
    Py_ssize_t count = PyTuple_Size(tuple);
    int *numbers = PyMem_Calloc((size_t)count + 1, sizeof(int));
    if (!numbers) PyErr_NoMemory();
    for (Py_ssize_t i = 0; numbers && i < count; i++) {
        long number = PyLong_AsLong(PyTuple_GetItem(tuple, i));
        if (!PyErr_Occurred() && (number < least || number >= most)) PyErr_SetString(PyExc_IndexError, "no such number");
        if (PyErr_Occurred()) {
            PyMem_Free(numbers);
            return NULL;
        }
        numbers[i] = (int)number;
    }
    return numbers;
}

static PyObject *make_decoder(PyObject *Py_UNUSED(module), PyObject *arguments)
{
    PyObject *names, *places, *forms, *refused, *capsule;
    const char *stream;
    Py_ssize_t size;
    Decoder *decoder = PyMem_Calloc(1, sizeof(Decoder));
    if (!decoder) return PyErr_NoMemory();
    if (!PyArg_ParseTuple(arguments, "y#O!O!O!O!iip", &stream, &size, &PyTuple_Type, &names, &PyTuple_Type, &places,
                          &PyTuple_Type, &forms, &PyTuple_Type, &refused, &decoder->time_extracted, &decoder->version,
                          &decoder->takes_nul))
        goto failed;
    decoder->count = (int)PyTuple_Size(forms);
    if (PyTuple_Size(places) != PyTuple_Size(names) || PyTuple_Size(refused) != decoder->count ||
        decoder->time_extracted >= decoder->count || decoder->version >= decoder->count) {
        PyErr_SetString(PyExc_ValueError, "a place for each name, and what is refused for each form");
        goto failed;
    }
    decoder->stream_size = size, decoder->stream = PyMem_Malloc((size_t)size + 1);
    if (!decoder->stream) {
        PyErr_NoMemory();
        goto failed;
    }
    memcpy(decoder->stream, stream, (size_t)size + 1);
    if (!take_names(&decoder->names, names)) goto failed;
    if (!(decoder->places = numbers_of(places, ABSENT, decoder->count))) goto failed;
    if (!(decoder->forms = numbers_of(forms, 0, FORMS))) goto failed;
    if (!(decoder->refused = numbers_of(refused, 0, NULLS + GAPS + 1))) goto failed;
    capsule = PyCapsule_New(decoder, decoder_name, forget_decoder);
    if (capsule) return capsule;
failed:
    free_decoder(decoder);
    return NULL;
}

typedef struct {
    Place start;
    Py_ssize_t size;
} Span;

static Outcome read_all(Decoder *decoder, const Span *spans, Py_ssize_t count, int64_t rows, struct ArrowArray **made)
{
    Column *columns = calloc((size_t)decoder->count + 1, sizeof(Column));
    Outcome outcome = columns ? DONE : FAILED;
    int64_t row = 0;
    for (int i = 0; outcome == DONE && i < decoder->count; i++)
        if (!start_column(&columns[i], decoder->forms[i], decoder->refused[i], rows)) outcome = FAILED;
    for (Py_ssize_t i = 0; outcome == DONE && i < count; i++)
        outcome = read_span(decoder, columns, &row, rows, spans[i].start, spans[i].start + spans[i].size);
    if (outcome == DONE && row != rows) outcome = NOT_PLAIN;
    if (outcome == DONE) {
        *made = array_of(columns, decoder->count, rows);
        if (!*made) outcome = FAILED;
    }
    for (int i = 0; columns && i < decoder->count; i++) free_column(&columns[i]);
    free(columns);
    return outcome;
}

static PyObject *decode(PyObject *Py_UNUSED(module), PyObject *arguments)
{
    PyObject *capsule, *list, *result = NULL;
    struct ArrowArray *made = NULL;
    Py_ssize_t rows, count;
    Outcome outcome = DONE;
    Decoder *decoder;
    Span *spans;
    if (!PyArg_ParseTuple(arguments, "OO!n", &capsule, &PyTuple_Type, &list, &rows)) return NULL;
    decoder = PyCapsule_GetPointer(capsule, decoder_name);
    if (!decoder) return NULL;
    count = PyTuple_Size(list);
    spans = PyMem_Calloc((size_t)count + 1, sizeof(Span));
    if (!spans) return PyErr_NoMemory();
    for (Py_ssize_t i = 0; i < count; i++) {
        char *start;
        if (PyBytes_AsStringAndSize(PyTuple_GetItem(list, i), &start, &spans[i].size) < 0) {
            PyMem_Free(spans);
            return NULL;
        }
        spans[i].start = (Place)start;
    }
    Py_BEGIN_ALLOW_THREADS
    outcome = read_all(decoder, spans, count, rows, &made);
    Py_END_ALLOW_THREADS
    PyMem_Free(spans);
    if (outcome == FAILED) return PyErr_NoMemory();
    if (outcome == NOT_PLAIN) Py_RETURN_NONE;
    result = PyCapsule_New(made, "arrow_array", forget_array);
    if (!result) free_array(made);
    return result;
}

static PyObject *lines_alike(PyObject *Py_UNUSED(module), PyObject *arguments)
{
    Py_buffer block;
    const char *beginning, *start, *p, *end;
    Py_ssize_t position, length, rows = 0;
    if (!PyArg_ParseTuple(arguments, "y*ny#", &block, &position, &beginning, &length)) return NULL;
    if (position < 0 || position > block.len) {
        PyBuffer_Release(&block);
        PyErr_SetString(PyExc_IndexError, "no such position");
        return NULL;
    }
    start = block.buf;
    Py_BEGIN_ALLOW_THREADS
    for (p = start + position, end = start + block.len; end - p >= length && length; rows++) {
        const char *next;
        if (memcmp(p, beginning, (size_t)length)) break;
        next = memchr(p, '\n', (size_t)(end - p));
        p = next ? next + 1 : end;
    }
    Py_END_ALLOW_THREADS
    PyBuffer_Release(&block);
    return Py_BuildValue("(nn)", (Py_ssize_t)(p - start), rows);
}

static PyMethodDef functions[] = {
    {"lines_alike", lines_alike, METH_VARARGS, "Count lines; see the stub."},
    {"decoder", make_decoder, METH_VARARGS, "Return a decoder; see the stub."},
    {"decode", decode, METH_VARARGS, "Decode lines; see the stub."},
    {NULL, NULL, 0, NULL},
};

static int add_constants(PyObject *self)
{
    static const struct { const char *name; long value; } constants[] = {
        {"TEXT", TEXT}, {"INTEGER", INTEGER}, {"DECIMAL", DECIMAL}, {"WHOLE", WHOLE}, {"BOOLEAN", BOOLEAN},
        {"DAY", DAY}, {"TIMESTAMP", TIMESTAMP}, {"RAW", RAW}, {"IGNORED", IGNORED}, {"ABSENT", ABSENT},
        {"NULLS", NULLS}, {"GAPS", GAPS},
    };
    for (size_t i = 0; i < sizeof constants / sizeof *constants; i++)
        if (PyModule_AddIntConstant(self, constants[i].name, constants[i].value) < 0) return -1;
    return 0;
}

static PyModuleDef_Slot slots[] = {{Py_mod_exec, (void *)add_constants}, {0, NULL}};

static struct PyModuleDef module = {
    PyModuleDef_HEAD_INIT, "_decode", "RECORD lines to Arrow columns.", 0, functions, slots, NULL, NULL, NULL,
};

PyMODINIT_FUNC PyInit__decode(void) { return PyModuleDef_Init(&module); }
