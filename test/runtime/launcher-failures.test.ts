import assert from "node:assert/strict";
import { readdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { test } from "node:test";
import type { Spec } from "#runtime";
import { args, type Bundle, both, command, isOurs, Place, runtime } from "./launcher-rig.ts";

// Whatever fails says where and why, and leaves nothing: no state, no cgroup, no mount.

type Json = Record<string, unknown>;

interface Failure {
  readonly name: string;
  readonly change?: (spec: Spec) => void;
  readonly flags?: readonly string[];
  readonly stage: string;
  readonly errno: number;
  /** Of runc 1.3 where it has one. */
  readonly message: string | RegExp;
  /** What the peers accept, or have other words for. */
  readonly isOnlyOurs?: boolean;
}

const set =
  (part: "process" | "linux" | "hooks" | "root", more: Json) =>
  (spec: Spec): void => {
    Object.assign(spec, { [part]: { ...spec[part], ...more } });
  };
const mount = (more: Json) => (spec: Spec) => {
  Object.assign(spec, { mounts: [...(spec.mounts ?? []), { type: "bind", options: ["bind"], ...more }] });
};
const network = (path: string) => (spec: Spec) => {
  const others = spec.linux?.namespaces?.filter(({ type }) => type !== "network") ?? [];
  set("linux", { namespaces: [...others, { type: "network", path }] })(spec);
};
const seccomp = (more: Json) => set("linux", { seccomp: { defaultAction: "SCMP_ACT_ALLOW", ...more } });
const hook = (more: Json) => set("hooks", { createRuntime: [{ path: "/bin/sh", ...more }] });

const inInit = "unable to start container process: error during container init: ";

const failures: readonly Failure[] = [
  { name: "no arguments", change: args(), stage: "config", errno: 0, message: "args must not be empty" },
  {
    name: "a cwd that is a file",
    change: set("process", { cwd: "/etc/passwd" }),
    stage: "cwd",
    errno: 20,
    message: `${inInit}mkdir /etc/passwd: not a directory`,
  },
  {
    name: "a relative cwd",
    change: set("process", { cwd: "tmp" }),
    stage: "config",
    errno: 0,
    message: "Cwd must be an absolute path",
  },
  {
    name: "a user below zero",
    change: set("process", { user: { uid: -1, gid: 0 } }),
    stage: "config",
    errno: 0,
    message: "json: cannot unmarshal number -1 into Go struct field User.process.user.uid of type uint32",
  },
  {
    name: "an unknown rlimit",
    change: set("process", { rlimits: [{ type: "RLIMIT_BOGUS", soft: 1, hard: 1 }] }),
    stage: "rlimit",
    errno: 0,
    message: "wrong rlimit value: RLIMIT_BOGUS",
  },
  {
    name: "a mount whose source is missing",
    change: mount({ destination: "/x", source: "/no/such" }),
    stage: "mount",
    errno: 2,
    message: /failed to fulfil mount request: open \/no\/such: no such file or directory$/,
  },
  {
    name: "a folder mounted on a file",
    change: mount({ destination: "/etc/passwd", source: "/etc" }),
    stage: "mount",
    errno: 20,
    message: /error mounting "\/etc" to rootfs at "\/etc\/passwd": mount .*flags=MS_BIND: not a directory$/,
  },
  {
    name: "a file system that the kernel does not know",
    change: mount({ destination: "/x", source: "x", type: "bogusfs", options: [] }),
    stage: "mount",
    errno: 19,
    message: /error mounting "x" to rootfs at "\/x": mount .*: no such device$/,
  },
  {
    name: "a mount over a file of /proc",
    change: mount({ destination: "/proc/self", source: "/etc" }),
    stage: "mount",
    errno: 0,
    message: /cannot be mounted because it is inside \/proc$/,
  },
  {
    name: "a device in the place of a folder",
    change: set("linux", { devices: [{ path: "/etc", type: "c", major: 1, minor: 3 }] }),
    stage: "device",
    errno: 17,
    message: /\/etc exists already, and is not the device that was asked for$/,
    isOnlyOurs: true,
  },
  {
    name: "a sysctl of no namespace",
    change: set("linux", { sysctl: { "vm.swappiness": "1" } }),
    stage: "sysctl",
    errno: 0,
    message: 'sysctl "vm.swappiness" is not in a separate kernel namespace',
  },
  {
    name: "a sysctl's value",
    change: set("linux", { sysctl: { "net.ipv4.ip_forward": "bogus" } }),
    stage: "sysctl",
    errno: 22,
    message: /write sysctl net.ipv4.ip_forward = .*: invalid argument$/,
  },
  {
    name: "an unknown seccomp action",
    change: seccomp({ defaultAction: "SCMP_ACT_BOGUS" }),
    stage: "seccomp",
    errno: 0,
    message: "string SCMP_ACT_BOGUS is not a valid action for seccomp",
  },
  {
    name: "a seccomp agent that is not there",
    change: seccomp({ listenerPath: "/no/such", syscalls: [{ names: ["mkdir"], action: "SCMP_ACT_NOTIFY" }] }),
    stage: "seccomp",
    errno: 2,
    message: /failed to connect with seccomp agent .*: dial unix \/no\/such: connect: no such file or directory$/,
  },
  {
    name: "a hook that exits with 3",
    change: hook({ args: ["sh", "-c", "echo >&2 because; exit 3"] }),
    stage: "hook",
    errno: 0,
    message: `${inInit}error running createRuntime hook #0: exit status 3, stdout: , stderr: because\n`,
  },
  {
    name: "a hook that dies of a signal",
    change: hook({ args: ["sh", "-c", "kill -9 $$"] }),
    stage: "hook",
    errno: 0,
    message: `${inInit}error running createRuntime hook #0: signal: killed, stdout: , stderr: `,
  },
  {
    name: "a hook that is not there",
    change: hook({ path: "/no/such" }),
    stage: "hook",
    errno: 2,
    message: `${inInit}error running createRuntime hook #0: fork/exec /no/such: no such file or directory`,
  },
  {
    name: "a hook that takes too long",
    change: hook({ args: ["sh", "-c", "exec sleep 60"], timeout: 1 }),
    stage: "hook",
    errno: 0,
    message: `${inInit}error running createRuntime hook #0: hook ran past specified timeout of 1.0s`,
  },
  {
    name: "CPUs that the machine does not have",
    change: set("linux", { resources: { cpu: { cpus: "9999" } } }),
    stage: "cgroup",
    errno: 34,
    message: /failed to write "9999": write .*\/cpuset.cpus: numerical result out of range$/,
  },
  {
    name: "a namespace that is not there",
    change: network("/no/such"),
    stage: "namespace",
    errno: 2,
    message: /\/no\/such: no such file or directory$/,
  },
  {
    name: "a namespace of another kind",
    change: network("/proc/self/ns/uts"),
    stage: "namespace",
    errno: 0,
    message: "namespace path /proc/self/ns/uts is not of type net",
    isOnlyOurs: true,
  },
  {
    name: "a root that is missing",
    change: set("root", { path: "nosuch" }),
    stage: "rootfs",
    errno: 2,
    message: /nosuch.* no such file or directory$/,
  },
  {
    name: "a terminal without a socket for it",
    change: set("process", { terminal: true }),
    stage: "console",
    errno: 0,
    message: "cannot allocate tty if runc will detach without setting console socket",
  },
  {
    name: "a console socket that is not there",
    change: set("process", { terminal: true }),
    flags: ["--console-socket", "/no/such"],
    stage: "console",
    errno: 2,
    message: /dial unix \/no\/such: connect: no such file or directory$/,
  },
  {
    name: "a PID file in no folder",
    flags: ["--pid-file", "/no/such/pid"],
    stage: "io",
    errno: 2,
    message: /open \/no\/such\/.*: no such file or directory$/,
  },
];

const { stdout: version } = await command(runtime, ["--version"]);
const hasOtherWords = !isOurs && !/runc version 1\.[3-9]/.test(version) && "crun and older runc have other words";

for (const { name, change, flags, stage, errno, message, isOnlyOurs } of failures)
  test(`a failed create says so in its log and leaves nothing: ${name}`, {
    skip: hasOtherWords || (isOnlyOurs && !isOurs && "ours only"),
  }, async () => {
    await using place = await Place.make();
    const bundle = await place.bundle(both(args("sleep", "1000"), change ?? (() => undefined)));
    assert.equal((await bundle.detached("create", ...(flags ?? []))).code, 1);
    const line = await lastLine(bundle);
    assert.match(String(line.time), /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$/);
    if (isOurs) assert.partialDeepStrictEqual(line, { level: "error", stage, errno });
    const text = String(line.msg);
    assert.equal(await readFile(join(bundle.directory, "out"), "utf8"), `${text}\n`);
    if (typeof message === "string") assert.equal(text, `runc create failed: ${message}`);
    else assert.match(text, message);
    assert.deepEqual(await remains(bundle), []);
  });

test("a config that is no JSON, or not there, is a failure of the config", async () => {
  await using place = await Place.make();
  const bundle = await place.bundle();
  for (const text of ["", "{", "[]", '{"ociVersion": 1}']) {
    await writeFile(join(bundle.directory, "config.json"), text);
    assert.notEqual((await bundle.detached("create")).code, 0, text);
    if (isOurs) assert.equal((await lastLine(bundle)).stage, "config", text);
    assert.deepEqual(await remains(bundle), []);
  }
  const elsewhere = await place.runtime(["create", "--bundle", place.directory, bundle.id]);
  assert.notEqual(elsewhere.code, 0);
  if (isOurs) assert.match(elsewhere.stderr, /JSON specification file config.json not found/);
});

test("an id that is in use is refused, and its container stays", async () => {
  await using place = await Place.make();
  const bundle = await place.bundle(args("sleep", "1000"));
  await bundle.detached("run");
  assert.equal((await bundle.detached("create")).code, 1);
  if (isOurs) assert.partialDeepStrictEqual(await lastLine(bundle), { stage: "state", errno: 17 });
  assert.equal((await bundle.state()).status, "running");
});

test("a state folder that cannot be made is a failure of the state", async () => {
  await using place = await Place.make();
  const bundle = await place.bundle();
  for (const root of ["/etc/passwd", "/proc/nosuch"]) {
    const result = await place.runtime(["--root", root, "create", "--bundle", bundle.directory, bundle.id]);
    assert.equal(result.code, 1);
    assert.match(result.stderr, new RegExp(`${root}.*: (not a directory|no such file or directory)`));
  }
});

async function lastLine(bundle: Bundle): Promise<Json> {
  const line: unknown = JSON.parse(
    (await readFile(join(bundle.directory, "log"), "utf8")).trim().split("\n").at(-1) ?? "",
  );
  assert.ok(typeof line === "object" && line !== null);
  return { ...line };
}

/** What is there of a container that could not be made. */
async function remains({ place, id }: Bundle): Promise<string[]> {
  const states = await readdir(place.root).catch((): string[] => []);
  const mounts = (await readFile("/proc/self/mountinfo", "utf8")).split("\n");
  return [
    ...states,
    ...(await place.cgroupFolders(id)),
    ...mounts.filter((line) => line.includes(place.directory) || line.includes(`/${id}`)),
  ];
}
