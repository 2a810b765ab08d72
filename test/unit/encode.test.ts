import assert from "node:assert/strict";
import { test } from "node:test";
import { CreateRequest } from "#api-schema/container-config";
import { EventMessage } from "#api-schema/events";
import * as go from "#api-schema/go";
import { decode, zero } from "../../src/api/decode.ts";
import { encode } from "../../src/api/encode.ts";
import { parseJson } from "../../src/base/json.ts";

const Sample = go.struct("Sample", {
  Name: go.string(),
  Note: go.string({ omitempty: true }),
  Size: go.int64({ omitempty: true }),
  List: go.slice(go.string()),
  Short: go.slice(go.string(), { omitempty: true }),
  Map: go.map(go.int()),
  Inner: go.struct("Inner", { At: go.time() }, { omitempty: true }),
  Pointer: go.ptr(go.bool(), { omitempty: true }),
});

const sample = { ...zero(Sample), Name: "a" };

test("encode: fields come in the schema's order, and omitempty hides zero values but no struct", () => {
  assert.equal(encode(Sample, sample), '{"Name":"a","List":null,"Map":null,"Inner":{"At":"0001-01-01T00:00:00Z"}}');
  assert.equal(
    encode(Sample, { ...sample, Note: "n", Size: 5, List: [], Short: [], Map: { b: 1, a: 2 }, Pointer: false }),
    '{"Name":"a","Note":"n","Size":5,"List":[],"Map":{"a":2,"b":1},"Inner":{"At":"0001-01-01T00:00:00Z"},"Pointer":false}',
  );
});

test("encode: strings are escaped as Go does, HTML only where it is asked for", () => {
  const text = '<&>"\\\u0001\u2028\ud800';
  assert.equal(encode(go.string(), text), '"<&>\\"\\\\\\u0001\\u2028\ufffd"');
  assert.equal(encode(go.string(), "<&>", { escapeHtml: true }), '"\\u003c\\u0026\\u003e"');
});

test("encode: nanoseconds keep all their digits", () => {
  const event = { ...zero(EventMessage), Type: "container", timeNano: 1_795_226_899_200_209_531n };
  assert.match(encode(EventMessage, event), /"timeNano":1795226899200209531}$/);
});

test("encode: numbers beyond 2^53 are digits, never exponents", () => {
  assert.equal(encode(go.uint64(), 2 ** 63), "9223372036854775808");
  assert.equal(encode(go.uint64(), 1e22), "10000000000000000000000");
});

test("encode: what was decoded comes out again", () => {
  const text = '{"Image":"x","Env":["A=<b>"],"Labels":{"z":"1","a":"2"},"HostConfig":{"Memory":5,"Init":true}}';
  const once = encode(CreateRequest, decode(CreateRequest, parseJson(text).value));
  assert.equal(encode(CreateRequest, decode(CreateRequest, parseJson(once).value)), once);
  assert.ok(once.includes('"Env":["A=<b>"]') && once.includes('"Labels":{"a":"2","z":"1"}'));
});
