import assert from "node:assert/strict";
import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import { findDevices } from "../../src/engine/cdi/devices.ts";
import { injectionOf } from "../../src/engine/cdi/injection.ts";

/** What dockerd 28.5.2 said to the same files. */
const root = mkdtempSync(join(tmpdir(), "mdt-cdi-"));
after(() => rmSync(root, { recursive: true }));

let made = 0;
function specs(files: Readonly<Record<string, unknown>>): string {
  const folder = join(root, String(++made));
  mkdirSync(folder);
  for (const [name, content] of Object.entries(files)) {
    writeFileSync(join(folder, name), typeof content === "string" ? content : JSON.stringify(content));
  }
  return folder;
}

const spec = (kind: string, devices: readonly unknown[], more: object = {}) => ({
  cdiVersion: "1.0.0",
  kind,
  devices,
  ...more,
});
const device = (name: unknown, containerEdits: object = { env: ["A=1"] }, more: object = {}) => ({
  name,
  containerEdits,
  ...more,
});
const request = (...DeviceIDs: string[]) => ({ Driver: "cdi", Count: 0, DeviceIDs, Capabilities: null, Options: null });
const inject = (folder: string, ...names: string[]) => injectionOf([request(...names)], [folder]);

const refused: readonly (readonly [what: string, content: unknown, words: string])[] = [
  ["nothing", "", ", no Spec data"],
  ["an array", [], "json: cannot unmarshal array into Go value of type specs.Spec"],
  ["a field that nobody knows", spec("v.com/c", [device("x")], { unknown: 1 }), 'json: unknown field "unknown"'],
  [
    "a field of another type",
    spec("v.com/c", [device("x", { env: "A=B" })]),
    "json: cannot unmarshal string into Go struct field .devices.0.containerEdits.env of type []string",
  ],
  ["an object without a version", {}, 'invalid version ""'],
  ["a version to come", spec("v.com/c", [device("x")], { cdiVersion: "9.0.0" }), 'invalid version "9.0.0"'],
  ["a kind without a class", spec("nokind", [device("x")]), "invalid vendor. empty name"],
  ["a vendor that begins with a digit", spec("1v/c", [device("x")]), 'invalid vendor. "1v", should start with letter'],
  ["another slash", spec("vn/cl/d", [device("x")]), "invalid class. invalid character '/' in name \"cl/d\""],
  ["no devices", spec("v.com/c", []), "invalid spec, no devices"],
  ["one device twice", spec("v.com/c", [device("x"), device("x")]), 'invalid spec, multiple device "x"'],
  ["a device without edits", spec("v.com/c", [device("x", {})]), 'failed add device "x": invalid device, empty'],
  ["a name with $", spec("v.com/c", [device("x$y")]), "invalid character '$' in device name \"x$y\""],
  ["an odd variable", spec("v.com/c", [device("x", { env: ["=v"] })]), 'invalid environment variable "=v"'],
  [
    "an odd type of node",
    spec("v.com/c", [device("x", { deviceNodes: [{ path: "/a", type: "z" }] })]),
    'device "/a": invalid type "z"',
  ],
  ["an empty node", spec("v.com/c", [device("x", { deviceNodes: [null] })]), "invalid (empty) device path"],
  [
    "an odd hook",
    spec("v.com/c", [device("x", { hooks: [{ hookName: "foo", path: "/a" }] })]),
    'invalid hook name "foo"',
  ],
  [
    "a mount without source",
    spec("v.com/c", [device("x", { mounts: [{ hostPath: "", containerPath: "/a" }] })]),
    "invalid mount, empty host path",
  ],
  ["a class outside its folder", spec("v.com/c", [device("x", { intelRdt: { closID: ".." } })]), "invalid ClosID"],
  [
    "what came with 0.7.0",
    spec("v.com/c", [device("x", { additionalGids: [1] })], { cdiVersion: "0.6.0" }),
    "at least v0.7.0",
  ],
  ["what came with 0.6.0", spec("v.com/c.d", [device("x")], { cdiVersion: "0.5.0" }), "at least v0.6.0"],
  ["what came with 0.5.0", spec("v.com/c", [device("0")], { cdiVersion: "0.4.0" }), "at least v0.5.0"],
];
for (const [what, content, words] of refused) {
  test(`cdi: a specification with ${what} brings no device, and why is told`, async () => {
    const { devices, problems } = await findDevices([
      specs({ "bad.json": content, "ok.json": spec("w.com/c", [device("x")]) }),
    ]);
    assert.deepEqual([...devices.keys()], ["w.com/c=x"]);
    assert.equal(problems.length, 1);
    assert.ok(problems[0]?.[1].includes(words), problems[0]?.[1]);
  });
}

