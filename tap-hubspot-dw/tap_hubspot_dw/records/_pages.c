/* The fast path: from HubSpot's reply directly to the JSON of records.

   This does on bytes what `page_decoder` and `full_records` do on Python objects, for the forms that nearly all
   replies have. It makes no decisions of its own: a value that is not plain goes to a converter in Python, and for a
   reply that is not plain `read` returns None, so that the caller takes the slow path. Both paths give the same bytes.

   Between two calls only guesses are kept: which property follows which. */

#define PY_SSIZE_T_CLEAN
#define Py_LIMITED_API 0x030B0000
#include <Python.h>
#include "json_text.h"

enum { TEXT, NUMBER, BOOLEAN, DATE, DATE_TIME, INVALID }; /* column types; exported */
typedef enum { FAILED = -1, NOT_PLAIN = 0, DONE = 1 } Outcome; /* FAILED: a Python error is set */

/* Read null, true, false or text; return what follows, NULL for anything else. */
static Place after_scalar(Place p, Place end, Value *value)
{
    *value = (Value){0};
    switch (*p) {
    case '"': return after_text(p, end, value);
    case 'n': value->type = NOTHING; return after_word(p, "null");
    case 't': value->type = TRUTH; return after_word(p, "true");
    case 'f': value->type = FALSEHOOD; return after_word(p, "false");
    default: return NULL;
    }
}

/* A growing byte buffer. */

typedef struct {
    char *bytes;
    size_t size, room;
} Buffer;

static int make_room(Buffer *buffer, size_t more)
{
    if (buffer->room - buffer->size < more) {
        size_t room = 2 * (buffer->size + more) + 4096;
        char *bytes = PyMem_Realloc(buffer->bytes, room);
        if (!bytes) {
            PyErr_NoMemory();
            return 0;
        }
        buffer->bytes = bytes, buffer->room = room;
    }
    return 1;
}

static int put(Buffer *buffer, const void *bytes, size_t size)
{
    if (!make_room(buffer, size)) return 0;
    memcpy(buffer->bytes + buffer->size, bytes, size);
    buffer->size += size;
    return 1;
}

static int put_word(Buffer *buffer, const char *word) { return put(buffer, word, strlen(word)); }

/* A reader: the properties to read and the columns to write. */

typedef struct {
    int property, type;
    char *key; /* `,"column":` */
    size_t key_size;
} Column;

typedef struct {
    Names properties;
    Column *columns;
    int column_count, merged;
    PyObject *convert; /* (type, text) -> bytes, or ValueError */
} Reader;

static const char reader_name[] = "tap_hubspot_dw.records._pages.reader";

static void free_reader(Reader *reader)
{
    for (int i = 0; reader->columns && i < reader->column_count; i++) PyMem_Free(reader->columns[i].key);
    PyMem_Free(reader->columns);
    free_names(&reader->properties);
    Py_XDECREF(reader->convert);
    PyMem_Free(reader);
}

static void forget(PyObject *capsule) { free_reader(PyCapsule_GetPointer(capsule, reader_name)); }

static int take_columns(Reader *reader, PyObject *columns)
{
    reader->column_count = (int)PyTuple_Size(columns);
    reader->columns = PyMem_Calloc((size_t)reader->column_count + 1, sizeof(Column));
    for (int i = 0; reader->columns && i < reader->column_count; i++) {
        Column *column = &reader->columns[i];
        Py_ssize_t size;
        char *key;
        if (!PyArg_ParseTuple(PyTuple_GetItem(columns, i), "iiy#", &column->property, &column->type, &key, &size))
            return 0;
        if (column->property < 0 || column->property >= reader->properties.count) {
            PyErr_SetString(PyExc_IndexError, "a column without a property");
            return 0;
        }
        column->key_size = (size_t)size, column->key = PyMem_Malloc((size_t)size + 1);
        if (!column->key) break;
        memcpy(column->key, key, (size_t)size + 1);
    }
    if (reader->columns && (!reader->column_count || reader->columns[reader->column_count - 1].key)) return 1;
    PyErr_NoMemory();
    return 0;
}

