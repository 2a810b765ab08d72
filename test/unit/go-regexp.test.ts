import assert from "node:assert/strict";
import { test } from "node:test";
import { goRegExp } from "../../src/base/go-regexp.ts";

/** Pattern, a text that it matches, one that it does not: as Go 1.24 says. */
const matched: readonly (readonly [pattern: string, yes: string, no: string])[] = [
  ["^web-[0-9]+$", "web-12", "web-12\n"],
  ["a.b", "a\rb", "a\nb"],
  ["(?s)a.b", "a\nb", "ab"],
  ["(?m)^b$", "a\nb", "a\rb"],
  ["\\Ab\\z", "b", "a\nb"],
  ["(?i)L1", "l1", "l2"],
  ["a(?i)b|C", "c", "AB"],
  ["(?i:a)b", "Ab", "aB"],
  ["(?P<n>l)(?<m>1)", "l1", "n1"],
  ["[[:alpha:]]1", "l1", "11"],
  ["[^[:alpha:]\\d]", "-", "a1"],
  ["\\pL2", "é2", "22"],
  ["\\p{Greek}", "α", "a"],
  ["\\P{^Greek}", "α", "a"],
  ["\\Q.*\\E+", ".***", "ab"],
  ["\\s", "\f", "\u00a0\v"],
  ["[\\S]", "\u00a0", " "],
  ["x{,2}", "x{,2}", "xx"],
  ["^*a", "ba", "b"],
  ["[a-]]", "-]", "b]"],
  ["[]a]", "]", "b"],
  ["a&&[b&&c]", "a&&&", "ab"],
  ["^.$", "😀", "😀😀"],
  ["\\x{1F600}\\101", "😀A", "A"],
];

test("go regexp: what Go matches is matched, and nothing else", () => {
  for (const [pattern, yes, no] of matched) {
    const regexp = goRegExp(pattern);
    assert.deepEqual([pattern, regexp.test(yes), regexp.test(no)], [pattern, true, false]);
  }
});

test("go regexp: what Go refuses is refused in its words", () => {
  const refused: Readonly<Record<string, string>> = {
    "(": "missing closing ): `(`",
    "a)": "unexpected ): `a)`",
    "[a": "missing closing ]: `[a`",
    "[z-a]": "invalid character class range: `z-a`",
    "[[:foo:]]": "invalid character class range: `[:foo:]`",
    "\\p{Nope}": "invalid character class range: `\\p{Nope}`",
    "*": "missing argument to repetition operator: `*`",
    "a|+?": "missing argument to repetition operator: `+?`",
    "x*+": "invalid nested repetition operator: `*+`",
    "a{2}{3}": "invalid nested repetition operator: `{2}{3}`",
    "a{1001}": "invalid repeat count: `{1001}`",
    "(?=l)": "invalid or unsupported Perl syntax: `(?=`",
    "(?<=l)": "invalid named capture: `(?<=l)`",
    "(?P<1 >l)": "invalid named capture: `(?P<1 >`",
    "\\1": "invalid escape sequence: `\\1`",
    "\\Z": "invalid escape sequence: `\\Z`",
    "a\\": "trailing backslash at end of expression: ``",
  };
  for (const [pattern, words] of Object.entries(refused)) {
    assert.throws(() => goRegExp(pattern), { message: `error parsing regexp: ${words}` });
  }
});
