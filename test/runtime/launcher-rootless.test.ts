import assert from "node:assert/strict";
import { chmod, mkdir, readdir, readFile, stat, writeFile } from "node:fs/promises";
import { basename, join } from "node:path";
import { test } from "node:test";
import type { Spec } from "#runtime";
import { type Bundle, command, isOurs, isUnified, Place, type Result, runtime } from "./launcher-rig.ts";

// Containers of a user without privileges: of one who may map only himself, and of one with a range in /etc/subuid.

const alone = 61234;
const words = !isOurs && "the words are ours";

/** The runtime as that user, his states below $XDG_RUNTIME_DIR. */
class User implements AsyncDisposable {
  readonly uid: number;
  readonly place: Place;
  readonly runtimeDir: string;

  constructor(place: Place, uid: number) {
    this.place = place;
    this.uid = uid;
    this.runtimeDir = join(place.directory, "xdg");
  }

  /** With what `spec --rootless` writes, changed. */
  async bundle(change: (spec: Spec) => void): Promise<Bundle> {
    const bundle = await this.place.bundle();
    await command("rm", [join(bundle.directory, "config.json")]);
    await mkdir(this.runtimeDir, { recursive: true });
    await command("chown", ["-R", `${this.uid}:${this.uid}`, bundle.directory, this.runtimeDir]);
    const made = await this.call(["spec", "--rootless", "--bundle", bundle.directory]);
    assert.equal(made.code, 0, made.stderr);
    const file = join(bundle.directory, "config.json");
    const spec: Spec = JSON.parse(await readFile(file, "utf8"));
    if (spec.process !== undefined) spec.process = { ...spec.process, terminal: false, env: ["PATH=/bin"] };
    change(spec);
    await writeFile(file, JSON.stringify(spec));
    return bundle;
  }

  call(words: readonly string[], around: readonly string[] = []): Promise<Result> {
    const environment = [`XDG_RUNTIME_DIR=${this.runtimeDir}`, "USER=somebody", `PATH=${process.env.PATH}`];
    const user = [`--reuid=${this.uid}`, `--regid=${this.uid}`, "--clear-groups"];
    return command("setpriv", [...user, "env", "-i", ...environment, ...around, runtime, ...words]);
  }

  run(bundle: Bundle, ...flags: string[]): Promise<Result> {
    return this.call([...flags, "run", "--bundle", bundle.directory, bundle.id]);
  }

  /** What goes on running has no pipe of ours. */
  async start(bundle: Bundle): Promise<void> {
    const line = `exec ${runtime} run --detach --bundle ${bundle.directory} ${bundle.id} </dev/null >${this.runtimeDir}/out 2>&1`;
    const environment = [`XDG_RUNTIME_DIR=${this.runtimeDir}`, `PATH=${process.env.PATH}`];
    const user = [`--reuid=${this.uid}`, `--regid=${this.uid}`, "--clear-groups"];
    const { code } = await command("setpriv", [...user, "env", "-i", ...environment, "sh", "-c", line]);
    assert.equal(code, 0, await readFile(`${this.runtimeDir}/out`, "utf8"));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const ids = await readdir(join(this.runtimeDir, basename(runtime))).catch((): string[] => []);
    for (const id of ids) await this.call(["delete", "--force", id]);
  }
}

function shell(script: string, change: (spec: Spec) => void = () => undefined): (spec: Spec) => void {
  return (spec) => {
    if (spec.process !== undefined) spec.process.args = ["sh", "-c", script];
    change(spec);
  };
}

test("rootless: a user maps himself to the container's root, without newuidmap", async () => {
  await using place = await Place.make();
  await using user = new User(place, alone);
  const bundle = await user.bundle(
    shell(
      "id -u; cat /proc/self/setgroups; echo lost > /dev/null; stat -c %t:%T /dev/zero; ls -d /sys/class/net; hostname",
    ),
  );
  const result = await user.run(bundle);
  assert.equal(result.stdout, `0\ndeny\n1:5\n/sys/class/net\n${basename(runtime)}\n`, result.stderr);
  assert.deepEqual(await readdir(join(user.runtimeDir, basename(runtime))), []);
});

