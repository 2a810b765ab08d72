import assert from "node:assert/strict";
import { mkdir, readFile, readlink, writeFile } from "node:fs/promises";
import { basename, join } from "node:path";
import { test } from "node:test";
import type { NamespaceType, Spec } from "#runtime";
import { args, type Bundle, both, command, isOurs, isUnified, Place, runtime, shell } from "./launcher-rig.ts";

// User namespaces, and the namespaces that are joined beside them.

const words = !isOurs && "the words are ours";
const debianRunc = !isOurs && basename(runtime) === "runc" && "runc 1.1 has none of this";

/** Root of the container is 100000 outside. */
function mapped(size = 65536): (spec: Spec) => void {
  return (spec) => {
    spec.linux?.namespaces?.push({ type: "user" });
    const mappings = [{ containerID: 0, hostID: 100000, size }];
    spec.linux = { ...spec.linux, uidMappings: mappings, gidMappings: mappings };
  };
}

function namespace(type: NamespaceType, path?: string): (spec: Spec) => void {
  return (spec) => {
    const others = spec.linux?.namespaces?.filter((one) => one.type !== type) ?? [];
    spec.linux = { ...spec.linux, namespaces: [...others, path === undefined ? { type } : { type, path }] };
  };
}

/** A network namespace of the host's, held by a process that ends with the container's test. */
async function heldNamespace(place: Place): Promise<string> {
  const holder = await place.bundle(args("sleep", "1000"));
  const started = await holder.detached("run");
  assert.equal(started.code, 0, started.stderr);
  return `/proc/${(await holder.state()).pid}/ns/net`;
}

async function output(bundle: Bundle): Promise<string> {
  const result = await bundle.run();
  assert.equal(result.code, 0, result.stderr);
  return result.stdout;
}

test("user namespace: a process in it, and an exec, is another user outside", async () => {
  await using place = await Place.make();
  const bundle = await place.bundle(both(mapped(), args("sleep", "1000")));
  assert.equal((await bundle.detached("run")).code, 0);
  const { pid } = await bundle.state();
  const status = await readFile(`/proc/${pid}/status`, "utf8");
  assert.match(status, /^Uid:\s+100000\s+100000\s+100000\s+100000$/m);
  assert.match(status, /^Gid:\s+100000\s+100000\s+100000\s+100000$/m);
  const same = await bundle.exec(["sh", "-c", "id -u; readlink /proc/self/ns/user; grep CapInh /proc/self/status"]);
  assert.equal(same.stdout, `0\n${await readlink(`/proc/${pid}/ns/user`)}\nCapInh:\t0000000000000000\n`, same.stderr);
  const other = await bundle.exec(["sh", "-c", "id; cat /proc/self/uid_map"], ["--user", "7:8"]);
  assert.match(other.stdout, /^uid=7 gid=8\n\s+0\s+100000\s+65536\n$/);
});

test("user namespace: devices work, and belong to whom the config says", async () => {
  await using place = await Place.make();
  const bundle = await place.bundle(
    both(
      mapped(),
      shell(
        "head -c 3 /dev/zero | wc -c; echo lost > /dev/null; stat -c '%n %u:%g %a %t:%T' /dev/null /dev/tty /dev/ours",
      ),
      (spec) => {
        // A name that the host has no node for: it must be made, not found.
        spec.linux = {
          ...spec.linux,
          devices: [{ path: "/dev/ours", type: "c", major: 1, minor: 5, uid: 10, gid: 11, fileMode: 0o640 }],
        };
      },
    ),
  );
  if (!isOurs) return;
  assert.equal(await output(bundle), "3\n/dev/null 0:0 666 1:3\n/dev/tty 0:0 666 5:0\n/dev/ours 10:11 640 1:5\n");
});

const hostMounts = "awk '$5 ~ \"^/(run|var|boot|home)\"' /proc/self/mountinfo; ls -d /../usr";

test("user namespace: nothing of the host's mounts can be seen", async () => {
  await using place = await Place.make();
  const result = await (await place.bundle(both(mapped(), shell(hostMounts)))).run();
  assert.equal(result.stdout, "");
  assert.match(result.stderr, /\/\.\.\/usr: No such file/);
});

