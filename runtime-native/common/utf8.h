/* UTF-8, as Go's utf8.DecodeRune sees it. */
#ifndef MINIDOCK_UTF8_H
#define MINIDOCK_UTF8_H

#include <stddef.h>

/* Length of the well-formed sequence at `text` (Unicode table 3-7: no overlong forms, no surrogates, at most U+10FFFF),
 * 0 if there is none; the caller then skips one byte. `left` is at least 1. */
static inline size_t utf8_length(const char *text, size_t left)
{
    const unsigned char *at = (const unsigned char *)text;
    if (at[0] < 0x80)
        return 1;
    size_t length = 0;
    if (at[0] >= 0xc2 && at[0] <= 0xdf)
        length = 2;
    else if (at[0] >= 0xe0 && at[0] <= 0xef)
        length = 3;
    else if (at[0] >= 0xf0 && at[0] <= 0xf4)
        length = 4;
    if (length == 0 || left < length)
        return 0;
    unsigned char low = at[0] == 0xe0 ? 0xa0 : at[0] == 0xf0 ? 0x90 : 0x80;
    unsigned char high = at[0] == 0xed ? 0x9f : at[0] == 0xf4 ? 0x8f : 0xbf;
    if (at[1] < low || at[1] > high)
        return 0;
    for (size_t i = 2; i < length; i++)
        if ((at[i] & 0xc0) != 0x80)
            return 0;
    return length;
}

#endif
