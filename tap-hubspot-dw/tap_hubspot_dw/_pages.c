/* A reply with objects, as HubSpot writes it, straight to the JSON of their records.

   What `wanted` and `records` do with Python objects, done on the bytes, for what nearly every reply consists of. It
   decides nothing of its own: a value that is not plain goes to a converter in Python, and a reply that is not plain
   is refused (None), so that the caller takes it the other way. Both ways give the same bytes.

   The input is a bytes object, which ends with a NUL beyond its length; NUL is no character of JSON, so reading stops
   there at the latest. Nothing is kept between two calls but guesses of which property follows which. */

#define PY_SSIZE_T_CLEAN
#define Py_LIMITED_API 0x030B0000
#include <Python.h>
#include <stdint.h>
#include <string.h>

typedef const unsigned char *Place;

enum { TEXT, NUMBER, BOOLEAN, DATE, DATE_TIME, INVALID }; /* kinds, as `records` numbers them */
enum { MISSING, NOTHING, STRING, TRUTH, FALSEHOOD };      /* what a value was found to be */
enum { PLAIN, ESCAPED, ODDLY_ESCAPED };                   /* the last: by escapes that our encoder would not use */
typedef enum { FAILED = -1, ODD = 0, DONE = 1 } Outcome;  /* FAILED: a Python error is set */

#define MOST_NESTED 100
#define WORD 8

/* Text of JSON. */

typedef struct {
    Place start; /* behind the opening quote */
    Py_ssize_t size;
    int found, escapes;
} Value;

static Place after_space(Place p)
{
    while (*p == ' ' || *p == '\n' || *p == '\r' || *p == '\t') p++;
    return p;
}

static int is_between(unsigned char c, unsigned char first, unsigned char last) { return c >= first && c <= last; }
static int is_digit(unsigned char c) { return is_between(c, '0', '9'); }

/* What follows the UTF-8 sequence at p, which begins with a byte of 0x80 or more; NULL if it is none. */
static Place after_sequence(Place p)
{
    unsigned char first = p[0], least = 0x80, most = 0xBF;
    int more;
    if (is_between(first, 0xC2, 0xDF)) more = 1;
    else if (is_between(first, 0xE0, 0xEF)) more = 2;
    else if (is_between(first, 0xF0, 0xF4)) more = 3;
    else return NULL;
    if (first == 0xE0) least = 0xA0;
    if (first == 0xED) most = 0x9F;
    if (first == 0xF0) least = 0x90;
    if (first == 0xF4) most = 0x8F;
    for (p++; more > 0; more--, p++) {
        if (!is_between(*p, least, most)) return NULL;
        least = 0x80, most = 0xBF;
    }
    return p;
}

/* Skip what is neither quote, backslash, control character nor beyond ASCII, eight bytes at a time. */
static Place after_plain(Place p, Place end)
{
#if defined(__BYTE_ORDER__) && __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
    const uint64_t ones = 0x0101010101010101u, highs = 0x8080808080808080u;
    while (end - p >= WORD) {
        uint64_t word, quote, slash, special;
        memcpy(&word, p, WORD);
        quote = word ^ (ones * '"'), slash = word ^ (ones * '\\');
        special = (((quote - ones) & ~quote) | ((slash - ones) & ~slash) | ((word - ones * 0x20) & ~word) | word) & highs;
        if (special) return p + (__builtin_ctzll(special) >> 3);
        p += WORD;
    }
#endif
    return p;
}

/* The number of four hexadecimal digits, -1 if they are not there. */
static int hexadecimal(Place p)
{
    int number = 0;
    for (Place end = p + 4; p < end; p++) {
        unsigned char lower = *p | 0x20;
        if (is_digit(*p)) number = 16 * number + (*p - '0');
        else if (is_between(lower, 'a', 'f')) number = 16 * number + (lower - 'a' + 10);
        else return -1;
    }
    return number;
}

/* Read the text whose opening quote is at p; what follows it, NULL if it is not as JSON has it. Half a surrogate pair
   is found where the text is decoded. */