static PyObject *make_reader(PyObject *Py_UNUSED(module), PyObject *arguments)
{
    PyObject *names, *columns, *convert, *capsule;
    int merged;
    Reader *reader;
    if (!PyArg_ParseTuple(arguments, "O!O!iO", &PyTuple_Type, &names, &PyTuple_Type, &columns, &merged, &convert))
        return NULL;
    reader = PyMem_Calloc(1, sizeof(Reader));
    if (!reader) return PyErr_NoMemory();
    reader->merged = merged;
    Py_INCREF(convert);
    reader->convert = convert;
    if (take_names(&reader->properties, names) && take_columns(reader, columns)) {
        if (merged >= 0 && merged < reader->properties.count) {
            capsule = PyCapsule_New(reader, reader_name, forget);
            if (capsule) return capsule;
        } else {
            PyErr_SetString(PyExc_IndexError, "no such property");
        }
    }
    free_reader(reader);
    return NULL;
}

/* Whether the text is a timestamp such as `2026-03-30T12:00:00Z` or `2026-03-30T12:00:00.000Z`. */
static int is_timestamp(Place p, Py_ssize_t size)
{
    if ((size != 20 && size != 24) || !is_day(p, size) || p[10] != 'T' || p[13] != ':' || p[16] != ':') return 0;
    if (!is_at_most(p + 11, 23) || !is_at_most(p + 14, 59) || !is_at_most(p + 17, 59) || p[size - 1] != 'Z') return 0;
    return size == 20 || (p[19] == '.' && number_at(p + 20, 3) >= 0);
}

/* Whether Python would write the number with exactly these characters: no superfluous sign or zero, no exponent. */
static int is_plain_number(Place p, Py_ssize_t size)
{
    Place start = p, end = p + size, point;
    int is_negative = size && *p == '-', is_zero;
    if (is_negative) p++, start++;
    while (p < end && is_digit(*p)) p++;
    if (p == start || p - start > 18) return 0;
    is_zero = *start == '0';
    if (is_zero && p - start > 1) return 0;
    if (p == end) return !(is_negative && is_zero);
    if (*p != '.') return 0;
    point = ++p;
    while (p < end && is_digit(*p)) p++;
    if (p != end || p == point || p - point > 18) return 0;
    if (!is_zero) return 1;
    for (p = point; p < end && *p == '0'; p++) continue;
    return p == end ? end - point <= 6 : p - point < 6; /* with more zeros Decimal writes an exponent */
}

static int put_text(Buffer *buffer, const Value *value)
{
    return put(buffer, value->start - 1, (size_t)value->size + 2); /* with its quotes */
}

/* The text as a Python string; NULL without an error if it has a lone surrogate. */
static PyObject *decoded(const Value *value)
{
    PyObject *text;
    Py_ssize_t size;
    Buffer buffer = {0};
    if (value->escapes == PLAIN) return PyUnicode_DecodeUTF8((const char *)value->start, value->size, "strict");
    if (!make_room(&buffer, (size_t)value->size)) return NULL;
    size = unescape(value, buffer.bytes);
    text = size < 0 ? NULL : PyUnicode_DecodeUTF8(buffer.bytes, size, "strict");
    PyMem_Free(buffer.bytes);
    return text;
}

/* Write the result of the Python converter; if it raises ValueError, write null and keep the text in `invalid`. */
static Outcome put_converted(Reader *reader, Buffer *buffer, int type, PyObject *argument, const char *name,
                             PyObject **invalid)
{
    PyObject *made = PyObject_CallFunction(reader->convert, "iO", type, argument);
    char *bytes;
    Py_ssize_t size;
    int done;
    if (made) {
        done = PyBytes_AsStringAndSize(made, &bytes, &size) == 0 && put(buffer, bytes, (size_t)size);
        Py_DECREF(made);
        return done ? DONE : FAILED;
    }
    if (!PyErr_ExceptionMatches(PyExc_ValueError)) return FAILED;
    PyErr_Clear();
    if (!*invalid && !(*invalid = PyDict_New())) return FAILED;
    if (PyDict_SetItemString(*invalid, name, argument) < 0) return FAILED;
    return put_word(buffer, "null") ? DONE : FAILED;
}

static Outcome put_value(Reader *reader, Buffer *buffer, int type, const Value *value, const char *name,
                         PyObject **invalid)
{
    PyObject *text;
    Outcome outcome;
    int written = -1; /* not plain */
    if (value->type == MISSING || value->type == NOTHING) return put_word(buffer, "null") ? DONE : FAILED;
    if (value->type != STRING) return NOT_PLAIN;
    if (type == TEXT) {
        if (value->escapes != RARELY_ESCAPED) written = put_text(buffer, value);
    } else if (value->size == 0) {
        written = put_word(buffer, "null");
    } else if (type == NUMBER) {
        if (is_plain_number(value->start, value->size)) written = put(buffer, value->start, (size_t)value->size);
    } else if (type == BOOLEAN) {
        int is_true = value->size == 4 && !memcmp(value->start, "true", 4);
        if (is_true || (value->size == 5 && !memcmp(value->start, "false", 5)))
            written = put(buffer, value->start, (size_t)value->size);
    } else if (type == DATE) {
        if (value->size == 10 && is_day(value->start, value->size)) written = put_text(buffer, value);
    } else if (is_timestamp(value->start, value->size)) {
        if (value->size == 24) written = put_text(buffer, value);
        else written = put(buffer, value->start - 1, 20) && put_word(buffer, ".000Z\"");
    }
    if (written >= 0) return written ? DONE : FAILED;
    text = decoded(value);
    if (!text) return PyErr_Occurred() ? FAILED : NOT_PLAIN;
    outcome = put_converted(reader, buffer, type, text, name, invalid);
    Py_DECREF(text);
    return outcome;
}