test("rootless: exec, ps, state, list, kill and delete work without cgroups, pause says what is missing", {
  skip: !isOurs && "runc has neither ps nor kill --all without cgroups",
}, async () => {
  await using place = await Place.make();
  await using user = new User(place, alone);
  const bundle = await user.bundle(shell("sleep 1000 & exec sleep 1000"));
  await user.start(bundle);
  const { id } = bundle;
  const folder = await stat(join(user.runtimeDir, "minirun"));
  assert.equal(folder.mode & 0o7777, 0o1700);
  assert.match((await user.call(["state", id])).stdout, /"status": "running"/);
  assert.match((await user.call(["list"])).stdout, new RegExp(`^${id}\\s+\\d+\\s+running\\s.*#${alone}`, "m"));
  const exec = await user.call(["exec", id, "sh", "-c", "id -u; echo $$; ls /proc/1/exe"]);
  assert.match(exec.stdout, /^0\n\d+\n\/proc\/1\/exe\n$/, exec.stderr);
  const terminal = await user.call(["exec", "--tty", id, "tty"]);
  assert.match(terminal.stdout, /^\/dev\/pts\/0\r?\n$/, terminal.stderr);
  const processes: unknown = JSON.parse((await user.call(["ps", "--format", "json", id])).stdout);
  assert.ok(Array.isArray(processes) && processes.length === 2);
  assert.match((await user.call(["pause", id])).stderr, /freezer/);
  assert.match((await user.call(["update", "--memory", "100000000", id])).stderr, /cannot set memory limit/);
  assert.equal((await user.call(["kill", "--all", id, "KILL"])).code, 0);
  assert.equal((await user.call(["delete", "--force", id])).code, 0);
  assert.equal((await user.call(["state", id])).code, 1);
});

test("rootless: what cannot be given is refused in words, what can be left is left", { skip: words }, async () => {
  await using place = await Place.make();
  await using user = new User(place, alone);
  const refused: readonly (readonly [RegExp, (spec: Spec) => void])[] = [
    [
      isUnified ? /rootless needs no limits/ : /cannot set memory limit: container could not join/,
      (spec) => Object.assign(spec.linux ?? {}, { resources: { memory: { limit: 1e8 } } }),
    ],
    [
      /additional groups in a rootless container/,
      (spec) => Object.assign(spec.process?.user ?? {}, { additionalGids: [0] }),
    ],
    [/setgid to unmapped gid 7/, (spec) => Object.assign(spec.process?.user ?? {}, { uid: 7, gid: 7 })],
    [
      /cannot specify gid=5 mount option/,
      (spec) => spec.mounts?.find(({ type }) => type === "devpts")?.options?.push("gid=5"),
    ],
  ];
  for (const [expected, change] of refused) {
    const result = await user.run(await user.bundle(shell("true", change)));
    assert.notEqual(result.code, 0);
    assert.match(result.stderr, expected);
  }
  const lowered = await user.run(
    await user.bundle(
      shell("cat /proc/self/oom_score_adj", (spec) => Object.assign(spec.process ?? {}, { oomScoreAdj: -900 })),
    ),
  );
  assert.equal(lowered.stdout, "0\n", lowered.stderr);
  assert.match(lowered.stderr, /no CAP_SYS_RESOURCE to set oom_score_adj to -900/);
});

test("rootless: without a user namespace in the config there is one, with ourselves as its root", {
  skip: words,
}, async () => {
  await using place = await Place.make();
  await using user = new User(place, alone);
  const bundle = await user.bundle(
    shell("id -u; cat /proc/self/uid_map", (spec) => {
      const { uidMappings, gidMappings, ...linux } = spec.linux ?? {};
      spec.linux = { ...linux, namespaces: linux.namespaces?.filter(({ type }) => type !== "user") ?? [] };
    }),
  );
  const result = await user.run(bundle);
  assert.match(result.stdout, /^0\n\s+0\s+\d+\s+1\n$/, result.stderr);
});

test("rootless: --rootless is true, false or auto; false insists on cgroups", { skip: words }, async () => {
  await using place = await Place.make();
  await using user = new User(place, alone);
  const bundle = await user.bundle(shell("echo runs"));
  assert.equal((await user.run(bundle, "--rootless=true")).stdout, "runs\n");
  assert.equal((await user.run(bundle, "--rootless=auto")).stdout, "runs\n");
  assert.match((await user.run(bundle, "--rootless=false")).stderr, /cgroup.*permission denied/);
  assert.match((await user.run(bundle, "--rootless=perhaps")).stderr, /invalid argument for rootless: perhaps/);
});