static Place after_text(Place p, Place end, Value *value)
{
    value->start = ++p, value->found = STRING, value->escapes = PLAIN;
    for (;;) {
        p = after_plain(p, end);
        if (*p == '"') break;
        if (*p == '\\') {
            if (!p[1] || !strchr("\"\\/bfnrtu", p[1]) || (p[1] == 'u' && hexadecimal(p + 2) < 0)) return NULL;
            if (p[1] == 'u' || p[1] == '/') value->escapes = ODDLY_ESCAPED;
            else if (value->escapes == PLAIN) value->escapes = ESCAPED;
            p += 2;
        } else if (*p >= 0x80) {
            p = after_sequence(p);
            if (!p) return NULL;
        } else if (*p < 0x20) {
            return NULL;
        } else {
            p++;
        }
    }
    value->size = p - value->start;
    return p + 1;
}

static Place after_word(Place p, const char *word)
{
    for (; *word; word++, p++)
        if (*p != (unsigned char)*word) return NULL;
    return p;
}

static Place after_digits(Place p)
{
    if (!is_digit(*p)) return NULL;
    while (is_digit(*p)) p++;
    return p;
}

static Place after_number(Place p)
{
    if (*p == '-') p++;
    p = *p == '0' ? p + 1 : after_digits(p);
    if (p && *p == '.') p = after_digits(p + 1);
    if (p && (*p == 'e' || *p == 'E')) {
        p++;
        if (*p == '+' || *p == '-') p++;
        p = after_digits(p);
    }
    return p;
}

/* Skip any value; what follows it, NULL if it is not as JSON has it, or nested too deeply to be looked at. */
static Place after_value(Place p, Place end, int nested)
{
    Value text;
    unsigned char open = *p, close = open == '{' ? '}' : ']';
    switch (open) {
    case '"': return after_text(p, end, &text);
    case 't': return after_word(p, "true");
    case 'f': return after_word(p, "false");
    case 'n': return after_word(p, "null");
    case '{':
    case '[': break;
    default: return after_number(p);
    }
    if (nested >= MOST_NESTED) return NULL;
    p = after_space(p + 1);
    if (*p == close) return p + 1;
    for (;;) {
        if (open == '{') {
            if (*p != '"' || !(p = after_text(p, end, &text))) return NULL;
            p = after_space(p);
            if (*p != ':') return NULL;
            p = after_space(p + 1);
        }
        p = after_value(p, end, nested + 1);
        if (!p) return NULL;
        p = after_space(p);
        if (*p == close) return p + 1;
        if (*p != ',') return NULL;
        p = after_space(p + 1);
    }
}

/* Read null, true, false or text; ODD for all others. */
static Place after_scalar(Place p, Place end, Value *value)
{
    *value = (Value){0};
    switch (*p) {
    case '"': return after_text(p, end, value);
    case 'n': value->found = NOTHING; return after_word(p, "null");
    case 't': value->found = TRUTH; return after_word(p, "true");
    case 'f': value->found = FALSEHOOD; return after_word(p, "false");
    default: return NULL;
    }
}

/* Bytes that grow. */

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

/* A reader: the wanted properties and the columns that they go to. */

typedef struct {
    char *name;
    Py_ssize_t size;
    int next; /* which one followed it the last time */
} Property;

typedef struct {
    int property, kind;
    char *key; /* `,"column":` */
    size_t key_size;
} Column;

typedef struct {
    Property *properties;
    Column *columns;
    int *table; /* of hashes: the number of a property, or -1 */
    int count, column_count, merged;
    uint32_t mask;
    PyObject *convert; /* (kind, text) -> bytes, or ValueError */
} Reader;

static const char reader_name[] = "tap_hubspot_dw._pages.reader";

static uint32_t hash(const char *name, Py_ssize_t size)
{
    uint32_t hash = 2166136261u;
    for (Py_ssize_t i = 0; i < size; i++) hash = (hash ^ (unsigned char)name[i]) * 16777619u;
    return hash;
}

static int is_named(const Property *property, const Value *name)
{
    return property->size == name->size && !memcmp(property->name, name->start, (size_t)name->size);
}

/* The number of a property, -1 if it is not wanted. `after` is the one that came before it. */
static int find(Reader *reader, int after, const Value *name)
{
    int guess = after < 0 ? 0 : reader->properties[after].next;
    if (is_named(&reader->properties[guess], name)) return guess;
    for (uint32_t i = hash((const char *)name->start, name->size);; i++) {
        int number = reader->table[i & reader->mask];
        if (number < 0) return -1;
        if (is_named(&reader->properties[number], name)) {
            if (after >= 0) reader->properties[after].next = number;
            return number;
        }
    }
}