test("cdi: YAML is read as Go reads it: scalars become texts where texts are wanted, 0666 is octal", async () => {
  const folder = specs({
    "a.yaml": `---
cdiVersion: 0.5.0
kind: vendor.com/yaml
devices:
- name: 0
  containerEdits: &node
    deviceNodes:
    - {path: /dev/y, hostPath: /dev/null, fileMode: 0666}
- name: yes
  containerEdits:
    <<: *node
    hooks:
    - hookName: poststop
      path: /bin/true
      args: [true, 0x10, 2001-01-01, ~]
`,
  });
  const { devices, problems } = await findDevices([folder]);
  assert.deepEqual([[...devices.keys()], problems], [["vendor.com/yaml=0", "vendor.com/yaml=true"], []]);
  const injection = await inject(folder, "vendor.com/yaml=true");
  assert.deepEqual(injection.devices, [{ path: "/dev/y", fileMode: 0o666, type: "c", major: 1, minor: 3 }]);
  assert.deepEqual(injection.hooks.poststop?.[0]?.args, ["true", "16", "2001-01-01", ""]);
});

test("cdi: only .json and .yaml files of the directory itself count; a later directory wins, equals cancel out", async () => {
  const first = specs({
    "one.json": spec("v.com/c", [device("both"), device("own"), device("over")]),
    "two.yaml": JSON.stringify(spec("v.com/c", [device("both")])),
    "three.yml": JSON.stringify(spec("v.com/c", [device("yml")])),
  });
  mkdirSync(join(first, "folder.json"));
  symlinkSync("/nonesuch", join(first, "dangling.json"));
  const second = specs({ "over.json": spec("v.com/c", [device("over", { env: ["FROM=second"] })]) });
  const { devices, problems } = await findDevices([first, second, "/nonesuch"]);
  assert.deepEqual([...devices.keys()], ["v.com/c=own", "v.com/c=over"]);
  assert.deepEqual(devices.get("v.com/c=over")?.device.edits.env, ["FROM=second"]);
  const words = `conflicting device "v.com/c=both" (specs "${first}/two.yaml", "${first}/one.json")`;
  assert.deepEqual(problems, [
    [`${first}/two.yaml`, words],
    [`${first}/one.json`, words],
  ]);
});

test("cdi: the edits of a specification come once, before those of its devices", async () => {
  const folder = specs({
    "a.json": spec("v.com/c", [device("x", { env: ["X=1"] }), device("y", { env: ["Y=1"] })], {
      containerEdits: { env: ["ALL=1"], additionalGids: [0, 7] },
    }),
  });
  const { env, additionalGids } = await inject(folder, "v.com/c=x", "v.com/c=y");
  assert.deepEqual([env, additionalGids], [["ALL=1", "X=1", "Y=1"], [7]]);
});

const node = (edits: object) => specs({ "a.json": spec("v.com/c", [device("x", { deviceNodes: [edits] })]) });

test("cdi: a node's type and number are the host's where the specification does not say them", async () => {
  const found = await inject(node({ path: "/dev/z", hostPath: "/dev/zero", permissions: "r" }), "v.com/c=x");
  assert.deepEqual(found.devices, [{ path: "/dev/z", type: "c", major: 1, minor: 5 }]);
  assert.deepEqual(found.rules, [{ allow: true, type: "c", major: 1, minor: 5, access: "r" }]);
  const said = await inject(node({ path: "/dev/z", type: "b", major: 8, minor: 1, uid: 3 }), "v.com/c=x");
  assert.deepEqual(said.devices, [{ path: "/dev/z", uid: 3, type: "b", major: 8, minor: 1 }]);
});

const failures: readonly (readonly [words: string, ask: () => Promise<unknown>])[] = [
  ["CDI device injection failed: unresolvable CDI devices a, b", () => inject(specs({}), "a", "b")],
  [
    'CDI device injection failed: failed to inject devices: failed to stat CDI host device "/dev/none": no such file or directory',
    () => inject(node({ path: "/dev/none" }), "v.com/c=x"),
  ],
  [
    'CDI device injection failed: failed to inject devices: failed to stat CDI host device "/etc": not a device node',
    () => inject(node({ path: "/etc" }), "v.com/c=x"),
  ],
  [
    'CDI device injection failed: failed to inject devices: CDI device ("/dev/b", "/dev/null"), host type mismatch (b, c)',
    () => inject(node({ path: "/dev/b", hostPath: "/dev/null", type: "b" }), "v.com/c=x"),
  ],
  ["unexpected count in CDI device request", () => injectionOf([{ ...request("a"), Count: 1 }], [root])],
  ["unexpected options in CDI device request", () => injectionOf([{ ...request("a"), Options: { a: "" } }], [root])],
  ["CDI device injection failed: no CDI specification directories specified", () => injectionOf([request("a")], [])],
  ['could not select device driver "cdi" with capabilities: []', () => injectionOf([request("a")], undefined)],
  [
    'could not select device driver "" with capabilities: [[gpu] [a b]]',
    () => injectionOf([{ ...request(), Driver: "", Capabilities: [["gpu"], ["a", "b"]] }], [root]),
  ],
];
for (const [message, ask] of failures) {
  test(`cdi: ${message}`, () => assert.rejects(ask, { message }));
}