test("the host's tree is out of reach also where something is mounted over its root", {
  skip: !isOurs && "runc and crun show the host's tree there",
}, async () => {
  await using place = await Place.make();
  const bundle = await place.bundle(shell(hostMounts));
  const line = `mount -t tmpfs over / && exec ${runtime} --root ${place.root} run --bundle ${bundle.directory} ${bundle.id}`;
  const result = await command("unshare", ["--mount", "sh", "-c", line]);
  assert.equal(result.stdout, "");
  assert.match(result.stderr, /\/\.\.\/usr: No such file/);
});

test("user namespace: cgroups are those of the container and cannot be written", async () => {
  await using place = await Place.make();
  const script = `grep -c : /proc/self/cgroup; grep -v ':/$' /proc/self/cgroup; cd /sys/fs/cgroup${isUnified ? "" : "/pids"}; mkdir x || echo refused; head -1 cgroup.procs`;
  const bundle = await place.bundle(both(mapped(), namespace("cgroup"), shell(script)));
  const [hierarchies, ...rest] = (await output(bundle)).trim().split("\n");
  assert.ok(Number(hierarchies) > (isUnified ? 0 : 1));
  assert.deepEqual(rest, ["refused", "1"]);
});

test("user namespace: a bind source that only the host's root can reach is mounted", async () => {
  await using place = await Place.make();
  const secret = join(place.directory, "secret");
  await mkdir(secret, { mode: 0o700 });
  await writeFile(join(secret, "file"), "reached\n");
  const bundle = await place.bundle(
    both(mapped(), shell("cat /mnt; stat -c %u:%g /mnt"), (spec) => {
      spec.mounts?.push({ destination: "/mnt", type: "bind", source: join(secret, "file"), options: ["bind", "ro"] });
    }),
  );
  await writeFile(join(bundle.rootfs, "mnt"), "");
  if (basename(runtime) === "runc") return; // 1.1 cannot
  assert.equal(await output(bundle), "reached\n65534:65534\n");
});

test("user namespace: a terminal belongs to the process's user", { skip: debianRunc }, async () => {
  await using place = await Place.make();
  const bundle = await place.bundle(
    both(mapped(), shell("stat -c %u $(readlink /proc/self/fd/0)"), (spec) => {
      if (spec.process === undefined) return;
      spec.process.terminal = true;
      spec.process.user = { uid: 5, gid: 5 };
    }),
  );
  const line = `${runtime} --root ${place.root} run --bundle ${bundle.directory} ${bundle.id}`;
  const result = await command("script", ["-qec", line, "/dev/null"]);
  assert.match(result.stdout, /5\r\n/);
});

test("user namespace: a namespace of the host's is joined beside a new one", async () => {
  await using place = await Place.make();
  const path = await heldNamespace(place);
  const bundle = await place.bundle(
    both(mapped(), namespace("network", path), shell("readlink /proc/self/ns/net; id -u"), (spec) => {
      spec.mounts = spec.mounts?.filter((mount) => mount.type !== "sysfs" && mount.type !== "cgroup") ?? [];
    }),
  );
  assert.equal(await output(bundle), `${await readlink(path)}\n0\n`);
});

test("user namespace: an existing one is joined with what belongs to it, as in a pod", {
  skip: debianRunc,
}, async () => {
  await using place = await Place.make();
  const first = await place.bundle(both(mapped(), args("sleep", "1000")));
  assert.equal((await first.detached("run")).code, 0);
  const { pid } = await first.state();
  const ns = (file: string) => `/proc/${pid}/ns/${file}`;
  const second = await place.bundle(
    both(
      namespace("user", ns("user")),
      namespace("network", ns("net")),
      namespace("ipc", ns("ipc")),
      namespace("uts", ns("uts")),
      namespace("pid", ns("pid")),
      shell(
        "for n in user net ipc uts pid; do readlink /proc/self/ns/$n; done; ls -d /proc/1 && hostname; stat -c %a /dev/null",
      ),
      (spec) => {
        delete spec.hostname;
      },
    ),
  );
  const links = await Promise.all(["user", "net", "ipc", "uts", "pid"].map((file) => readlink(ns(file))));
  assert.equal(await output(second), `${links.join("\n")}\n/proc/1\nbox\n666\n`);
  // Callers that name the mappings too (podman) must name the right ones.
  const mappings = (hostID: number) => (spec: Spec) => {
    const list = [{ containerID: 0, hostID, size: 65536 }];
    Object.assign(spec.linux ?? {}, { uidMappings: list, gidMappings: list });
  };
  const same = await place.bundle(both(namespace("user", ns("user")), mappings(100000), shell("id -u")));
  assert.equal(await output(same), "0\n");
  const other = await place.bundle(both(namespace("user", ns("user")), mappings(200000)));
  assert.match((await other.run()).stderr, /both namespace path and (non-matching )?mapping/);
});