static void free_reader(Reader *reader)
{
    for (int i = 0; reader->properties && i < reader->count; i++) PyMem_Free(reader->properties[i].name);
    for (int i = 0; reader->columns && i < reader->column_count; i++) PyMem_Free(reader->columns[i].key);
    PyMem_Free(reader->properties);
    PyMem_Free(reader->columns);
    PyMem_Free(reader->table);
    Py_XDECREF(reader->convert);
    PyMem_Free(reader);
}

static void forget(PyObject *capsule) { free_reader(PyCapsule_GetPointer(capsule, reader_name)); }

static char *copy(const char *bytes, Py_ssize_t size)
{
    char *made = PyMem_Malloc((size_t)size + 1);
    if (!made) PyErr_NoMemory();
    else memcpy(made, bytes, (size_t)size + 1);
    return made;
}

static int set_up(Reader *reader, PyObject *names, PyObject *columns)
{
    uint32_t room = 16;
    Py_ssize_t size;
    char *bytes;
    while (room < 4 * (uint32_t)reader->count) room *= 2;
    reader->mask = room - 1;
    reader->properties = PyMem_Calloc((size_t)reader->count, sizeof(Property));
    reader->columns = PyMem_Calloc((size_t)reader->column_count + 1, sizeof(Column));
    reader->table = PyMem_Malloc(room * sizeof(int));
    if (!reader->properties || !reader->columns || !reader->table) {
        PyErr_NoMemory();
        return 0;
    }
    for (uint32_t i = 0; i < room; i++) reader->table[i] = -1;
    for (int i = 0; i < reader->count; i++) {
        Property *property = &reader->properties[i];
        uint32_t at;
        if (PyBytes_AsStringAndSize(PyTuple_GetItem(names, i), &bytes, &property->size) < 0) return 0;
        property->name = copy(bytes, property->size);
        if (!property->name) return 0;
        property->next = i + 1 < reader->count ? i + 1 : 0;
        for (at = hash(bytes, property->size); reader->table[at & reader->mask] >= 0; at++) continue;
        reader->table[at & reader->mask] = i;
    }
    for (int i = 0; i < reader->column_count; i++) {
        Column *column = &reader->columns[i];
        if (!PyArg_ParseTuple(PyTuple_GetItem(columns, i), "iiy#", &column->property, &column->kind, &bytes, &size))
            return 0;
        if (column->property < 0 || column->property >= reader->count) {
            PyErr_SetString(PyExc_IndexError, "a column of no property");
            return 0;
        }
        column->key = copy(bytes, size), column->key_size = (size_t)size;
        if (!column->key) return 0;
    }
    return 1;
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
    reader->count = (int)PyTuple_Size(names), reader->column_count = (int)PyTuple_Size(columns);
    reader->merged = merged;
    Py_INCREF(convert);
    reader->convert = convert;
    if (merged < 0 || merged >= reader->count) {
        PyErr_SetString(PyExc_IndexError, "no such property");
    } else if (set_up(reader, names, columns)) {
        capsule = PyCapsule_New(reader, reader_name, forget);
        if (capsule) return capsule;
    }
    free_reader(reader);
    return NULL;
}

/* Values that are written as they are. */

static int number_at(Place p, int digits)
{
    int number = 0;
    for (; digits > 0; digits--, p++) {
        if (!is_digit(*p)) return -1;
        number = 10 * number + (*p - '0');
    }
    return number;
}

static int is_day(Place p, Py_ssize_t size)
{
    static const char days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    int year, month, day, is_leap;
    if (size < 10 || p[4] != '-' || p[7] != '-') return 0;
    year = number_at(p, 4), month = number_at(p + 5, 2), day = number_at(p + 8, 2);
    if (year < 1 || month < 1 || month > 12 || day < 1) return 0;
    is_leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
    return day <= days[month - 1] + (month == 2 && is_leap);
}

static int is_at_most(Place p, int most)
{
    int number = number_at(p, 2);
    return number >= 0 && number <= most;
}

