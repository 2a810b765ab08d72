import assert from "node:assert/strict";
import { test } from "node:test";
import { narrow, parseExact, stringifyExact } from "#base/exact-json";

test("exact JSON: integers of 64 bits keep their digits both ways", () => {
  const text = '{"big":[9007199254740993,-9223372036854775808],"max":18446744073709551615,"small":[1,-2]}';
  assert.equal(stringifyExact(parseExact(text)), text);
});

test("exact JSON: what a number holds stays a number, and text with digits stays text", () => {
  assert.deepEqual(
    parseExact('{"n":[9007199254740991,1e30,1.5],"s":"[9007199254740993,","id":"1234567890123456789"}'),
    {
      n: [2 ** 53 - 1, 1e30, 1.5],
      s: "[9007199254740993,",
      id: "1234567890123456789",
    },
  );
});

test("exact JSON: an integer is a bigint only where a number would round it", () => {
  assert.equal(narrow(2n ** 53n - 1n), 2 ** 53 - 1);
  assert.equal(narrow(2n ** 53n), 2n ** 53n);
});
