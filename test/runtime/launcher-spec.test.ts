import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdir, readdir, readFile, writeFile } from "node:fs/promises";
import { basename, join } from "node:path";
import { createInterface } from "node:readline";
import { test } from "node:test";
import type { Mount, Spec } from "#runtime";
import { args, type Bundle, both, command, isOurs, Place, runtime, shell } from "./launcher-rig.ts";

// The runtime-spec field by field, where no other file of these tests looks.

const oldRunc = !isOurs && basename(runtime) === "runc" && "runc 1.1 does not know it";
const words = !isOurs && "the words are ours";

const process_ = (change: object) => (spec: Spec) => Object.assign(spec.process ?? {}, change);
const linux = (change: object) => (spec: Spec) => Object.assign(spec.linux ?? {}, change);
const mount = (entry: Mount) => (spec: Spec) => spec.mounts?.push(entry);

async function output(bundle: Bundle): Promise<string> {
  const result = await bundle.run();
  assert.equal(result.code, 0, result.stderr);
  return result.stdout;
}

/** A folder on the host with a tmpfs below. */
class Tree implements AsyncDisposable {
  readonly path: string;

  constructor(place: Place) {
    this.path = join(place.directory, "tree");
  }

  async mount(): Promise<Tree> {
    await mkdir(join(this.path, "sub"), { recursive: true });
    await command("mount", ["-t", "tmpfs", "tmpfs", join(this.path, "sub")]);
    return this;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await command("umount", [join(this.path, "sub")]);
  }
}

/** Mount point, options and propagation of what is at /mnt and below, one line each. */
const showMounts = shell("awk '$5 ~ /^.mnt/ { print $5, $6, $7 }' /proc/self/mountinfo | sed 's/:.*//'");

test("mounts: options for one mount and, with an r before them, for all below", { skip: oldRunc }, async () => {
  const cases: readonly (readonly [string[], string, string])[] = [
    [["rbind", "ro"], "ro,relatime -", "rw,relatime -"],
    [["rbind", "rro", "rnosuid"], "ro,nosuid,relatime -", "ro,nosuid,relatime -"],
    [
      ["rbind", "rnodev", "rnoexec", "rnodiratime"],
      "rw,nodev,noexec,nodiratime,relatime -",
      "rw,nodev,noexec,nodiratime,relatime -",
    ],
    [["rbind", "rnosymfollow", "rnoatime"], "rw,noatime,nosymfollow -", "rw,noatime,nosymfollow -"],
    [["rbind", "rstrictatime"], "rw -", "rw -"],
    [["rbind", "rnorelatime"], "rw,relatime -", "rw,relatime -"], // the kernel's default, as runc has it
    [
      ["rbind", "noatime", "nosuid", "noexec", "nodev", "nosymfollow"],
      "rw,nosuid,nodev,noexec,noatime,nosymfollow -",
      "rw,relatime -",
    ],
    [["rbind", "rro", "rrw"], "rw,relatime -", "rw,relatime -"],
    [["rbind", "ro", "rw", "nosuid", "suid"], "rw,relatime -", "rw,relatime -"],
    [["rbind", "rshared"], "rw,relatime shared", "rw,relatime shared"],
    [["rbind", "shared"], "rw,relatime shared", "rw,relatime -"],
    [["rbind", "unbindable"], "rw,relatime unbindable", "rw,relatime -"],
    [["rbind", "runbindable"], "rw,relatime unbindable", "rw,relatime unbindable"],
    [["rbind", "rprivate"], "rw,relatime -", "rw,relatime -"],
  ];
  await using place = await Place.make();
  await using tree = await new Tree(place).mount();
  for (const [options, top, below] of cases) {
    const entry = { destination: "/mnt", type: "bind", source: tree.path, options };
    const bundle = await place.bundle(both(mount(entry), showMounts));
    assert.equal(await output(bundle), `/mnt ${top}\n/mnt/sub ${below}\n`, options.join());
  }
});