/* Whether it is a moment as `2026-03-30T12:00:00` with `Z` or `.000Z` behind it. */
static int is_moment(Place p, Py_ssize_t size)
{
    if ((size != 20 && size != 24) || !is_day(p, size) || p[10] != 'T' || p[13] != ':' || p[16] != ':') return 0;
    if (!is_at_most(p + 11, 23) || !is_at_most(p + 14, 59) || !is_at_most(p + 17, 59) || p[size - 1] != 'Z') return 0;
    return size == 20 || (p[19] == '.' && number_at(p + 20, 3) >= 0);
}

/* Whether a number in Python would be written with just these characters: no sign or nought too many, no exponent. */
static int is_plain_number(Place p, Py_ssize_t size)
{
    Place start = p, end = p + size, point;
    int is_negative = size && *p == '-', is_nought;
    if (is_negative) p++, start++;
    while (p < end && is_digit(*p)) p++;
    if (p == start || p - start > 18) return 0;
    is_nought = *start == '0';
    if (is_nought && p - start > 1) return 0;
    if (p == end) return !(is_negative && is_nought);
    if (*p != '.') return 0;
    point = ++p;
    while (p < end && is_digit(*p)) p++;
    if (p != end || p == point || p - point > 18) return 0;
    if (!is_nought) return 1;
    for (p = point; p < end && *p == '0'; p++) continue;
    return p == end ? end - point <= 6 : p - point < 6; /* beyond, Decimal writes an exponent */
}

static int put_text(Buffer *buffer, const Value *value)
{
    return put(buffer, value->start - 1, (size_t)value->size + 2); /* with its quotes */
}

/* The text as Python has it; NULL and no error if it holds half a surrogate pair. */
static PyObject *decoded(const Value *value)
{
    PyObject *text;
    Py_ssize_t i = 0, end = value->size;
    Buffer buffer = {0};
    if (value->escapes == PLAIN) return PyUnicode_DecodeUTF8((const char *)value->start, value->size, "strict");
    if (!make_room(&buffer, (size_t)value->size + 4)) return NULL; /* no escape is shorter than what it stands for */
    while (i < end) {
        unsigned char c = value->start[i++];
        uint32_t code;
        if (c != '\\') {
            buffer.bytes[buffer.size++] = (char)c;
            continue;
        }
        c = value->start[i++];
        if (c != 'u') {
            static const char from[] = "bfnrt", to[] = "\b\f\n\r\t";
            const char *at = strchr(from, c);
            buffer.bytes[buffer.size++] = at ? to[at - from] : (char)c;
            continue;
        }
        code = (uint32_t)hexadecimal(value->start + i);
        i += 4;
        if (code >= 0xD800 && code <= 0xDFFF) { /* the first half of a pair: the second has to follow */
            uint32_t low = 0;
            if (end - i >= 6 && value->start[i] == '\\' && value->start[i + 1] == 'u')
                low = (uint32_t)hexadecimal(value->start + i + 2);
            if (code > 0xDBFF || low < 0xDC00 || low > 0xDFFF) {
                PyMem_Free(buffer.bytes);
                return NULL;
            }
            code = 0x10000 + ((code - 0xD800) << 10) + (low - 0xDC00);
            i += 6;
        }
        if (code < 0x80) {
            buffer.bytes[buffer.size++] = (char)code;
        } else {
            int more = code < 0x800 ? 1 : code < 0x10000 ? 2 : 3;
            static const unsigned char marks[] = {0, 0xC0, 0xE0, 0xF0};
            buffer.bytes[buffer.size++] = (char)(marks[more] | (code >> (6 * more)));
            while (more-- > 0) buffer.bytes[buffer.size++] = (char)(0x80 | ((code >> (6 * more)) & 0x3F));
        }
    }
    text = PyUnicode_DecodeUTF8(buffer.bytes, (Py_ssize_t)buffer.size, "strict");
    PyMem_Free(buffer.bytes);
    return text;
}

