import assert from "node:assert/strict";
import test from "node:test";
import { homeOf, resolveUser } from "../../src/engine/spec/accounts.ts";

const files: Readonly<Record<string, string>> = {
  "/etc/passwd": `root:x:0:0:root:/root:/bin/sh
1337:x:5:5::/named-by-digits:/bin/sh
bob:x:1000:1001:Bob:/home/bob:/bin/sh
big:x:4294967297:0::/:/bin/sh
wide:x:7:4294967296::/:/bin/sh
`,
  "/etc/group":
    "# groups\nroot:x:0:\nwheel:x:10:bob\nstaff:x:20:eve,bob\nbob:x:1001:\naudio:x:29:\nhuge:x:4294967296:\n",
};
const read = (path: string): Buffer | undefined => (files[path] === undefined ? undefined : Buffer.from(files[path]));
const nothing = (): undefined => undefined;
const ids = (spec: string, groups: string[] = [], from: (path: string) => Buffer | undefined = read) => {
  const { uid, gid, additionalGids } = resolveUser(spec, groups, from);
  return [uid, gid, additionalGids];
};

test("user: names, ids and groups in any mixture", () => {
  assert.deepEqual(ids(""), [0, 0, [0]]);
  assert.deepEqual(ids("bob"), [1000, 1001, [1001, 10, 20]]);
  assert.deepEqual(ids("1000"), [1000, 1001, [1001, 10, 20]]);
  assert.deepEqual(ids("bob:audio"), [1000, 29, [29]]);
  assert.deepEqual(ids("bob:4242"), [1000, 4242, [4242]]);
  assert.deepEqual(ids("4000"), [4000, 0, [0]]);
  assert.deepEqual(ids(":audio"), [0, 29, [29]]);
  assert.deepEqual(ids("+5"), [5, 5, [5]]);
});

test("user: additional groups come by name or id, each once", () => {
  assert.deepEqual(ids("4000", ["audio", "29", "4242"]), [4000, 0, [0, 29, 4242]]);
});

test("user: an image without passwd and group has root and numbers", () => {
  assert.deepEqual(ids("", [], nothing), [0, 0, [0]]);
  assert.deepEqual(ids("7:8", [], nothing), [7, 8, [8]]);
});

test("user: digits are never looked up as a name", () => {
  assert.deepEqual(ids("1337"), [1337, 0, [0]]);
});

test("user: what is no id is refused in Docker's words", () => {
  const range = { message: "uids and gids must be in range 0-2147483647" };
  for (const spec of [
    "4294967296",
    "2147483648",
    "-1",
    "99999999999999999999",
    "0:4294967296",
    "big",
    "wide",
    "0:huge",
  ]) {
    assert.throws(() => ids(spec), range, spec);
  }
  assert.throws(() => ids("0x0"), { message: "unable to find user 0x0: no matching entries in passwd file" });
  assert.throws(() => ids("0:0:0"), { message: "unable to find group 0:0: no matching entries in group file" });
  assert.throws(() => ids("0:nosuch"), { message: "unable to find group nosuch: no matching entries in group file" });
  assert.throws(() => ids("0", ["nosuch"]), {
    message: "unable to find group nosuch: no matching entries in group file",
  });
});

test("user: home is that of the first account with the uid", () => {
  assert.equal(homeOf(1000, read), "/home/bob");
  assert.equal(homeOf(4000, read), "/");
});
