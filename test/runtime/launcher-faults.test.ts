import assert from "node:assert/strict";
import { readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { test } from "node:test";
import { args, type Bundle, command, isOurs, isStatic, Place, runtime } from "./launcher-rig.ts";

// strace(1) lets the kernel refuse one system call after the other. FAULT_DEPTH=1000 tries each call each time it is
// made, by the parent and by the child; CI only the first times.
const depth = Number(process.env.FAULT_DEPTH ?? 2);
const hasStrace = (await command("strace", ["--version"])).code === 0;
const skip = !isOurs
  ? "it is about minirun's own clean-up"
  : (!isStatic && "the sanitizers do not work under strace") || (!hasStrace && "strace is not installed");

/** Without these no program starts, or they are never refused. */
const vital = new Set([
  "execve",
  "exit",
  "exit_group",
  "brk",
  "mmap",
  "munmap",
  "mprotect",
  "arch_prctl",
  "restart_syscall",
]);
/** A clean-up that is refused leaves what `delete --force` has to remove. */
const cleaning = new Set(["rmdir", "unlink", "unlinkat", "getdents64", "fstat", "kill"]);

/** Who cannot write cannot say so. */
const mute = new Set(["write", "writev", "close"]);

const strace = (bundle: Bundle, output: string, ...flags: string[]) =>
  command("timeout", [
    ...["--signal=KILL", "10", "strace", "-I1", "-f", "-qq", "-o", output, ...flags],
    ...[runtime, "--root", bundle.place.root, "run", "--bundle", bundle.directory, bundle.id],
  ]);

/** How often each call is made by the process that makes it most. */
async function callsOf(bundle: Bundle): Promise<Map<string, number>> {
  const trace = join(bundle.directory, "trace");
  assert.equal((await strace(bundle, trace)).code, 0);
  const counts = new Map<string, number>();
  for (const [, pid, call] of (await readFile(trace, "utf8")).matchAll(/^(\d+) +([a-z0-9_]+)\(/gm))
    counts.set(`${pid} ${call}`, (counts.get(`${pid} ${call}`) ?? 0) + 1);
  const most = new Map<string, number>();
  for (const [key, count] of counts) {
    const call = key.split(" ")[1] ?? "";
    if (!vital.has(call)) most.set(call, Math.max(most.get(call) ?? 0, count));
  }
  return most;
}

async function leftovers(bundle: Bundle): Promise<string[]> {
  const states = await readdir(bundle.place.root).catch((): string[] => []);
  return [...states, ...(await bundle.place.cgroupFolders(bundle.id))];
}

/** What was wrong after one call had failed once. */
async function tryFault(bundle: Bundle, call: string, time: number): Promise<string[]> {
  const findings: string[] = [];
  const result = await strace(bundle, "/dev/null", "-e", `inject=${call}:error=EIO:when=${time}`);
  if (result.code === 137) findings.push("hangs");
  if (result.code !== 0 && !mute.has(call) && !/\w{3}/.test(result.stderr)) findings.push("fails without a word");
  if (result.code !== 0 && !cleaning.has(call)) findings.push(...(await leftovers(bundle)));
  await bundle.call("delete", "--force", bundle.id);
  findings.push(...(await leftovers(bundle)).map((path) => `after delete: ${path}`));
  return findings.map((finding) => `${call}, time ${time}: ${finding}`);
}

test("faults: whichever system call is refused, nothing hangs, a failure says why and leaves nothing", {
  skip,
}, async () => {
  await using place = await Place.make();
  const bundle = await place.bundle(args("true"));
  const findings: string[] = [];
  for (const [call, count] of await callsOf(bundle))
    for (let time = 1; time <= Math.min(count, depth); time++) findings.push(...(await tryFault(bundle, call, time)));
  assert.deepEqual(findings, []);
  const mounts = (await readFile("/proc/self/mountinfo", "utf8")).split("\n");
  assert.deepEqual(
    mounts.filter((line) => line.includes(place.directory)),
    [],
  );
});
