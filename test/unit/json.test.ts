import assert from "node:assert/strict";
import { test } from "node:test";
import {
  decodeJson,
  JsonEmptyError,
  JsonNumber,
  JsonObject,
  JsonSyntaxError,
  parseJson,
  unmarshalJson,
} from "../../src/base/json.ts";

/** What dockerd 28.5.2 (Go 1.27) says of each, after `invalid JSON: `. */
const refused: readonly (readonly [string, string])[] = [
  ["{", "unexpected EOF"],
  ['{"a', "unexpected EOF"],
  ['{"a":"\\u12', "unexpected EOF"],
  ["tru", "unexpected EOF"],
  ["{bad", "invalid character 'b' looking for beginning of object key string"],
  ['{"a":1,}', "invalid character '}' looking for beginning of object key string"],
  ['{"a" 1}', "invalid character '1' after object key"],
  ['{"a":1]', "invalid character ']' after object key:value pair"],
  ['{"a":01}', "invalid character '1' after object key:value pair"],
  ["[1 2]", "invalid character '2' after array element"],
  ["[1,]", "invalid character ']' looking for beginning of value"],
  ["é", "invalid character 'é' looking for beginning of value"],
  ["'", "invalid character '\\'' looking for beginning of value"],
  ["nulx", "invalid character 'x' in literal null (expecting 'l')"],
  ['{"a":fals3}', "invalid character '3' in literal false (expecting 'e')"],
  ['{"a":-}', "invalid character '}' in numeric literal"],
  ['{"a":1.}', "invalid character '}' in numeric literal"],
  ['{"a":"\\x"}', "invalid escape sequence `\\x` in string"],
  ['{"a":"\\u12g4"}', "invalid escape sequence `\\u12g4` in string"],
  ['"\x01"', "invalid character '\\x01' in string"],
];

for (const [text, message] of refused)
  test(`json: ${JSON.stringify(text)} is refused in Go's words`, () => {
    assert.throws(
      () => parseJson(text),
      (error) => error instanceof JsonSyntaxError && error.message === message,
    );
  });

test("json: white space alone is an empty body", () => {
  assert.throws(() => parseJson(" \n\t"), JsonEmptyError);
});

test("json: what follows the value is noticed, a closing bracket as Go's More() forgives it", () => {
  assert.equal(parseJson("{} x").hasMore, true);
  assert.equal(parseJson("{}{").hasMore, true);
  assert.equal(parseJson("{} \n").hasMore, false);
  assert.equal(parseJson("{}}").hasMore, false);
});

test("json: strings are unescaped, and lone surrogates replaced", () => {
  assert.equal(parseJson('"a\\n\\u00e9\\ud83d\\ude00\\/"').value, "a\né😀/");
  assert.equal(parseJson('"a\\ud800b"').value, "a\ufffdb");
});

test("json: numbers keep their text and objects their repeated keys", () => {
  const { value } = parseJson('{"a":9223372036854775807,"a":[-1.5e3,null,true]}');
  assert.ok(value instanceof JsonObject);
  const [first, second] = value.fields;
  assert.deepEqual(first, ["a", new JsonNumber("9223372036854775807")]);
  assert.deepEqual(second, ["a", [new JsonNumber("-1.5e3"), null, true]]);
});

test("json: ten thousand levels are read, one more is refused", () => {
  const nested = (levels: number) => "[".repeat(levels) + "]".repeat(levels);
  assert.doesNotThrow(() => parseJson(nested(10_000)));
  assert.throws(() => parseJson(nested(10_001)), { message: "exceeded max depth" });
});

test("json: a decoder reads one value, Unmarshal all of the text", () => {
  assert.deepEqual(decodeJson('{"a":[1]} x'), { a: [1] });
  assert.equal(unmarshalJson(" null "), null);
  const refused: readonly (readonly [string, string])[] = [
    ["", "unexpected end of JSON input"],
    ['{"a":', "unexpected end of JSON input"],
    ["{} x", "invalid character 'x' after top-level value"],
    ["<html>", "invalid character '<' looking for beginning of value"],
  ];
  for (const [text, message] of refused) assert.throws(() => unmarshalJson(text), new JsonSyntaxError(message));
});
