import assert from "node:assert/strict";
import { test } from "node:test";
import {
  familiarName,
  familiarReference,
  formatReference,
  parseAnyReference,
  parseReference,
  parseRepoTag,
  storedReference,
  withDefaultTag,
} from "#registry";

const hex = "a".repeat(64);
const digest = `sha256:${hex}`;

const names: readonly (readonly [text: string, full: string, familiar: string])[] = [
  ["busybox", "docker.io/library/busybox", "busybox"],
  ["busybox:1", "docker.io/library/busybox:1", "busybox:1"],
  ["docker.io/busybox", "docker.io/library/busybox", "busybox"],
  ["index.docker.io/me/app:2", "docker.io/me/app:2", "me/app:2"],
  ["me/app", "docker.io/me/app", "me/app"],
  ["library/busybox", "docker.io/library/busybox", "busybox"],
  ["docker.io/library/a/b", "docker.io/library/a/b", "library/a/b"],
  ["localhost/app", "localhost/app", "localhost/app"],
  ["127.0.0.1:5000/team/app:1", "127.0.0.1:5000/team/app:1", "127.0.0.1:5000/team/app:1"],
  ["[::1]:5000/app", "[::1]:5000/app", "[::1]:5000/app"],
  ["Host/app", "Host/app", "Host/app"],
  ["example.com/a__b/c.d/e--f", "example.com/a__b/c.d/e--f", "example.com/a__b/c.d/e--f"],
  [`busybox@${digest}`, `docker.io/library/busybox@${digest}`, `busybox@${digest}`],
  [`busybox:1@${digest}`, `docker.io/library/busybox:1@${digest}`, `busybox:1@${digest}`],
];

for (const [text, full, familiar] of names) {
  test(`reference: ${text} is ${full}`, () => {
    const ref = parseReference(text);
    assert.equal(formatReference(ref), full);
    assert.equal(familiarReference(ref), familiar);
  });
}

const refused: readonly (readonly [text: string, message: string])[] = [
  ["", "invalid reference format"],
  [":1", "invalid reference format"],
  ["a//b", "invalid reference format"],
  ["a:b:c", "invalid reference format"],
  ["-x", "invalid reference format"],
  ["x:", "invalid reference format"],
  ["a___b", "invalid reference format"],
  [`x:${"t".repeat(129)}`, "invalid reference format"],
  ["Bad:ref", "invalid reference format: repository name (library/Bad) must be lowercase"],
  ["me/App", "invalid reference format: repository name (me/App) must be lowercase"],
  ["x@sha256:abc", "invalid reference format"],
  [`x@sha256:${"g".repeat(64)}`, "invalid reference format"],
  [`x@sha256:${"a".repeat(40)}`, "invalid checksum digest length"],
  [`x@md5:${"a".repeat(32)}`, "unsupported digest algorithm"],
  [hex, `invalid repository name (${hex}), cannot specify 64-byte hexadecimal strings`],
  [`${"a/".repeat(140)}b`, "repository name must not be more than 255 characters"],
];

for (const [text, message] of refused) {
  test(`reference: ${text.slice(0, 40) || "nothing"} is refused in Docker's words`, () => {
    assert.throws(() => parseReference(text), { kind: "invalidParameter", message });
  });
}

test("reference: an id and a digest are told from names", () => {
  assert.deepEqual(parseAnyReference(hex), { digest });
  assert.deepEqual(parseAnyReference(digest), { digest });
  assert.deepEqual(parseAnyReference("abc"), { domain: "docker.io", path: "library/abc" });
});

test("reference: what is stored has a tag or a digest, never both", () => {
  assert.equal(formatReference(storedReference(parseReference("x"))), "docker.io/library/x:latest");
  assert.equal(formatReference(storedReference(parseReference(`x:1@${digest}`))), `docker.io/library/x@${digest}`);
  assert.equal(withDefaultTag(parseReference(`x@${digest}`)).tag, undefined);
});

test("reference: repo and tag words make a tagged reference", () => {
  assert.equal(parseRepoTag("", "1"), undefined);
  assert.equal(familiarReference(parseRepoTag("x", "") ?? assert.fail()), "x:latest");
  assert.equal(familiarReference(parseRepoTag("x:2", "") ?? assert.fail()), "x:2");
  assert.throws(() => parseRepoTag("x", "-"), { message: "invalid tag format" });
  assert.throws(() => parseRepoTag(`x@${digest}`, ""), { message: "cannot import digest reference" });
});

test("reference: no text makes the parser slow or throw anything but its own errors", () => {
  const letters = ["a", "-", ".", "_", "/", ":", "@", "A", "0", "[", "]", "sha256:", "é", "\n", " "];
  let seed = 7;
  const next = () => (seed = (seed * 1103515245 + 12345) % 2 ** 31);
  const started = performance.now();
  for (let round = 0; round < 20_000; round++) {
    const text = Array.from({ length: next() % 24 }, () => letters[next() % letters.length]).join("");
    try {
      assert.notEqual(familiarName(parseReference(text)), "");
    } catch (error) {
      assert.equal(error instanceof Error && error.name, "EngineError", text);
    }
  }
  for (const text of ["a-".repeat(50_000), "a.".repeat(50_000), "a/".repeat(50_000), "a_".repeat(50_000)]) {
    assert.throws(() => parseReference(text));
  }
  assert.ok(performance.now() - started < 10_000);
});