test("user namespace: /sys is the host's, read-only, where the network is", { skip: debianRunc }, async () => {
  await using place = await Place.make();
  const bundle = await place.bundle(
    both(
      mapped(),
      shell(
        "ls -d /sys/class/net; mkdir /sys/fs/cgroup/pids/x || echo refused; grep -c ' /sys.* rw,.* - ' /proc/self/mountinfo",
      ),
      (spec) => {
        const { linux } = spec;
        spec.linux = { ...linux, namespaces: linux?.namespaces?.filter(({ type }) => type !== "network") ?? [] };
        spec.mounts = spec.mounts?.filter((mount) => mount.type !== "cgroup") ?? [];
      },
    ),
  );
  const result = await bundle.run();
  assert.equal(result.stdout, "/sys/class/net\nrefused\n0\n", result.stderr);
});

test("user namespace: what cannot be is refused in words", { skip: words }, async () => {
  const cases: readonly (readonly [RegExp, (spec: Spec) => void])[] = [
    [
      /gid 9 in user namespace/,
      both(mapped(6), (spec) => Object.assign(spec.process ?? {}, { user: { uid: 9, gid: 9 } })),
    ],
    [/cannot specify gid=5 mount option/, mapped(3)],
    [
      /no uid mapping for the container's root/,
      both(mapped(), (spec) => Object.assign(spec.linux?.uidMappings?.[0] ?? {}, { containerID: 1 })),
    ],
    [
      /isn't enabled in the config/,
      (spec) => Object.assign(spec.linux ?? {}, { uidMappings: [{ containerID: 0, hostID: 0, size: 1 }] }),
    ],
    [/namespace path \/proc\/self\/ns\/uts is not of type net/, namespace("network", "/proc/self/ns/uts")],
    [/namespace path \/etc\/passwd is no namespace/, namespace("ipc", "/etc/passwd")],
    [/namespace path: lstat \/nowhere: no such file/, namespace("pid", "/nowhere")],
    [/not an absolute path/, namespace("uts", "proc/self/ns/uts")],
    [/duplicated ns/, (spec) => spec.linux?.namespaces?.push({ type: "pid" })],
    [/namespace .* does not exist/, (spec) => spec.linux?.namespaces?.push({ type: "moon" as NamespaceType })],
  ];
  await using place = await Place.make();
  for (const [expected, change] of cases) {
    const result = await (await place.bundle(change)).run();
    assert.notEqual(result.code, 0);
    assert.match(result.stderr, expected);
  }
});

test("time namespace: clocks have their offsets, also in a user namespace, and for exec", {
  skip: debianRunc,
}, async () => {
  await using place = await Place.make();
  const day = 86400;
  const offsets = { monotonic: { secs: day }, boottime: { secs: 10 * day, nanosecs: 5 } };
  for (const change of [mapped(), () => undefined]) {
    const bundle = await place.bundle(
      both(change, namespace("time"), args("sleep", "1000"), (spec) =>
        Object.assign(spec.linux ?? {}, { timeOffsets: offsets }),
      ),
    );
    const started = await bundle.detached("run");
    assert.equal(started.code, 0, await readFile(`${bundle.directory}/log`, "utf8").catch(() => ""));
    const host = Number((await readFile("/proc/uptime", "utf8")).split(" ")[0]);
    const inside = await bundle.exec(["cat", "/proc/uptime"]);
    const difference = Number(inside.stdout.split(" ")[0]) - host;
    assert.ok(difference > 10 * day - 1 && difference < 10 * day + 60, `${difference}`);
  }
});