/* Objects. */

enum { ID, CREATED_AT, UPDATED_AT, ARCHIVED, ARCHIVED_AT, URL, FIELDS };
static const char *const field_names[FIELDS] = {"id", "createdAt", "updatedAt", "archived", "archivedAt", "url"};

/* The state of one call, not of the reader: a converter in Python may let another thread call `read`. */
typedef struct {
    Reader *reader;
    Place end;
    Value *values; /* of the properties */
    Value fields[FIELDS];
    int has_properties;
    Buffer head, body;
} Work;

static Place after_properties(Work *work, Place p)
{
    Value name, value;
    int before = -1;
    if (*p != '{') return NULL;
    p = after_space(p + 1);
    if (*p == '}') return p + 1;
    for (;;) {
        int number;
        if (*p != '"' || !(p = after_text(p, work->end, &name)) || name.escapes != PLAIN) return NULL;
        p = after_space(p);
        if (*p != ':') return NULL;
        p = after_space(p + 1);
        number = number_of(&work->reader->properties, before, &name);
        if (number < 0) {
            p = after_value(p, work->end, 0);
        } else {
            before = number;
            p = after_scalar(p, work->end, &value);
            if (p && value.type != STRING && value.type != NOTHING) return NULL;
            work->values[number] = value;
        }
        if (!p) return NULL;
        p = after_space(p);
        if (*p == '}') return p + 1;
        if (*p != ',') return NULL;
        p = after_space(p + 1);
    }
}

static Place after_object(Work *work, Place p)
{
    Value name;
    memset(work->values, 0, (size_t)work->reader->properties.count * sizeof(Value));
    memset(work->fields, 0, sizeof work->fields);
    work->has_properties = 0;
    if (*p != '{') return NULL;
    p = after_space(p + 1);
    if (*p == '}') return p + 1;
    for (;;) {
        int i = 0;
        if (*p != '"' || !(p = after_text(p, work->end, &name)) || name.escapes != PLAIN) return NULL;
        p = after_space(p);
        if (*p != ':') return NULL;
        p = after_space(p + 1);
        if (name.size == 10 && !memcmp(name.start, "properties", 10)) {
            memset(work->values, 0, (size_t)work->reader->properties.count * sizeof(Value));
            p = after_properties(work, p);
            work->has_properties = 1;
        } else {
            while (i < FIELDS && ((size_t)name.size != strlen(field_names[i]) ||
                                memcmp(name.start, field_names[i], (size_t)name.size)))
                i++;
            p = i < FIELDS ? after_scalar(p, work->end, &work->fields[i]) : after_value(p, work->end, 0);
        }
        if (!p) return NULL;
        p = after_space(p);
        if (*p == '}') return p + 1;
        if (*p != ',') return NULL;
        p = after_space(p + 1);
    }
}

static PyObject *text_or_none(const Value *value)
{
    if (value->type == STRING) return decoded(value);
    Py_RETURN_NONE;
}

/* The text between the quotes written from `start` on; None if null was written. */
static PyObject *written_text(const Buffer *buffer, size_t start)
{
    if (buffer->bytes[start] != '"') Py_RETURN_NONE;
    return PyUnicode_DecodeUTF8(buffer->bytes + start + 1, (Py_ssize_t)(buffer->size - start) - 2, "strict");
}

static Outcome put_columns(Work *work, PyObject **invalid)
{
    Reader *reader = work->reader;
    for (int i = 0; i < reader->column_count; i++) {
        Column *column = &reader->columns[i];
        const char *name = reader->properties.items[column->property].text;
        Outcome outcome;
        if (!put(&work->body, column->key, column->key_size)) return FAILED;
        outcome = put_value(reader, &work->body, column->type, &work->values[column->property], name, invalid);
        if (outcome != DONE) return outcome;
    }
    return DONE;
}