test("mounts: tmpcopyup brings what the image has, with its owners and modes", async () => {
  await using place = await Place.make();
  const entry = {
    destination: "/data",
    type: "tmpfs",
    source: "tmpfs",
    options: ["tmpcopyup", "ro", "nosuid", "size=1m"],
  };
  const bundle = await place.bundle(
    both(
      mount(entry),
      shell("cd /data; stat -c '%n %a %u:%g' file folder; cat folder/inner; readlink link; touch x || echo refused"),
    ),
  );
  const image = join(bundle.rootfs, "data");
  await mkdir(join(image, "folder"), { recursive: true });
  await writeFile(join(image, "folder/inner"), "inner\n");
  await command("sh", [
    "-c",
    `cd ${image}; ln -s folder link; echo > file; chmod 640 file; chown 5:6 file; chmod 750 folder`,
  ]);
  assert.equal(await output(bundle), "file 640 5:6\nfolder 750 0:0\ninner\nfolder\nrefused\n");
});

test("mounts: a relative destination counts from the root, later ones lie over earlier ones", async () => {
  await using place = await Place.make();
  const bundle = await place.bundle(
    both(
      mount({ destination: "mnt", type: "tmpfs", source: "one" }),
      mount({ destination: "/mnt/two", type: "tmpfs", source: "two", options: ["mode=0700", "size=64k"] }),
      shell("awk '$2 ~ /^.mnt/ { print $1, $2 }' /proc/mounts; stat -c %a /mnt/two"),
    ),
  );
  assert.equal(await output(bundle), "one /mnt\ntwo /mnt/two\n700\n");
});

test("rootfsPropagation: how / passes on mounts", { skip: oldRunc }, async () => {
  await using place = await Place.make();
  const show = shell("awk '$5 == \"/\" { print $7 }' /proc/self/mountinfo | sed 's/:.*//'");
  const cases = { shared: "shared", rshared: "shared", unbindable: "unbindable", private: "-", rslave: "-" };
  for (const [propagation, shown] of Object.entries(cases)) {
    const bundle = await place.bundle(both(linux({ rootfsPropagation: propagation }), show));
    assert.equal(await output(bundle), `${shown}\n`, propagation);
  }
  // Masks and read-only paths are in place before nothing can be bound any more.
  const bundle = await place.bundle(
    both(
      linux({ rootfsPropagation: "runbindable" }),
      shell("wc -c < /proc/keys; echo x > /proc/sys/kernel/hostname || echo refused"),
    ),
  );
  if (isOurs) assert.equal(await output(bundle), "0\nrefused\n");
});

test("devices: every type, anywhere, with mode and owner", async () => {
  await using place = await Place.make();
  const devices = [
    { path: "/dev/zero2", type: "c", major: 1, minor: 5, fileMode: 0o640, uid: 3, gid: 4 },
    { path: "/dev/unbuffered", type: "u", major: 1, minor: 3 },
    { path: "/deep/down/block", type: "b", major: 7, minor: 9, fileMode: 0o600 },
    { path: "/pipe", type: "p", fileMode: 0o622 },
  ];
  const bundle = await place.bundle(
    both(linux({ devices }), shell("stat -c '%n %F %t:%T %a %u:%g' /dev/zero2 /dev/unbuffered /deep/down/block /pipe")),
  );
  const unbuffered = "/dev/unbuffered character special file 1:3 666 0:0\n";
  assert.equal(
    (await output(bundle)).replace(/^\/dev\/unbuffered.*\n/m, unbuffered),
    `/dev/zero2 character special file 1:5 640 3:4\n${unbuffered}/deep/down/block block special file 7:9 600 0:0\n/pipe fifo 0:0 622 0:0\n`,
  );
});