test("time namespace: offsets without a namespace of its own, or of an unknown clock, are refused", {
  skip: words,
}, async () => {
  await using place = await Place.make();
  const timeOffsets = { monotonic: { secs: 1 } };
  const without = await place.bundle((spec) => Object.assign(spec.linux ?? {}, { timeOffsets }));
  assert.match((await without.run()).stderr, /time namespace isn't enabled/);
  const joined = await place.bundle(
    both(namespace("time", "/proc/self/ns/time"), (spec) => Object.assign(spec.linux ?? {}, { timeOffsets })),
  );
  assert.match((await joined.run()).stderr, /both namespace path and time offsets/);
  const unknown = await place.bundle(
    both(namespace("time"), (spec) => Object.assign(spec.linux ?? {}, { timeOffsets: { sundial: { secs: 1 } } })),
  );
  assert.notEqual((await unknown.run()).code, 0);
});

test("idmap: a mount shows other owners, by its own mappings or the container's", { skip: debianRunc }, async () => {
  await using place = await Place.make();
  const folder = join(place.directory, "data");
  await command("sh", ["-c", `mkdir ${folder} && touch ${folder}/f && chown 3:4 ${folder}/f`]);
  const mappings = [{ containerID: 3, hostID: 1003, size: 2 }];
  const cases: readonly (readonly [string, string[], object, (spec: Spec) => void])[] = [
    ["1003:1004", ["bind", "idmap"], { uidMappings: mappings, gidMappings: mappings }, () => undefined],
    ["1003:1004", ["rbind", "ridmap"], { uidMappings: mappings, gidMappings: mappings }, () => undefined],
    ["3:4", ["bind", "idmap"], {}, mapped()],
    ["1003:2004", ["bind", "idmap=uids=3-1003-1#5-6-1;gids=4-2004-1"], {}, () => undefined],
    ["7:8", ["bind", "idmap=uids=@3-7-1;gids=@4-8-1"], {}, mapped()],
  ];
  for (const [owner, options, extra, change] of cases) {
    if (basename(runtime) === "crun" && options.some((option) => option.includes("#"))) continue;
    const bundle = await place.bundle(
      both(change, shell("stat -c %u:%g /mnt/f"), (spec) => {
        spec.mounts?.push({ destination: "/mnt", type: "bind", source: folder, options, ...extra });
      }),
    );
    await mkdir(join(bundle.rootfs, "mnt"));
    assert.equal(await output(bundle), `${owner}\n`, options.join());
  }
});

test("idmap: what cannot be mapped is refused in words", { skip: words }, async () => {
  await using place = await Place.make();
  const uidMappings = [{ containerID: 0, hostID: 1, size: 1 }];
  const cases: readonly (readonly [RegExp, object])[] = [
    [/must have both uid and gid mappings/, { options: ["bind", "idmap"] }],
    [/must have both uid and gid mappings/, { options: ["bind", "idmap"], uidMappings }],
    [/only supported for bind-mounts/, { type: "tmpfs", options: ["idmap"], uidMappings, gidMappings: uidMappings }],
    [/invalid mount option idmap=uids=1-2/, { options: ["bind", "idmap=uids=1-2;gids=0-0-1"] }],
    [/invalid mount option idmap=kings=1-2-3/, { options: ["bind", "idmap=kings=1-2-3"] }],
    [
      /MOUNT_ATTR_IDMAP on \/proc: maybe the filesystem/,
      { source: "/proc", options: ["bind", "idmap"], uidMappings, gidMappings: uidMappings },
    ],
  ];
  for (const [expected, mount] of cases) {
    const bundle = await place.bundle((spec) => {
      spec.mounts?.push({ destination: "/mnt", type: "bind", source: "/var/tmp", ...mount });
    });
    const result = await bundle.run();
    assert.notEqual(result.code, 0);
    assert.match(result.stderr, expected);
  }
});