test("rootless: the root of a user namespace makes containers in it, as podman's runtime does", async () => {
  await using place = await Place.make();
  await using user = new User(place, alone);
  const bundle = await user.bundle(
    shell("id -u; echo lost > /dev/null && cat /proc/self/uid_map", (spec) => {
      const { uidMappings, gidMappings, ...linux } = spec.linux ?? {};
      spec.linux = { ...linux, namespaces: linux.namespaces?.filter(({ type }) => type !== "user") ?? [] };
    }),
  );
  const result = await user.call(
    ["run", "--bundle", bundle.directory, bundle.id],
    ["unshare", "--map-root-user", "--mount"],
  );
  assert.match(result.stdout, new RegExp(`^0\\n\\s+0\\s+${alone}\\s+1\\n$`), result.stderr);
  assert.deepEqual(await readdir(join(user.runtimeDir, basename(runtime))), []);
});

/** A user of the machine with subordinate ids: newuidmap asks for both. */
class Subordinate implements AsyncDisposable {
  readonly uid = 61235;
  readonly name = "minirun-test";

  async create(): Promise<Subordinate> {
    await command("groupadd", ["--gid", `${this.uid}`, this.name]);
    const ids = ["--uid", `${this.uid}`, "--gid", `${this.uid}`];
    await command("useradd", ["--no-create-home", ...ids, "--shell", "/bin/false", this.name]);
    await command("usermod", ["--add-subuids", "700000-765535", "--add-subgids", "800000-865535", this.name]);
    return this;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await command("userdel", [this.name]);
  }
}

const newuidmap = (await command("sh", ["-c", "command -v newuidmap useradd"])).code === 0;

test("rootless: with subordinate ids the container has all its users and groups", {
  skip: !newuidmap && "newuidmap or useradd is missing (Debian: uidmap, passwd)",
}, async () => {
  await using place = await Place.make();
  await using owner = await new Subordinate().create();
  await using user = new User(place, owner.uid);
  const range = (start: number) => [
    { containerID: 0, hostID: owner.uid, size: 1 },
    { containerID: 1, hostID: start, size: 65536 },
  ];
  const mapped = (spec: Spec) => {
    Object.assign(spec.linux ?? {}, { uidMappings: range(700000), gidMappings: range(800000) });
    spec.mounts?.find(({ type }) => type === "devpts")?.options?.push("gid=5");
    if (isOurs) Object.assign(spec.process?.user ?? {}, { uid: 5, gid: 6, additionalGids: [7] });
  };
  const bundle = await user.bundle(
    shell("id -u; id -G; awk '{print $2}' /proc/self/uid_map /proc/self/gid_map; cat /proc/self/setgroups", mapped),
  );
  const result = await user.run(bundle);
  const id = isOurs ? "5\n6 7" : "0\n0";
  assert.equal(result.stdout, `${id}\n${owner.uid}\n700000\n${owner.uid}\n800000\nallow\n`, result.stderr);
  const running = await user.bundle(shell("exec sleep 1000", mapped));
  await chmod(running.rootfs, 0o755);
  await user.start(running);
  const exec = await user.call(["exec", "--user", "9:9", running.id, "sh", "-c", "id -u; id -g"]);
  assert.equal(exec.stdout, "9\n9\n", exec.stderr);
});

test("rootless: a range that /etc/subuid does not grant is refused", {
  skip: !newuidmap && "newuidmap or useradd is missing (Debian: uidmap, passwd)",
}, async () => {
  await using place = await Place.make();
  await using owner = await new Subordinate().create();
  await using user = new User(place, owner.uid);
  const bundle = await user.bundle(
    shell("true", (spec) => {
      const range = [{ containerID: 0, hostID: 0, size: 65536 }];
      Object.assign(spec.linux ?? {}, { uidMappings: range, gidMappings: range });
    }),
  );
  const result = await user.run(bundle);
  assert.notEqual(result.code, 0);
  if (isOurs) assert.match(result.stderr, /newuidmap: uid range/);
  assert.deepEqual(await readdir(join(user.runtimeDir, basename(runtime))), []);
});
