/* JSON as the runtime's users read it: one line, or indented. */
#include <stdio.h>

#include "container.h"

static void new_line(const char *indent, int depth)
{
    (void)putchar('\n');
    for (int i = 0; i < depth; i++)
        (void)fputs(indent, stdout);
}

/* The writer's text is valid JSON, so brackets and commas outside of strings are all there is to see. */
void print_json(const struct json_writer *w, const char *indent)
{
    bool in_string = false;
    int depth = 0;
    for (size_t i = 0; i < w->length; i++) {
        char c = w->text[i];
        if (in_string || !indent) {
            (void)putchar(c);
            if (c == '\\' && in_string && i + 1 < w->length)
                (void)putchar(w->text[++i]);
            else if (c == '"')
                in_string = !in_string;
            continue;
        }
        bool is_empty = i + 1 < w->length && (c == '{' || c == '[') && (w->text[i + 1] == '}' || w->text[i + 1] == ']');
        if (c == '}' || c == ']')
            new_line(indent, --depth);
        (void)putchar(c);
        if (is_empty)
            (void)putchar(w->text[++i]);
        else if (c == '{' || c == '[')
            new_line(indent, ++depth);
        else if (c == ',')
            new_line(indent, depth);
        else if (c == ':')
            (void)putchar(' ');
        in_string = c == '"';
    }
}
