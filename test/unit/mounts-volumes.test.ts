/** Volumes on a real store. Needs root. */
import assert from "node:assert/strict";
import {
  chownSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { mkdtemp, rm } from "node:fs/promises";
import { join } from "node:path";
import test from "node:test";
import { systemClock } from "#base/clock";
import { EngineError } from "#base/errors";
import { type Id, newId } from "#base/ids";
import { createLog } from "#base/log";
import { getxattr, MS_BIND, MS_NOSUID, MS_RDONLY, MS_REC, MS_REMOUNT, MS_SLAVE, setxattr } from "#native";
import { type ContainerRecord, type MountRecord, openStorage, type VolumeRecord } from "#storage";
import { emptyHostConfig } from "../../src/engine/container/create/empty-host-config.ts";
import { resolveMounts } from "../../src/engine/container/create/mounts.ts";
import { Filters } from "../../src/engine/filters.ts";
import { mountSteps } from "../../src/engine/volume/mount-options.ts";
import { withAddress } from "../../src/engine/volume/network-address.ts";
import { VolumeService } from "../../src/engine/volume/service.ts";
import { imageConfig, requestOf } from "./create-fixtures.ts";

const isRoot = process.getuid?.() === 0;
const skip = !isRoot && "needs root";

async function place() {
  const undo = new AsyncDisposableStack();
  const root = await mkdtemp("/var/tmp/spec-volumes-");
  undo.defer(() => rm(root, { recursive: true, force: true }));
  const [dataRoot, execRoot] = [join(root, "data"), join(root, "exec")];
  const storage = undo.use(await openStorage({ dataRoot, execRoot, log: createLog("silent") }));
  const events: string[] = [];
  const emit = (_type: string, action: string, actor: string) => void events.push(`${action} ${actor}`);
  const records = storage.records.documents<VolumeRecord>("volume");
  const options = { dataRoot, execRoot, records, storage, events: { emit }, clock: systemClock };
  const volumes = await VolumeService.open(options, []);
  undo.defer(() => volumes.close());
  const mountsOf = new Map<string, MountRecord[]>();
  const create = async (body: Record<string, unknown>, fill?: (path: string) => void) => {
    const id = newId();
    await storage.snapshots.prepare(id, undefined);
    if (fill !== undefined) {
      await using mounted = await storage.snapshots.mount(id);
      fill(mounted.path);
    }
    const { request } = requestOf({ Image: "busybox", ...body });
    const { HostConfig: hostConfig, NetworkingConfig: _n, ...config } = request;
    const context = {
      volumes,
      storage,
      images: { get: (name: string): never => assert.fail(`no image ${name}`) },
      defaults: { dataRoot, execRoot },
      index: {
        get: (reference: string) => {
          const mounts = mountsOf.get(reference);
          if (mounts === undefined) throw new EngineError("notFound", `No such container: ${reference}`);
          return { record: { mounts } };
        },
      },
    };
    const mounts = await resolveMounts(context, { id, config, hostConfig: hostConfig ?? emptyHostConfig });
    mountsOf.set(id, mounts);
    return { id, mounts };
  };
  return {
    root,
    dataRoot,
    storage,
    volumes,
    events,
    create,
    reopen: (containers: ContainerRecord[]) => VolumeService.open(options, containers),
    [Symbol.asyncDispose]: () => undo.disposeAsync(),
  };
}

const record = (id: Id, mounts: MountRecord[]): ContainerRecord => ({
  id,
  name: "x",
  created: "",
  path: "",
  args: [],
  imageId: "" as ContainerRecord["imageId"],
  config: imageConfig("busybox"),
  runtime: "minirun",
  hostConfig: emptyHostConfig,
  mounts,
  networks: {},
  ports: {},
  sandboxId: "",
  sandboxKey: "",
  state: {
    status: "created",
    pid: 0,
    exitCode: 0,
    error: "",
    startedAt: "",
    finishedAt: "",
    oomKilled: false,
    restartCount: 0,
    hasBeenManuallyStopped: false,
    hasRun: false,
    health: null,
  },
});

const named = (name: string, more = {}) => ({
  ClusterVolumeSpec: null,
  Driver: "",
  DriverOpts: null,
  Labels: null,
  Name: name,
  ...more,
});

test("volume: create, inspect, list, remove", { skip }, async () => {
  await using here = await place();
  const { volumes } = here;
  const made = await volumes.create(named("data", { Labels: { a: "b" } }));
  assert.equal(made.Mountpoint, join(here.dataRoot, "volumes/data/_data"));
  assert.equal(statSync(made.Mountpoint).mode & 0o7777, 0o755);
  assert.equal(statSync(join(here.dataRoot, "volumes/data")).mode & 0o7777, 0o701);
  assert.deepEqual(await volumes.create(named("data")), made, "a second create finds the first");
  await volumes.create(named(""));
  const names = (fields: Record<string, string[]>) =>
    volumes.list(new Filters(Object.entries(fields))).Volumes?.map((volume) => volume?.Name.slice(0, 4));
  assert.deepEqual(names({ label: ["a=b"] }), ["data"]);
  assert.equal(names({ dangling: ["true"] })?.length, 2);
  assert.deepEqual(names({ name: ["^da"] }), ["data"]);
  await volumes.remove("data", { force: false });
  assert.equal(existsSync(join(here.dataRoot, "volumes/data")), false);
  await assert.rejects(volumes.remove("data", { force: false }), {
    message: "get data: no such volume",
    kind: "notFound",
  });
  await volumes.remove("data", { force: true });
  assert.deepEqual(
    here.events.filter((event) => event.endsWith("data")),
    ["create data", "destroy data"],
  );
});

test("volume: what is wrong is refused in dockerd's words", { skip }, async () => {
  await using here = await place();
  const refuses = (request: object, message: string, kind = "invalidParameter") =>
    assert.rejects(here.volumes.create(named("vv", request)), { message, kind });
  const rule = 'only "[a-zA-Z0-9][a-zA-Z0-9_.-]" are allowed';
  const hint = "If you intended to pass a host directory, use absolute path";
  await refuses(
    { Name: "bad/name" },
    `create bad/name: "bad/name" includes invalid characters for a local volume name, ${rule}. ${hint}`,
  );
  await refuses(
    { Name: "a" },
    "create a: volume name is too short, names should be at least two alphanumeric characters",
  );
  await refuses(
    { Driver: "nosuch" },
    'create vv: error looking up volume plugin nosuch: plugin "nosuch" not found',
    "notFound",
  );
  const options: [options: Record<string, string>, message: string][] = [
    [{ bogus: "1" }, 'invalid option: "bogus"'],
    [{ type: "tmpfs" }, 'missing required option: "device"'],
    [{ device: "tmpfs" }, 'missing required option: "type"'],
    [{ o: "ro", type: "tmpfs" }, 'missing required option: "device"'],
    [{ size: "1m" }, "quota size requested but no quota support"],
    [{ size: "zz" }, "invalid size: 'zz'"],
    [{ type: "cifs", device: "//host:445/x" }, "port not allowed in CIFS device URL, include 'port' in 'o='"],
  ];
  for (const [DriverOpts, message] of options) await refuses({ DriverOpts }, `create vv: ${message}`);
  const long = "x".repeat(256);
  const path = join(here.dataRoot, "volumes", long);
  const tooLong = `error while creating volume root path '${path}': mkdir ${path}: file name too long`;
  await refuses({ Name: long }, tooLong, "system");
  await here.volumes.close();
  assert.deepEqual(readdirSync(join(here.dataRoot, "volumes")), []);
});

test("volume: a fresh one is filled from the image, once, with owners and links", { skip }, async () => {
  await using here = await place();
  const fill = (path: string) => {
    mkdirSync(join(path, "data/sub"), { recursive: true });
    writeFileSync(join(path, "data/file"), "from the image");
    symlinkSync("file", join(path, "data/link"));
    chownSync(join(path, "data"), 5, 6);
    setxattr(join(path, "data"), "user.top", Buffer.from("kept"));
    chownSync(join(path, "data/file"), 1000, 1001);
  };
  const body = { HostConfig: { Binds: ["named:/data"] }, Volumes: { "/data": {}, "/anon": {} }, WorkingDir: "/a/b" };
  const first = await here.create(body, fill);
  await here.volumes.copyUp(record(first.id, first.mounts));
  const folder = join(here.dataRoot, "volumes/named/_data");
  assert.deepEqual(readdirSync(folder).sort(), ["file", "link", "sub"]);
  assert.deepEqual([statSync(folder).uid, statSync(folder).gid], [5, 6]);
  assert.equal(statSync(join(folder, "file")).uid, 1000);
  assert.equal(getxattr(folder, "user.top")?.toString(), "kept");
  writeFileSync(join(folder, "file"), "changed");
  const second = await here.create(body, fill);
  await here.volumes.copyUp(record(second.id, second.mounts));
  assert.equal(readFileSync(join(folder, "file"), "utf8"), "changed");
  assert.deepEqual(
    first.mounts.map(({ destination, mode, isAnonymous }) => [destination, mode, isAnonymous]),
    [
      ["/data", "z", false],
      ["/anon", "", true],
    ],
  );
  await using mounted = await here.storage.snapshots.mount(first.id);
  assert.ok(statSync(join(mounted.path, "a/b")).isDirectory());
});

test("volume: one that a container holds is not removed, and an anonymous one goes with it", { skip }, async () => {
  await using here = await place();
  const { id, mounts } = await here.create({ HostConfig: { Binds: ["kept:/k"] }, Volumes: { "/anon": {} } });
  const borrower = await here.create({ HostConfig: { VolumesFrom: [`${id}:ro`] } });
  assert.deepEqual(
    borrower.mounts.map(({ rw, isAnonymous }) => [rw, isAnonymous]),
    [
      [false, false],
      [false, true],
    ],
  );
  await assert.rejects(here.volumes.remove("kept", { force: true }), {
    kind: "conflict",
    message: `remove kept: volume is in use - [${id}, ${borrower.id}]`,
  });
  const left = () => readdirSync(join(here.dataRoot, "volumes")).filter((name) => !name.startsWith("."));
  await here.volumes.removeAnonymousOf(record(id, mounts));
  here.volumes.forget(id);
  assert.equal(left().length, 2, "the borrower has it still");
  await here.volumes.removeAnonymousOf(record(borrower.id, borrower.mounts));
  here.volumes.forget(borrower.id);
  assert.deepEqual(left(), ["kept"]);
});

test("volume: after a crash folders and rows agree again, and nobody's data is lost", { skip }, async () => {
  await using here = await place();
  const root = join(here.dataRoot, "volumes");
  const { id, mounts } = await here.create({ HostConfig: { Binds: ["emptied:/v"] } });
  await here.volumes.create(named("half-removed"));
  for (const name of ["emptied", "half-removed"]) await rm(join(root, name), { recursive: true });
  mkdirSync(join(root, "by-hand/_data"), { recursive: true });
  writeFileSync(join(root, "by-hand/_data/file"), "data");
  for (const name of [".gone-x/_data", "no-volume", "-bad/_data"]) mkdirSync(join(root, name), { recursive: true });
  const volumes = await here.reopen([record(id, mounts)]);
  await volumes.close();
  const found = volumes.list(new Filters()).Volumes?.map((volume) => volume?.Name);
  assert.deepEqual(found, ["by-hand", "emptied"]);
  assert.equal(readFileSync(join(root, "by-hand/_data/file"), "utf8"), "data");
  assert.deepEqual(readdirSync(root).sort(), ["-bad", "by-hand", "emptied", "no-volume"]);
  mkdirSync(join(root, "later/_data/kept"), { recursive: true });
  await volumes.create(named("later"));
  assert.deepEqual(readdirSync(join(root, "later/_data")), ["kept"]);
});

test("volume: one goes with the container that it was made for if that was never recorded, unless it was left on purpose", {
  skip,
}, async () => {
  await using here = await place();
  const kept = await here.create({ Volumes: { "/anon": {} } });
  const lost = await here.create({ Volumes: { "/anon": {} }, HostConfig: { Binds: ["half-filled:/v"] } });
  const wanted = await here.create({ HostConfig: { Binds: ["wanted:/v"] } });
  await here.volumes.create(named("wanted"));
  const undone = await here.create({ Volumes: { "/anon": {} }, HostConfig: { Binds: ["undone:/v"] } });
  await here.volumes.discard(undone.id, undone.mounts);
  const borrowed = await here.create({ Volumes: { "/anon": {} } });
  const borrower = await here.create({ HostConfig: { VolumesFrom: [borrowed.id] } });
  here.volumes.keep(kept, { withAnonymous: true });
  const volumes = await here.reopen([record(borrower.id, borrower.mounts)]);
  const names = volumes.list(new Filters()).Volumes?.map((volume) => volume?.Name);
  const stayed = [kept, borrowed, wanted].map(({ mounts }) => mounts[0]?.name ?? "");
  assert.deepEqual(names?.sort(), [...stayed, "undone"].sort());
  assert.ok(lost.mounts.every(({ name }) => !names?.includes(name)));
});

test("volume: prune takes anonymous ones unless told all", { skip }, async () => {
  await using here = await place();
  await here.volumes.create(named("kept"));
  const anonymous = await here.volumes.create(named(""));
  writeFileSync(join(anonymous.Mountpoint, "file"), "12345");
  const first = await here.volumes.prune(new Filters());
  assert.deepEqual(first, { VolumesDeleted: [anonymous.Name], SpaceReclaimed: 5 });
  const second = await here.volumes.prune(new Filters([["all", ["1"]]]));
  assert.deepEqual(second.VolumesDeleted, ["kept"]);
  await assert.rejects(here.volumes.prune(new Filters([["all", ["x"]]])), {
    message: `invalid filter 'all': strconv.ParseBool: parsing "x": invalid syntax`,
  });
});

test("volume: with driver options it is mounted while a container runs", { skip }, async () => {
  await using here = await place();
  await here.volumes.create(
    named("ram", { DriverOpts: { type: "tmpfs", device: "tmpfs", o: "size=1m,uid=5,noexec" } }),
  );
  const { id, mounts } = await here.create({ HostConfig: { Binds: ["ram:/r"] } });
  const line = () =>
    readFileSync("/proc/self/mountinfo", "utf8")
      .split("\n")
      .find((text) => text.split(" ")[4] === mounts[0]?.source);
  await here.volumes.acquire(record(id, mounts));
  assert.match(line() ?? "", /noexec.* tmpfs .*size=1024k/);
  assert.equal(statSync(mounts[0]?.source ?? "").uid, 5);
  const adopted = await here.reopen([{ ...record(id, mounts), state: { ...record(id, []).state, pid: 1 } }]);
  await adopted.restore([], []);
  assert.notEqual(line(), undefined, "somebody runs with it");
  await adopted.release(id);
  assert.equal(line(), undefined);
  await here.volumes.acquire(record(id, mounts));
  const restarted = await here.reopen([record(id, mounts)]);
  await restarted.restore([], [record(id, mounts)]);
  assert.equal(line(), undefined, "left by a daemon that died in a start");
  assert.deepEqual(here.events.slice(1, 3), ["mount ram", "unmount ram"]);
});

test("volume: what its options say is what mount(2) is told", () => {
  const words: [words: string, steps: (readonly [name: string, flags: number, data: string])[]][] = [
    ["", [["mount", 0, ""]]],
    ["size=1m,,ro,nosuid,rw,mode=700", [["mount", MS_NOSUID, "size=1m,mode=700"]]],
    [
      "bind,ro",
      [
        ["mount", MS_BIND | MS_RDONLY, ""],
        ["remount-ro", MS_BIND | MS_RDONLY | MS_REMOUNT, ""],
      ],
    ],
    [
      "rbind,rslave,addr=::1",
      [
        ["mount", MS_BIND | MS_REC, "addr=::1"],
        ["remount", MS_SLAVE | MS_REC, ""],
      ],
    ],
  ];
  for (const [text, steps] of words) {
    const found = mountSteps(text).map(({ name, flags, data }) => [name, flags, data]);
    assert.deepEqual(found, steps, text);
  }
});

test("volume: network file systems are mounted by address", async () => {
  const cases: [options: Record<string, string>, changed: Record<string, string>][] = [
    [{ type: "nfs", device: ":/x", o: "rw,addr=localhost,soft" }, { o: "rw,addr=127.0.0.1,soft" }],
    [{ type: "nfs", device: ":/x", o: "addr=192.0.2.1" }, {}],
    [{ type: "cifs", device: "//localhost/share", o: "username=u" }, { device: "//127.0.0.1/share" }],
    [{ type: "tmpfs", device: "tmpfs", o: "addr=localhost" }, {}],
  ];
  for (const [options, changed] of cases) {
    const found = await withAddress(options);
    assert.deepEqual({ ...found, o: found.o?.replace("::1", "127.0.0.1") }, { ...options, ...changed });
  }
  const nowhere = { type: "nfs", device: ":/x", o: "addr=nowhere.invalid" };
  await assert.rejects(
    withAddress(nowhere),
    /^Error: error resolving passed in network volume address: lookup nowhere/,
  );
});

test("volume: a subpath cannot lead outside, and is a mount of the engine's own", { skip }, async () => {
  await using here = await place();
  const volume = await here.volumes.create(named("vol"));
  mkdirSync(join(volume.Mountpoint, "sub"));
  writeFileSync(join(volume.Mountpoint, "sub/file"), "inside");
  symlinkSync("/etc", join(volume.Mountpoint, "evil"));
  const mount = (Subpath: string) => ({
    HostConfig: { Mounts: [{ Type: "volume", Source: "vol", Target: "/v", VolumeOptions: { Subpath } }] },
  });
  const good = await here.create(mount("sub"));
  const [resolved] = await here.volumes.resolve(record(good.id, good.mounts));
  assert.ok(resolved?.type === "bind");
  assert.equal(readFileSync(join(resolved.source, "file"), "utf8"), "inside");
  await here.volumes.release(good.id);
  assert.equal(existsSync(resolved.source), false);
  const evil = await here.create(mount("evil"));
  await assert.rejects(
    here.volumes.resolve(record(evil.id, evil.mounts)),
    /path concatenation escapes the base directory/,
  );
  const missing = await here.create(mount("nosuch"));
  await assert.rejects(here.volumes.resolve(record(missing.id, missing.mounts)), {
    kind: "notFound",
    message: `cannot access path ${volume.Mountpoint}/nosuch: lstat ${volume.Mountpoint}/nosuch: no such file or directory`,
  });
  symlinkSync(join(volume.Mountpoint, "sub"), join(volume.Mountpoint, "back"));
  const back = await here.create(mount("back"));
  const [inside] = await here.volumes.resolve(record(back.id, back.mounts));
  assert.ok(inside?.type === "bind");
  assert.deepEqual(readdirSync(inside.source), ["file"]);
  await here.volumes.release(back.id);
});

test("mounts: a failed create leaves no volume behind", { skip }, async () => {
  await using here = await place();
  const fill = (path: string) => writeFileSync(join(path, "file"), "");
  const body = { Volumes: { "/anon": {}, "/file": {} } };
  await assert.rejects(here.create(body, fill), /cannot mount volume over existing file, file exists/);
  await assert.rejects(here.create({ WorkingDir: "/file/x" }, fill), {
    message: "Cannot mkdir: /file/x is not a directory",
  });
  await here.volumes.close();
  assert.deepEqual(readdirSync(join(here.dataRoot, "volumes")), []);
});

test("mounts: links in an image lead nowhere but into it", { skip }, async () => {
  await using here = await place();
  const fill = (path: string) => symlinkSync("/var/tmp", join(path, "out"));
  const escaped = `spec-escaped-${newId()}`;
  await assert.rejects(here.create({ WorkingDir: `/out/${escaped}` }, fill), {
    message: `Cannot mkdir: /out/${escaped} is not a directory`,
  });
  assert.equal(existsSync(`/var/tmp/${escaped}`), false);
});