test("process: scheduler, ioPriority, personality, oomScoreAdj, domainname", { skip: oldRunc }, async () => {
  await using place = await Place.make();
  const bundle = await place.bundle(
    both(
      process_({
        scheduler: { policy: "SCHED_BATCH", nice: 7 },
        ioPriority: { class: "IOPRIO_CLASS_BE", priority: 6 },
        oomScoreAdj: 321,
      }),
      linux({ personality: { domain: "LINUX32" } }),
      (spec) => Object.assign(spec, { domainname: "example.org" }),
      args("sleep", "1000"),
    ),
  );
  const started = await bundle.detached("run");
  assert.equal(started.code, 0, started.stderr);
  const { pid } = await bundle.state();
  // policy and nice are fields 41 and 19: proc(5).
  const fields = (await readFile(`/proc/${pid}/stat`, "utf8")).replace(/^.*\) /, "").split(" ");
  assert.deepEqual([fields[38], fields[16]], ["3", "7"]);
  assert.equal((await command("ionice", ["-p", `${pid}`])).stdout, "best-effort: prio 6\n");
  assert.equal(await readFile(`/proc/${pid}/oom_score_adj`, "utf8"), "321\n");
  assert.match(await readFile(`/proc/${pid}/personality`, "utf8"), /^0000000?8$/m);
  const inside = await bundle.exec(["sh", "-c", "uname -m; cat /proc/sys/kernel/domainname"]);
  assert.match(inside.stdout, /^(i686|armv8l)\nexample.org\n$/);
});