/* Write what Python makes of a value; null if nothing, and then its text goes to `invalid`. */
static Outcome put_converted(Reader *reader, Buffer *buffer, int kind, PyObject *argument, const char *name,
                             PyObject **invalid)
{
    PyObject *made = PyObject_CallFunction(reader->convert, "iO", kind, argument);
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

static Outcome put_value(Reader *reader, Buffer *buffer, int kind, const Value *value, const char *name,
                         PyObject **invalid)
{
    PyObject *text;
    Outcome outcome;
    int written = -1; /* not plain */
    if (value->found == MISSING || value->found == NOTHING) return put_word(buffer, "null") ? DONE : FAILED;
    if (value->found != STRING) return ODD;
    if (kind == TEXT) {
        if (value->escapes != ODDLY_ESCAPED) written = put_text(buffer, value);
    } else if (value->size == 0) {
        written = put_word(buffer, "null");
    } else if (kind == NUMBER) {
        if (is_plain_number(value->start, value->size)) written = put(buffer, value->start, (size_t)value->size);
    } else if (kind == BOOLEAN) {
        int is_true = value->size == 4 && !memcmp(value->start, "true", 4);
        if (is_true || (value->size == 5 && !memcmp(value->start, "false", 5)))
            written = put(buffer, value->start, (size_t)value->size);
    } else if (kind == DATE) {
        if (value->size == 10 && is_day(value->start, value->size)) written = put_text(buffer, value);
    } else if (is_moment(value->start, value->size)) {
        if (value->size == 24) written = put_text(buffer, value);
        else written = put(buffer, value->start - 1, 20) && put_word(buffer, ".000Z\"");
    }
    if (written >= 0) return written ? DONE : FAILED;
    text = decoded(value);
    if (!text) return PyErr_Occurred() ? FAILED : ODD;
    outcome = put_converted(reader, buffer, kind, text, name, invalid);
    Py_DECREF(text);
    return outcome;
}

/* Objects. */

enum { ID, CREATED_AT, UPDATED_AT, ARCHIVED, ARCHIVED_AT, URL, TOLD };
static const char *const told_names[TOLD] = {"id", "createdAt", "updatedAt", "archived", "archivedAt", "url"};

/* What one call works with; a converter in Python may let another thread call in between. */
typedef struct {
    Reader *reader;
    Place end;
    Value *values; /* of the properties */
    Value told[TOLD];
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
        number = find(work->reader, before, &name);
        if (number < 0) {
            p = after_value(p, work->end, 0);
        } else {
            before = number;
            p = after_scalar(p, work->end, &value);
            if (p && value.found != STRING && value.found != NOTHING) return NULL;
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
    memset(work->values, 0, (size_t)work->reader->count * sizeof(Value));
    memset(work->told, 0, sizeof work->told);
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
            memset(work->values, 0, (size_t)work->reader->count * sizeof(Value));
            p = after_properties(work, p);
        } else {
            while (i < TOLD && ((size_t)name.size != strlen(told_names[i]) ||
                                memcmp(name.start, told_names[i], (size_t)name.size)))
                i++;
            p = i < TOLD ? after_scalar(p, work->end, &work->told[i]) : after_value(p, work->end, 0);
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
    if (value->found == STRING) return decoded(value);
    Py_RETURN_NONE;
}

/* The text between the quotes that were written from `start` on; None if null was. */
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
        const char *name = reader->properties[column->property].name;
        Outcome outcome;
        if (!put(&work->body, column->key, column->key_size)) return FAILED;
        outcome = put_value(reader, &work->body, column->kind, &work->values[column->property], name, invalid);
        if (outcome != DONE) return outcome;
    }
    return DONE;
}

/* What is told of an object beside its JSON. */
typedef struct {
    PyObject *created, *updated, *invalid;
} Told;

