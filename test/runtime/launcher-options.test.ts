import assert from "node:assert/strict";
import { existsSync } from "node:fs";
import { test } from "node:test";
import { args, command, isOurs, Place, runtime } from "./launcher-rig.ts";

// The command line as dockerd, containerd and podman write it: that of runc 1.3.

const { stdout: version } = await command(runtime, ["--version"]);
const notRunc = !isOurs && !/runc version 1\.[3-9]/.test(version) && "crun's and older runc's command lines are others";
const onlyOurs = !isOurs && "ours only";

const flags: Readonly<Record<string, string>> = {
  checkpoint:
    "image-path work-path parent-path leave-running tcp-established tcp-skip-in-flight link-remap ext-unix-sk shell-job lazy-pages status-fd page-server file-locks pre-dump manage-cgroups-mode empty-ns auto-dedup",
  create: "bundle console-socket pidfd-socket pid-file no-pivot no-new-keyring preserve-fds",
  delete: "force",
  events: "interval stats",
  exec: "console-socket pidfd-socket cwd env tty user additional-gids process detach pid-file process-label apparmor no-new-privs cap preserve-fds cgroup ignore-paused",
  features: "",
  kill: "",
  list: "format quiet",
  pause: "",
  ps: "format",
  restore:
    "console-socket image-path work-path tcp-established ext-unix-sk shell-job file-locks manage-cgroups-mode bundle detach pid-file no-subreaper no-pivot empty-ns auto-dedup lazy-pages lsm-profile lsm-mount-context",
  resume: "",
  run: "bundle console-socket pidfd-socket detach keep pid-file no-subreaper no-pivot no-new-keyring preserve-fds",
  spec: "bundle rootless",
  start: "",
  state: "",
  update:
    "resources blkio-weight cpu-period cpu-quota cpu-burst cpu-share cpu-rt-period cpu-rt-runtime cpuset-cpus cpuset-mems memory cpu-idle memory-reservation memory-swap pids-limit l3-cache-schema mem-bw-schema",
};

test("help: every command has it, with runc's flags", { skip: notRunc }, async () => {
  const whole = await command(runtime, ["--help"]);
  assert.equal(whole.code, 0);
  for (const flag of ["root", "log", "log-format", "debug", "rootless", "version"])
    assert.match(whole.stdout, new RegExp(`--${flag}\\b`));
  for (const [name, list] of Object.entries(flags)) {
    assert.match(whole.stdout, new RegExp(`^ +${name} `, "m"));
    const { code, stdout } = await command(runtime, [name, "--help"]);
    assert.equal(code, 0, name);
    for (const flag of list.split(" ").filter((word) => word !== ""))
      assert.match(stdout, new RegExp(`--${flag}\\b`), `${name} --${flag}`);
    assert.equal((await command(runtime, ["help", name])).stdout, stdout);
    assert.equal((await command(runtime, [name, "-h"])).stdout, stdout);
  }
});

test("flags: --name value, --name=value, -name and -n; for some commands after the id too", {
  skip: notRunc,
}, async () => {
  await using place = await Place.make();
  const bundle = await place.bundle(args("echo", "here"));
  for (const words of [["--bundle", bundle.directory], [`--bundle=${bundle.directory}`], ["-b", bundle.directory]])
    assert.equal((await place.runtime(["run", ...words, bundle.id])).stdout, "here\n");
  const once = await place.runtime(["run", "-bundle", bundle.directory, "--no-new-keyring=true", bundle.id]);
  assert.equal(once.stdout, "here\n");
  assert.deepEqual(await place.runtime(["delete", "-force=1", "nosuch"]), { code: 0, stdout: "", stderr: "" });
  assert.equal(JSON.parse((await place.runtime(["list", "-f", "json"])).stdout), null);
});

test("flags and words that are none, or too many or too few, are refused", { skip: notRunc }, async () => {
  await using place = await Place.make();
  const wrong: readonly (readonly [string, RegExp])[] = [
    ["list --bogus", /flag provided but not defined: -bogus/],
    ["--bogus list", /flag provided but not defined: -bogus/],
    ["create --detach id", /flag provided but not defined: -detach/],
    ["list --format", /flag needs an argument: -+format/],
    ["list --quiet=perhaps", /invalid boolean value \\?"perhaps\\?" for -?-?quiet/],
    ["run --preserve-fds x id", /invalid value \\?"x\\?" for flag -preserve-fds: parse error/],
    ["state", /state\\?" requires exactly 1 argument/],
    ["state one two", /state\\?" requires exactly 1 argument/],
    ["kill", /kill\\?" requires a minimum of 1 argument/],
    ["kill one TERM three", /kill\\?" requires a maximum of 2 argument/],
    ["nosuch", /No help topic for 'nosuch'/],
    ["--log-format yaml list", /invalid log-format: yaml/],
    ["state a/b", /invalid container ID format/],
  ];
  for (const [line, message] of wrong) {
    const { code, stdout, stderr } = await place.runtime(line.split(" "));
    assert.notEqual(code, 0, line);
    assert.match(stdout + stderr, message, line);
  }
});

test("--version: the lines that dockerd, containerd and podman read", async () => {
  const { code, stdout } = await command(runtime, ["--version"]);
  assert.equal(code, 0);
  assert.match(stdout, /^\w+ version \S+\ncommit: \S+\n(.*\n)*spec: 1\.\d+\.\d+/);
});

const hasSystemd = existsSync("/run/systemd/system") && "systemd is here";

test("--systemd-cgroup is refused where there is no systemd", { skip: onlyOurs || hasSystemd }, async () => {
  await using place = await Place.make();
  const bundle = await place.bundle();
  const { code, stderr } = await place.runtime(["--systemd-cgroup", "run", "--bundle", bundle.directory, bundle.id]);
  assert.equal(code, 1);
  assert.match(stderr, /systemd not running on this host, cannot use systemd cgroups manager/);
});

test("crun's flags: --cgroup-manager, --log-level and run --config", { skip: onlyOurs }, async () => {
  await using place = await Place.make();
  const bundle = await place.bundle(args("cat", "/proc/self/cgroup"));
  const words = ["run", "--config", `${bundle.directory}/config.json`, "--bundle", bundle.directory, bundle.id];
  const inGroup = await place.runtime(["--cgroup-manager=cgroupfs", ...words]);
  assert.match(inGroup.stdout, new RegExp(bundle.id), inGroup.stderr);
  const without = await place.runtime(["--cgroup-manager=disabled", "--log-level=error", ...words]);
  assert.doesNotMatch(without.stdout, new RegExp(bundle.id));
  assert.deepEqual([without.code, without.stderr], [0, ""]);
  assert.match((await place.runtime(["--cgroup-manager=other", "list"])).stderr, /unknown cgroup manager specified/);
  assert.match((await place.runtime(["--log-level=loud", "list"])).stderr, /invalid log-level: loud/);
});