/* Values of an object that are returned beside its JSON. */
typedef struct {
    PyObject *created, *updated, *invalid;
} Extras;

/* Write a timestamp; set `*text` to its text or None. */
static Outcome put_timestamp(Work *work, int which, PyObject **text, Extras *extras)
{
    Buffer *head = &work->head;
    size_t start = head->size;
    Outcome outcome =
        put_value(work->reader, head, DATE_TIME, &work->fields[which], field_names[which], &extras->invalid);
    if (outcome != DONE) return outcome;
    *text = written_text(head, start);
    return *text ? DONE : FAILED;
}

static Outcome put_invalid(Work *work, PyObject *invalid)
{
    PyObject *none = NULL;
    Outcome outcome;
    if (!invalid) return put_word(&work->head, "null") ? DONE : FAILED;
    outcome = put_converted(work->reader, &work->head, INVALID, invalid, "", &none);
    Py_XDECREF(none);
    return outcome;
}

/* Write the current object's columns to `body`, and the fields before them to `head`. */
static Outcome put_record(Work *work, Extras *extras)
{
    Buffer *head = &work->head;
    Value *values = work->fields;
    const char *archived = values[ARCHIVED].type == TRUTH ? ",\"archived\":true" : ",\"archived\":false";
    Outcome outcome;
    head->size = work->body.size = 0;
    if (!work->has_properties) return NOT_PLAIN; /* missing properties are not the same as empty ones */
    if (values[ID].type != STRING || values[ID].escapes != PLAIN || values[ARCHIVED].type == STRING) return NOT_PLAIN;
    if (values[ARCHIVED_AT].type == TRUTH || values[ARCHIVED_AT].type == FALSEHOOD) return NOT_PLAIN;
    if (!put_word(head, "{\"id\":") || !put_text(head, &values[ID])) return FAILED;
    if (!put_word(head, ",\"created_at\":")) return FAILED;
    if ((outcome = put_timestamp(work, CREATED_AT, &extras->created, extras)) != DONE) return outcome;
    if (!put_word(head, ",\"updated_at\":")) return FAILED;
    if ((outcome = put_timestamp(work, UPDATED_AT, &extras->updated, extras)) != DONE) return outcome;
    if ((outcome = put_columns(work, &extras->invalid)) != DONE) return outcome;
    if (!put_word(head, archived) || !put_word(head, ",\"archived_at\":null,\"merged_into_id\":null,\"url\":"))
        return FAILED;
    outcome = put_value(work->reader, head, TEXT, &values[URL], field_names[URL], &extras->invalid);
    if (outcome != DONE) return outcome;
    if (!put_word(head, ",\"invalid_properties\":")) return FAILED;
    if ((outcome = put_invalid(work, extras->invalid)) != DONE) return outcome;
    return put_word(head, ",\"_sdc_deleted_at\":null") && put_word(&work->body, "}") ? DONE : FAILED;
}

static PyObject *json_of(const Work *work)
{
    size_t head = work->head.size, body = work->body.size;
    PyObject *json = PyBytes_FromStringAndSize(NULL, (Py_ssize_t)(head + body));
    char *bytes = json ? PyBytes_AsString(json) : NULL;
    if (bytes) {
        memcpy(bytes, work->head.bytes, head);
        memcpy(bytes + head, work->body.bytes, body);
    }
    return json;
}

/* Write the current object; set `*made` to the tuple that `read` returns for it. */
static Outcome write_object(Work *work, PyObject **made)
{
    Extras extras = {0};
    Outcome outcome = put_record(work, &extras);
    if (outcome == DONE) {
        const Value *merged = &work->values[work->reader->merged];
        PyObject *parts[] = {
            decoded(&work->fields[ID]), text_or_none(merged), json_of(work),
            text_or_none(&work->fields[UPDATED_AT]), text_or_none(&work->fields[ARCHIVED_AT]),
        };
        if (parts[0] && parts[1] && parts[2] && parts[3] && parts[4])
            *made = Py_BuildValue("(OOOOOOOO)", parts[0], extras.created, extras.updated,
                                  extras.invalid ? extras.invalid : Py_None, parts[1], parts[2], parts[3], parts[4]);
        outcome = *made ? DONE : PyErr_Occurred() ? FAILED : NOT_PLAIN;
        for (int i = 0; i < 5; i++) Py_XDECREF(parts[i]);
    }
    Py_XDECREF(extras.created);
    Py_XDECREF(extras.updated);
    Py_XDECREF(extras.invalid);
    return outcome;
}

