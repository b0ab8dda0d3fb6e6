/* Reading JSON in place: texts, numbers and names.

   tap-hubspot-dw and target-warehouse do not depend on each other, so each has a copy of this file; a test keeps the
   copies identical. All input ends with a NUL, which is not a character of JSON, so reading stops there at the latest.
   Functions return NULL for text that is not valid JSON. */

#include <stdint.h>
#include <string.h>

typedef const unsigned char *Place;

enum { MISSING, NOTHING, STRING, TRUTH, FALSEHOOD }; /* the type of a value */
enum { PLAIN, ESCAPED, RARELY_ESCAPED };             /* the last: with escapes that no encoder has to use */

#define MOST_NESTED 100
#define WORD 8

typedef struct {
    Place start; /* behind the opening quote */
    Py_ssize_t size;
    int type, escapes;
} Value;

static Place after_space(Place p)
{
    while (*p == ' ' || *p == '\n' || *p == '\r' || *p == '\t') p++;
    return p;
}

static int is_between(unsigned char c, unsigned char first, unsigned char last) { return c >= first && c <= last; }
static int is_digit(unsigned char c) { return is_between(c, '0', '9'); }

/* Return what follows the UTF-8 sequence at p, which begins with a byte of 0x80 or more; NULL if it is invalid. */
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

/* Skip ASCII characters other than quotes, backslashes and control characters, eight bytes at a time. */
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

/* The value of four hexadecimal digits; -1 if there are not four. */
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

/* Read the text whose opening quote is at p; return what follows it, NULL if it is not valid JSON. Lone surrogates are
   detected when the text is decoded. */
static Place after_text(Place p, Place end, Value *value)
{
    value->start = ++p, value->type = STRING, value->escapes = PLAIN;
    for (;;) {
        p = after_plain(p, end);
        if (*p == '"') break;
        if (*p == '\\') {
            if (!p[1] || !strchr("\"\\/bfnrtu", p[1]) || (p[1] == 'u' && hexadecimal(p + 2) < 0)) return NULL;
            if (p[1] == 'u' || p[1] == '/') value->escapes = RARELY_ESCAPED;
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

/* Skip any value; return what follows it, NULL if it is not valid JSON or nested deeper than MOST_NESTED. */
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

/* Write the text without escapes, which takes no more room than with them; return its size, -1 if it has a lone
   surrogate. */
static Py_ssize_t unescape(const Value *value, char *out)
{
    static const char letters[] = "bfnrt", controls[] = "\b\f\n\r\t";
    static const unsigned char marks[] = {0, 0xC0, 0xE0, 0xF0};
    char *start = out;
    for (Place p = value->start, end = p + value->size; p < end;) {
        uint32_t code;
        const char *at;
        int more;
        if (*p != '\\') {
            *out++ = (char)*p++;
            continue;
        }
        if (p[1] != 'u') {
            at = strchr(letters, p[1]);
            *out++ = at ? controls[at - letters] : (char)p[1];
            p += 2;
            continue;
        }
        code = (uint32_t)hexadecimal(p + 2);
        p += 6;
        if (code >= 0xD800 && code <= 0xDFFF) { /* the first half of a surrogate pair; the second must follow */
            uint32_t low = end - p >= 6 && p[0] == '\\' && p[1] == 'u' ? (uint32_t)hexadecimal(p + 2) : 0;
            if (code > 0xDBFF || low < 0xDC00 || low > 0xDFFF) return -1;
            code = 0x10000 + ((code - 0xD800) << 10) + (low - 0xDC00);
            p += 6;
        }
        more = code < 0x80 ? 0 : code < 0x800 ? 1 : code < 0x10000 ? 2 : 3;
        *out++ = (char)(marks[more] | (code >> (6 * more)));
        while (more-- > 0) *out++ = (char)(0x80 | ((code >> (6 * more)) & 0x3F));
    }
    return out - start;
}

/* A table from names to their numbers. */

typedef struct {
    char *text;
    Py_ssize_t size;
    int next; /* the name that followed it last time: a guess */
} Name;

typedef struct {
    Name *items;
    int *table; /* by hash: a number, or -1 */
    int count;
    uint32_t mask;
} Names;

static uint32_t hash(const unsigned char *text, Py_ssize_t size)
{
    uint32_t hash = 2166136261u;
    for (Py_ssize_t i = 0; i < size; i++) hash = (hash ^ text[i]) * 16777619u;
    return hash;
}

static int is_named(const Name *name, const Value *text)
{
    return name->size == text->size && !memcmp(name->text, text->start, (size_t)text->size);
}

/* The number of a name; -1 if it is not in the table. `after` is the number of the preceding name, or -1. */
static int number_of(Names *names, int after, const Value *text)
{
    int guess = after < 0 ? 0 : names->items[after].next;
    if (is_named(&names->items[guess], text)) return guess;
    for (uint32_t i = hash(text->start, text->size);; i++) {
        int number = names->table[i & names->mask];
        if (number < 0) return -1;
        if (is_named(&names->items[number], text)) {
            if (after >= 0) names->items[after].next = number;
            return number;
        }
    }
}

static void free_names(Names *names)
{
    for (int i = 0; names->items && i < names->count; i++) PyMem_Free(names->items[i].text);
    PyMem_Free(names->items);
    PyMem_Free(names->table);
}

/* Fill the table from a tuple of bytes, at least one; return 0 and set a Python error if that fails. */
static int take_names(Names *names, PyObject *tuple)
{
    uint32_t room = 16, at;
    names->count = (int)PyTuple_Size(tuple);
    if (names->count < 1) {
        PyErr_SetString(PyExc_ValueError, "no names");
        return 0;
    }
    while (room < 4 * (uint32_t)names->count) room *= 2;
    names->mask = room - 1;
    names->items = PyMem_Calloc((size_t)names->count, sizeof(Name));
    names->table = PyMem_Malloc(room * sizeof(int));
    if (!names->items || !names->table) {
        PyErr_NoMemory();
        return 0;
    }
    for (at = 0; at < room; at++) names->table[at] = -1;
    for (int i = 0; i < names->count; i++) {
        Name *name = &names->items[i];
        char *text;
        if (PyBytes_AsStringAndSize(PyTuple_GetItem(tuple, i), &text, &name->size) < 0) return 0;
        name->text = PyMem_Malloc((size_t)name->size + 1);
        if (!name->text) {
            PyErr_NoMemory();
            return 0;
        }
        memcpy(name->text, text, (size_t)name->size + 1);
        name->next = i + 1 < names->count ? i + 1 : 0;
        for (at = hash((Place)text, name->size); names->table[at & names->mask] >= 0; at++) continue;
        names->table[at & names->mask] = i;
    }
    return 1;
}

/* Numbers and days in dates. */

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
