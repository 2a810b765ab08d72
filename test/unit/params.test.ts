import assert from "node:assert/strict";
import { test } from "node:test";
import { isKind } from "#base/errors";
import { goQuote } from "#base/strconv";
import { Query, timestamp } from "../../src/api/params.ts";

test("params: dockerd takes every word for true but the few that say no", () => {
  for (const no of ["", "0", "no", "No", "false", "FALSE", "none", "%20false%20"])
    assert.equal(new Query(`a=${no}`).bool("a"), false, no);
  for (const yes of ["1", "true", "True", "yes", "one", "100", "off"])
    assert.equal(new Query(`a=${yes}`).bool("a"), true, yes);
  assert.equal(new Query("b=1").bool("a"), false);
  assert.equal(new Query("b=1").bool("a", true), true);
  assert.equal(new Query("a").bool("a", true), false);
});

test("params: repeated words keep their order, and + is a blank", () => {
  const query = new Query("a=1&b=x+y%2B&a=2&&c");
  assert.deepEqual(query.getAll("a"), ["1", "2"]);
  assert.equal(query.get("a"), "1");
  assert.equal(query.get("b"), "x y+");
  assert.equal(query.has("c"), true);
  assert.equal(query.get("d"), "");
});

test("params: what Go's net/url refuses is refused", () => {
  assert.throws(() => new Query("a=%zz"), { message: 'invalid URL escape "%zz"' });
  assert.throws(() => new Query("a=%4"), { message: 'invalid URL escape "%4"' });
  assert.throws(() => new Query("a=1;b=2"), { message: "invalid semicolon separator in query" });
});

test("params: a limit that is no number is strconv's error, with status 500", () => {
  const limit = (text: string) => new Query(`limit=${text}`).int("limit");
  assert.equal(limit("-5"), -5);
  assert.equal(limit(""), undefined);
  assert.throws(
    () => limit("abc"),
    (error) => isKind(error, "system") && error.message === 'strconv.Atoi: parsing "abc": invalid syntax',
  );
  assert.throws(() => limit("99999999999999999999"), {
    message: 'strconv.Atoi: parsing "99999999999999999999": value out of range',
  });
});

test("params: a terminal's height is a uint32 and must be there", () => {
  const height = (text: string) => new Query(`h=${text}`).uint32("h", "resize height");
  assert.equal(height("4294967295"), 4294967295);
  assert.throws(() => height(""), { message: 'invalid resize height "": invalid syntax' });
  assert.throws(() => height("%2B1"), { message: 'invalid resize height "+1": invalid syntax' });
  assert.throws(() => height("-1"), { message: 'invalid resize height "-1": value out of range' });
  assert.throws(() => height("4294967296"), { message: 'invalid resize height "4294967296": value out of range' });
});

test("params: points in time are seconds and nanoseconds", () => {
  assert.equal(timestamp(""), undefined);
  assert.equal(timestamp("1136073600.000000001"), 1136073600000000001n);
  assert.equal(timestamp("1.5"), 1500000000n);
  assert.equal(timestamp("1.1234567899"), 1123456789n);
  assert.throws(() => timestamp("abc"), { message: 'strconv.ParseInt: parsing "abc": invalid syntax' });
});

test("params: texts in messages are quoted as Go's %q", () => {
  assert.equal(goQuote("\u2028\ufeff\u{e0001} ~é"), '"\\u2028\\ufeff\\U000e0001 ~é"');
  assert.equal(goQuote('a"b\\\n\x01é'), '"a\\"b\\\\\\n\\x01é"');
});