/* Read the list of objects at `*p`, and move `*p` behind it. */
static Outcome read_objects(Work *work, Place *p, PyObject *objects)
{
    if (**p != '[') return NOT_PLAIN;
    *p = after_space(*p + 1);
    if (**p == ']') {
        ++*p;
        return DONE;
    }
    for (;;) {
        PyObject *made = NULL;
        Outcome outcome;
        int failed;
        *p = after_object(work, *p);
        if (!*p) return NOT_PLAIN;
        outcome = write_object(work, &made);
        if (outcome != DONE) return outcome;
        failed = PyList_Append(objects, made) < 0;
        Py_DECREF(made);
        if (failed) return FAILED;
        *p = after_space(*p);
        if (**p == ']') {
            ++*p;
            return DONE;
        }
        if (**p != ',') return NOT_PLAIN;
        *p = after_space(*p + 1);
    }
}

static Outcome read_reply(Work *work, Place start, PyObject *objects, Py_ssize_t *first, Py_ssize_t *last)
{
    Place p = after_space(start);
    Value name;
    int has_results = 0;
    if (*p != '{') return NOT_PLAIN;
    for (p = after_space(p + 1);; p = after_space(p + 1)) {
        if (*p != '"' || !(p = after_text(p, work->end, &name)) || name.escapes != PLAIN) return NOT_PLAIN;
        p = after_space(p);
        if (*p != ':') return NOT_PLAIN;
        p = after_space(p + 1);
        if (name.size == 7 && !memcmp(name.start, "results", 7)) {
            Outcome outcome;
            if (has_results++) return NOT_PLAIN;
            *first = p - start;
            outcome = read_objects(work, &p, objects);
            if (outcome != DONE) return outcome;
            *last = p - start;
        } else {
            p = after_value(p, work->end, 0);
            if (!p) return NOT_PLAIN;
        }
        p = after_space(p);
        if (*p == '}') break;
        if (*p != ',') return NOT_PLAIN;
    }
    return has_results && after_space(p + 1) == work->end ? DONE : NOT_PLAIN;
}

static PyObject *read_page(PyObject *Py_UNUSED(module), PyObject *arguments)
{
    PyObject *capsule, *content, *objects, *result = NULL;
    Py_ssize_t first = 0, last = 0, size;
    Outcome outcome = FAILED;
    Work work = {0};
    char *start;
    if (!PyArg_ParseTuple(arguments, "OO", &capsule, &content)) return NULL;
    work.reader = PyCapsule_GetPointer(capsule, reader_name);
    if (!work.reader || PyBytes_AsStringAndSize(content, &start, &size) < 0) return NULL;
    work.end = (Place)start + size;
    work.values = PyMem_Calloc((size_t)work.reader->properties.count, sizeof(Value));
    objects = PyList_New(0);
    if (!work.values) PyErr_NoMemory();
    else if (objects) outcome = read_reply(&work, (Place)start, objects, &first, &last);
    if (outcome == DONE) {
        result = Py_BuildValue("(Onn)", objects, first, last);
    } else if (outcome == NOT_PLAIN) {
        Py_INCREF(Py_None);
        result = Py_None;
    }
    Py_XDECREF(objects);
    PyMem_Free(work.values);
    PyMem_Free(work.head.bytes);
    PyMem_Free(work.body.bytes);
    return result;
}

static PyMethodDef functions[] = {
    {"reader", make_reader, METH_VARARGS, "Return a reader; see the stub."},
    {"read", read_page, METH_VARARGS, "Read a reply; see the stub."},
    {NULL, NULL, 0, NULL},
};

static int add_constants(PyObject *self)
{
    static const struct { const char *name; long value; } constants[] = {
        {"TEXT", TEXT}, {"NUMBER", NUMBER}, {"BOOLEAN", BOOLEAN}, {"DATE", DATE}, {"DATE_TIME", DATE_TIME},
        {"INVALID", INVALID},
    };
    for (size_t i = 0; i < sizeof constants / sizeof *constants; i++)
        if (PyModule_AddIntConstant(self, constants[i].name, constants[i].value) < 0) return -1;
    return 0;
}

static PyModuleDef_Slot slots[] = {{Py_mod_exec, (void *)add_constants}, {0, NULL}};

static struct PyModuleDef module = {
    PyModuleDef_HEAD_INIT, "_pages", "Replies with objects to the JSON of records.", 0, functions, slots, NULL, NULL, NULL,
};

PyMODINIT_FUNC PyInit__pages(void) { return PyModuleDef_Init(&module); }