test("values that mean nothing are refused in words, and nothing is left", { skip: words }, async () => {
  const scheduler = (value: object) => process_({ scheduler: value });
  const cases: readonly (readonly [RegExp, (spec: Spec) => void])[] = [
    [/invalid scheduler policy: SCHED_TEA/, scheduler({ policy: "SCHED_TEA" })],
    [/invalid scheduler policy/, scheduler({})],
    [/invalid scheduler.nice: 40 when scheduler.policy is SCHED_OTHER/, scheduler({ policy: "SCHED_OTHER", nice: 40 })],
    [/scheduler.priority can only be specified for/, scheduler({ policy: "SCHED_BATCH", priority: 3 })],
    [/runtime\/deadline\/period can only be specified for/, scheduler({ policy: "SCHED_OTHER", period: 3 })],
    [/invalid scheduler flag: SCHED_FLAG_X/, scheduler({ policy: "SCHED_OTHER", flags: ["SCHED_FLAG_X"] })],
    [/invalid ioPriority.Class: \\"BE/, process_({ ioPriority: { class: "BE", priority: 1 } })],
    [/invalid ioPriority.Priority: 8/, process_({ ioPriority: { class: "IOPRIO_CLASS_BE", priority: 8 } })],
    [/oomScoreAdj must be between/, process_({ oomScoreAdj: 1001 })],
    [/invalid personality domain MARS/, linux({ personality: { domain: "MARS" } })],
    [/flags for personality are not supported/, linux({ personality: { domain: "LINUX", flags: ["X"] } })],
    [/Intel RDT is not enabled/, linux({ intelRdt: { closID: "x" } })],
    [/rootfsPropagation=sideways is not supported/, linux({ rootfsPropagation: "sideways" })],
    [/invalid device type \\"q/, linux({ devices: [{ path: "/dev/q", type: "q", major: 1, minor: 1 }] })],
    [
      /exists already, and is not the device/,
      linux({ devices: [{ path: "/etc/passwd", type: "c", major: 1, minor: 3 }] }),
    ],
    [
      /exists already, and is not the device/,
      linux({ devices: [{ path: "/dev/null", type: "c", major: 1, minor: 5 }] }),
    ],
    [
      /domainname without a private UTS/,
      both(
        (spec) => Object.assign(spec, { hostname: "", domainname: "d" }),
        (spec) => {
          spec.linux = {
            ...spec.linux,
            namespaces: spec.linux?.namespaces?.filter(({ type }) => type !== "uts") ?? [],
          };
        },
      ),
    ],
    [/mount destination must not be empty/, mount({ destination: "", type: "tmpfs" })],
    [/no such device/, mount({ destination: "/mnt", type: "nofs", source: "x" })],
    [
      /invalid argument.*data=nonsense|data=nonsense.*invalid/,
      mount({ destination: "/mnt", type: "tmpfs", source: "x", options: ["nonsense"] }),
    ],
    [/not a valid action for seccomp/, linux({ seccomp: { defaultAction: "SCMP_ACT_WISH" } })],
    [
      /not a valid operator for seccomp/,
      linux({
        seccomp: {
          defaultAction: "SCMP_ACT_ALLOW",
          syscalls: [
            { names: ["getcwd"], action: "SCMP_ACT_ERRNO", args: [{ index: 0, value: 1, op: "SCMP_CMP_LIKE" }] },
          ],
        },
      }),
    ],
    [
      /not a valid arch for seccomp/,
      linux({ seccomp: { defaultAction: "SCMP_ACT_ALLOW", architectures: ["SCMP_ARCH_Z80"] } }),
    ],
    [
      /seccomp flag SECCOMP_FILTER_FLAG_X/,
      linux({ seccomp: { defaultAction: "SCMP_ACT_ALLOW", flags: ["SECCOMP_FILTER_FLAG_X"] } }),
    ],
    [
      /listenerPath is not set/,
      linux({
        seccomp: { defaultAction: "SCMP_ACT_ALLOW", syscalls: [{ names: ["mkdir"], action: "SCMP_ACT_NOTIFY" }] },
      }),
    ],
    [/NOTIFY cannot be used as default/, linux({ seccomp: { defaultAction: "SCMP_ACT_NOTIFY", listenerPath: "/x" } })],
    [
      /NOTIFY cannot be used for the write/,
      linux({
        seccomp: {
          defaultAction: "SCMP_ACT_ALLOW",
          listenerPath: "/x",
          syscalls: [{ names: ["write"], action: "SCMP_ACT_NOTIFY" }],
        },
      }),
    ],
    [
      /hook #0: path must be absolute/,
      (spec) => Object.assign(spec, { hooks: { createRuntime: [{ path: "bin/true" }] } }),
    ],
    [
      /timeout must be greater than zero/,
      (spec) => Object.assign(spec, { hooks: { createRuntime: [{ path: "/bin/true", timeout: -1 }] } }),
    ],
  ];
  await using place = await Place.make();
  for (const [expected, change] of cases) {
    const bundle = await place.bundle(change);
    const result = await bundle.run();
    assert.notEqual(result.code, 0, `${expected}`);
    assert.match(result.stderr, expected);
    assert.deepEqual(await place.cgroupFolders(bundle.id), []);
  }
  assert.deepEqual(await readdir(place.root), []);
});

test("seccomp: every action does what it says", async () => {
  const actions: readonly (readonly [string, RegExp])[] = [
    ["SCMP_ACT_ALLOW", /^made 0$/],
    ["SCMP_ACT_LOG", /^made 0$/],
    ["SCMP_ACT_ERRNO", /^1$/],
    ["SCMP_ACT_TRACE", /^1$/], // nobody traces: ENOSYS
    ["SCMP_ACT_TRAP", /^159$/],
    ["SCMP_ACT_KILL", /^159$/],
    ["SCMP_ACT_KILL_THREAD", /^159$/],
    ["SCMP_ACT_KILL_PROCESS", /^159$/],
  ];
  await using place = await Place.make();
  for (const [action, expected] of actions) {
    const bundle = await place.bundle(
      both(
        linux({ seccomp: { defaultAction: "SCMP_ACT_ALLOW", syscalls: [{ names: ["mkdir", "mkdirat"], action }] } }),
        shell("mkdir /made; code=$?; test -d /made && echo made $code || echo $code"),
      ),
    );
    assert.match((await bundle.run()).stdout.trim(), expected, action);
  }
});

test("seccomp: flags are taken, all of them", { skip: oldRunc }, async () => {
  await using place = await Place.make();
  const flags = ["SECCOMP_FILTER_FLAG_LOG", "SECCOMP_FILTER_FLAG_SPEC_ALLOW", "SECCOMP_FILTER_FLAG_TSYNC"];
  if (isOurs) flags.push("SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV");
  const syscalls = [{ names: ["mkdir"], action: "SCMP_ACT_ERRNO", errnoRet: 13 }];
  const bundle = await place.bundle(
    both(
      linux({ seccomp: { defaultAction: "SCMP_ACT_ALLOW", flags, syscalls } }),
      shell("grep -E 'Seccomp(_filters)?:' /proc/self/status; mkdir /x"),
    ),
  );
  const result = await bundle.run();
  assert.match(result.stdout, /^Seccomp:\t2\nSeccomp_filters:\t1\n$/);
  assert.match(result.stderr, /Permission denied/);
});

test("seccomp: a listener gets the descriptor and the state of the process, for run and for exec", {
  skip: basename(runtime) === "crun" && "crun does not notify for exec",
}, async () => {
  await using place = await Place.make();
  const path = join(place.directory, "listener");
  const helper = new URL("../../runtime-native/build/helpers/seccomp-listener", import.meta.url).pathname;
  const listener = spawn(helper, [path, "2"], { stdio: ["ignore", "pipe", "inherit"] });
  const ended = once(listener, "close");
  const lines = createInterface(listener.stdout)[Symbol.asyncIterator]();
  const next = async (): Promise<string> => String((await lines.next()).value);
  assert.equal(await next(), "listening");
  const bundle = await place.bundle(
    both(
      linux({
        seccomp: {
          defaultAction: "SCMP_ACT_ALLOW",
          listenerPath: path,
          listenerMetadata: "for you",
          syscalls: [{ names: ["mkdir", "mkdirat"], action: "SCMP_ACT_NOTIFY" }],
        },
      }),
      shell("mkdir /made 2>/told; exec sleep 1000"),
      (spec) => Object.assign(spec, { annotations: { "a.b": "c" } }),
    ),
  );
  assert.equal((await bundle.detached("run")).code, 0);
  const { pid } = await bundle.state();
  const first = JSON.parse(await next());
  assert.deepEqual([first.fds, first.pid, first.metadata], [["seccompFd"], pid, "for you"]);
  assert.deepEqual([first.state.id, first.state.status, first.state.pid], [bundle.id, "creating", pid]);
  assert.deepEqual([first.state.bundle, first.state.annotations], [bundle.directory, { "a.b": "c" }]);
  const exec = await bundle.exec(["mkdir", "/other"]);
  assert.match(exec.stderr, /cross-device link/i);
  const second = JSON.parse(await next());
  assert.deepEqual([second.state.status, second.state.pid, second.metadata], ["running", pid, "for you"]);
  assert.notEqual(second.pid, pid);
  assert.equal((await bundle.call("delete", "--force", bundle.id)).code, 0);
  await ended;
});

test("hooks: the six of them, where they run and what they are told", async () => {
  await using place = await Place.make();
  const log = join(place.directory, "hooks");
  const bundle = await place.bundle(
    both(args("true"), (spec) => {
      const line = (name: string) => `echo ${name} $A $# $(readlink /proc/self/ns/mnt) $(cat)`;
      const outside = (name: string) => [
        {
          path: "/bin/sh",
          args: ["called", "-c", `${line(name)} >> ${log}`, "zero", "one"],
          env: ["A=env"],
          timeout: 10,
        },
      ];
      spec.hooks = {
        prestart: outside("prestart"),
        createRuntime: outside("createRuntime"),
        createContainer: outside("createContainer"),
        startContainer: [
          {
            path: "/bin/sh",
            args: ["sh", "-c", `PATH=/bin; ${line("startContainer")} > /hook`, "zero", "one"],
            env: ["A=env"],
          },
        ],
        poststart: outside("poststart"),
        poststop: outside("poststop"),
      };
      spec.annotations = { "x.y": "z" };
    }),
  );
  await output(bundle);
  const inside = await readFile(join(bundle.rootfs, "hook"), "utf8");
  const lines = [...(await readFile(log, "utf8")).trim().split("\n"), inside.trim()].map((text) => text.split(" "));
  const host = (await command("readlink", ["/proc/self/ns/mnt"])).stdout.trim();
  const told = new Map(
    lines.map(([name = "", env, count, ns, ...state]) => [
      name,
      { env, count, ns, state: JSON.parse(state.join(" ")) },
    ]),
  );
  assert.deepEqual(
    [...told.keys()],
    ["prestart", "createRuntime", "createContainer", "poststart", "poststop", "startContainer"],
  );
  const statuses = {
    createContainer: "creating",
    startContainer: "created",
    poststart: "running",
    poststop: "stopped",
  };
  for (const [name, { env, count, ns, state }] of told) {
    assert.deepEqual([env, count, state.id, state.bundle], ["env", "1", bundle.id, bundle.directory], name);
    assert.deepEqual(state.annotations, { "x.y": "z" });
    assert.equal(ns === host, !["createContainer", "startContainer"].includes(name), name);
    const status = Object.entries(statuses).find(([one]) => one === name)?.[1];
    // runc says "created" to poststart.
    if (status !== undefined && (isOurs || name !== "poststart")) assert.equal(state.status, status, name);
  }
});

test("hooks: one that takes too long is killed, one that fails is quoted, and the container is gone", {
  skip: words,
}, async () => {
  await using place = await Place.make();
  const hook = (name: string, entry: object) =>
    place.bundle((spec) => Object.assign(spec, { hooks: { [name]: [entry] } }));
  const slow = await (await hook("createContainer", { path: "/bin/sleep", args: ["sleep", "1000"], timeout: 1 })).run();
  assert.match(slow.stderr, /createContainer hook #0: hook ran past specified timeout of 1.0s/);
  const failing = await (
    await hook("startContainer", { path: "/bin/sh", args: ["sh", "-c", "echo out; echo err >&2; exit 5"] })
  ).run();
  assert.match(failing.stderr, /startContainer hook #0: exit status 5, stdout: out\\n, stderr: err/);
  const missing = await (await hook("prestart", { path: "/not/there" })).run();
  assert.match(missing.stderr, /prestart hook #0: .*\/not\/there: no such file/i);
  assert.deepEqual(await readdir(place.root), []);
});

/** Runs the bundle in a network namespace that has the device "outer". */
async function withDevice(bundle: Bundle): Promise<{ readonly stdout: string; readonly stderr: string }> {
  const make =
    "ip link add outer type veth peer name other && ip link set outer mtu 1777 address 00:11:22:33:44:55 && ip address add 10.9.8.7/24 dev outer && ip address add 127.9.9.9/32 scope host dev outer && ip -6 address add fd00::7/64 nodad dev outer";
  const line = `${make}; ${runtime} --root ${bundle.place.root} run --bundle ${bundle.directory} ${bundle.id}; ip -o link | grep -c outer`;
  return command("unshare", ["--net", "sh", "-c", line]);
}

test("netDevices: a device comes with its address, size and hardware address, under its new name, and up", {
  skip: oldRunc,
}, async () => {
  await using place = await Place.make();
  const bundle = await place.bundle(
    both(linux({ netDevices: { outer: { name: "inner" } } }), shell("ip address show dev inner")),
  );
  const { stdout, stderr } = await withDevice(bundle);
  assert.match(stdout, /inner@.*,UP,.* mtu 1777 .*\n.*00:11:22:33:44:55/, stderr);
  assert.match(stdout, /inet 10\.9\.8\.7\/24 .*inet6 fd00::7\/64/s);
  assert.doesNotMatch(stdout, /127\.9\.9\.9/);
});

test("netDevices: what cannot be moved is refused, and stays", { skip: words }, async () => {
  await using place = await Place.make();
  const cases: readonly (readonly [RegExp, object])[] = [
    [/network device lo already/, { outer: { name: "lo" } }],
    [/link not found for interface moon/, { moon: {} }],
    [/invalid network device name/, { "a/b": {} }],
    [/invalid network device name/, { outer: { name: "a-name-that-is-too-long" } }],
  ];
  for (const [expected, netDevices] of cases) {
    const { stdout, stderr } = await withDevice(await place.bundle(linux({ netDevices })));
    assert.match(stderr, expected);
    assert.equal(stdout, "2\n");
  }
  const without = await place.bundle(
    both(linux({ netDevices: { outer: {} } }), (spec) => {
      spec.linux = {
        ...spec.linux,
        namespaces: spec.linux?.namespaces?.filter(({ type }) => type !== "network") ?? [],
      };
    }),
  );
  assert.match((await without.run()).stderr, /without a NET namespace/);
});