/* Write a moment; its text, or None, goes to `*text`. */
static Outcome put_moment(Work *work, int which, PyObject **text, Told *told)
{
    Buffer *head = &work->head;
    size_t start = head->size;
    Outcome outcome = put_value(work->reader, head, DATE_TIME, &work->told[which], told_names[which], &told->invalid);
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

/* Write the columns of the object that was read to `body`, and what stands before them to `head`. */
static Outcome put_record(Work *work, Told *told)
{
    Buffer *head = &work->head;
    Value *values = work->told;
    const char *archived = values[ARCHIVED].found == TRUTH ? ",\"archived\":true" : ",\"archived\":false";
    Outcome outcome;
    head->size = work->body.size = 0;
    if (values[ID].found != STRING || values[ID].escapes != PLAIN || values[ARCHIVED].found == STRING) return ODD;
    if (values[ARCHIVED_AT].found == TRUTH || values[ARCHIVED_AT].found == FALSEHOOD) return ODD;
    if (!put_word(head, "{\"id\":") || !put_text(head, &values[ID])) return FAILED;
    if (!put_word(head, ",\"created_at\":")) return FAILED;
    if ((outcome = put_moment(work, CREATED_AT, &told->created, told)) != DONE) return outcome;
    if (!put_word(head, ",\"updated_at\":")) return FAILED;
    if ((outcome = put_moment(work, UPDATED_AT, &told->updated, told)) != DONE) return outcome;
    if ((outcome = put_columns(work, &told->invalid)) != DONE) return outcome;
    if (!put_word(head, archived) || !put_word(head, ",\"archived_at\":null,\"merged_into_id\":null,\"url\":"))
        return FAILED;
    outcome = put_value(work->reader, head, TEXT, &values[URL], told_names[URL], &told->invalid);
    if (outcome != DONE) return outcome;
    if (!put_word(head, ",\"invalid_properties\":")) return FAILED;
    if ((outcome = put_invalid(work, told->invalid)) != DONE) return outcome;
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

/* Write the object that was read; the tuple of it that `read` promises goes to `*made`. */
static Outcome write_object(Work *work, PyObject **made)
{
    Told told = {0};
    Outcome outcome = put_record(work, &told);
    if (outcome == DONE) {
        const Value *merged = &work->values[work->reader->merged];
        PyObject *parts[] = {
            decoded(&work->told[ID]), text_or_none(merged), json_of(work),
            text_or_none(&work->told[UPDATED_AT]), text_or_none(&work->told[ARCHIVED_AT]),
        };
        if (parts[0] && parts[1] && parts[2] && parts[3] && parts[4])
            *made = Py_BuildValue("(OOOOOOOO)", parts[0], told.created, told.updated,
                                  told.invalid ? told.invalid : Py_None, parts[1], parts[2], parts[3], parts[4]);
        outcome = *made ? DONE : PyErr_Occurred() ? FAILED : ODD;
        for (int i = 0; i < 5; i++) Py_XDECREF(parts[i]);
    }
    Py_XDECREF(told.created);
    Py_XDECREF(told.updated);
    Py_XDECREF(told.invalid);
    return outcome;
}

/* Read the list of objects at p; what follows it in `*p`. */
static Outcome read_objects(Work *work, Place *p, PyObject *objects)
{
    if (**p != '[') return ODD;
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
        if (!*p) return ODD;
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
        if (**p != ',') return ODD;
        *p = after_space(*p + 1);
    }
}

static Outcome read_reply(Work *work, Place start, PyObject *objects, Py_ssize_t *first, Py_ssize_t *last)
{
    Place p = after_space(start);
    Value name;
    int has_results = 0;
    if (*p != '{') return ODD;
    for (p = after_space(p + 1);; p = after_space(p + 1)) {
        if (*p != '"' || !(p = after_text(p, work->end, &name)) || name.escapes != PLAIN) return ODD;
        p = after_space(p);
        if (*p != ':') return ODD;
        p = after_space(p + 1);
        if (name.size == 7 && !memcmp(name.start, "results", 7)) {
            Outcome outcome;
            if (has_results++) return ODD;
            *first = p - start;
            outcome = read_objects(work, &p, objects);
            if (outcome != DONE) return outcome;
            *last = p - start;
        } else {
            p = after_value(p, work->end, 0);
            if (!p) return ODD;
        }
        p = after_space(p);
        if (*p == '}') break;
        if (*p != ',') return ODD;
    }
    return has_results && after_space(p + 1) == work->end ? DONE : ODD;
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
    work.values = PyMem_Calloc((size_t)work.reader->count, sizeof(Value));
    objects = PyList_New(0);
    if (!work.values) PyErr_NoMemory();
    else if (objects) outcome = read_reply(&work, (Place)start, objects, &first, &last);
    if (outcome == DONE) {
        result = Py_BuildValue("(Onn)", objects, first, last);
    } else if (outcome == ODD) {
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

static PyModuleDef_Slot slots[] = {{0, NULL}};

static struct PyModuleDef module = {
    PyModuleDef_HEAD_INIT, "_pages", "Replies with objects to the JSON of records.", 0, functions, slots, NULL, NULL, NULL,
};

PyMODINIT_FUNC PyInit__pages(void) { return PyModuleDef_Init(&module); }
