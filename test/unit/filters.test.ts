import assert from "node:assert/strict";
import { test } from "node:test";
import { Filters } from "../../src/engine/filters.ts";

test("filters: the map form and the list form mean the same", () => {
  for (const text of ['{"label":{"a=b":true,"c":true}}', '{"label":["a=b","c"]}']) {
    assert.deepEqual(Filters.parse(text).get("label"), ["a=b", "c"]);
  }
});

test("filters: a null in a list is an empty value, as it is to Go", () => {
  assert.deepEqual(Filters.parse('{"label":[null,"a"]}').get("label"), ["", "a"]);
});

test("filters: nothing, null and an empty object filter nothing", () => {
  for (const text of [undefined, "", "null", "{}"]) assert.equal(Filters.parse(text).isEmpty, true);
});

test("filters: what is no filter is refused in moby's words", () => {
  for (const text of ["bogus", "[]", "3", '{"a":3}', '{"a":[1]}', '{"a":{"b":1}}']) {
    assert.throws(() => Filters.parse(text), { kind: "invalidParameter", message: "invalid filter" });
  }
  assert.throws(() => Filters.parse('{"bogus":["1"]}').validate(["label"]), { message: "invalid filter 'bogus'" });
});

test("filters: a bool takes 1, true, 0 and false, and no contradiction", () => {
  assert.equal(Filters.parse('{"dangling":["1"]}').bool("dangling", false), true);
  assert.equal(Filters.parse('{"dangling":["false"]}').bool("dangling", true), false);
  assert.equal(Filters.parse("{}").bool("dangling", true), true);
  assert.throws(() => Filters.parse('{"dangling":["yes"]}').bool("dangling", false), {
    message: "invalid filter 'dangling=[yes]'",
  });
  assert.throws(() => Filters.parse('{"dangling":["true","false"]}').bool("dangling", false), /invalid filter/);
});

test("filters: every label must be there, with its value if one is named", () => {
  const filters = Filters.parse('{"label":["a","b=c"]}');
  assert.equal(filters.labels("label", { a: "", b: "c" }), true);
  assert.equal(filters.labels("label", { a: "", b: "d" }), false);
  assert.equal(filters.labels("label", { b: "c" }), false);
  assert.equal(filters.labels("label", null), false);
});

test("filters: patterns are regular expressions, and a broken one matches nothing", () => {
  assert.equal(Filters.parse('{"name":["^web-\\\\d+$"]}').pattern("name", "web-12"), true);
  assert.equal(Filters.parse('{"name":["eb"]}').pattern("name", "web"), true);
  assert.equal(Filters.parse('{"name":["("]}').pattern("name", "web"), false);
});
