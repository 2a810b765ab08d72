/**
 * The same thing again and again: nothing is lost, and nothing grows. CI runs a short one;
 *   SOAK=100 test/run e2e/soak        10,000 runs, 100,000 execs, 500 followers: about an hour
 * prints what it saw on the way.
 */
import assert from "node:assert/strict";
import { after, before, type TestContext, test } from "node:test";
import { type Daemon, startDaemon } from "#test/daemon";
import { databaseBytes, execByApi, follow, footprint, inParallel, runByApi, shimOf } from "./soak-rig.ts";

const scale = Number(process.env.SOAK ?? 1);
const counts = { runs: 90 * scale, cliRuns: 10 * scale, execs: 1000 * scale, followers: Math.min(500, 50 * scale) };
const width = 4;
const timeout = 7_200_000;

let daemon: Daemon;
before(async () => {
  daemon = await startDaemon();
});
after(() => daemon[Symbol.asyncDispose]());

interface Sample {
  readonly done: number;
  readonly daemon: ReturnType<typeof footprint>;
  readonly shim?: ReturnType<typeof footprint>;
  readonly databaseKb: number;
}

/** Does it in ten parts, and looks after each. */
async function soak(
  context: TestContext,
  count: number,
  work: (n: number) => Promise<void>,
  shim?: number,
): Promise<Sample[]> {
  const samples: Sample[] = [];
  const part = count / 10;
  for (let done = 0; done < count; done += part) {
    await inParallel(part, width, (n) => work(done + n));
    const sample = {
      done: done + part,
      daemon: footprint(daemon.pid),
      ...(shim === undefined ? {} : { shim: footprint(shim) }),
      databaseKb: databaseBytes(daemon) / 1024,
    };
    samples.push(sample);
    if (scale > 1) context.diagnostic(JSON.stringify(sample));
  }
  return samples;
}

const maxGrowthKb = 40 * 1024;

function assertFlat(samples: readonly Sample[]): void {
  const [first, last] = [samples[1], samples.at(-1)];
  assert.ok(first !== undefined && last !== undefined);
  const seen = JSON.stringify(samples, undefined, 1);
  assert.ok(last.daemon.residentKb < first.daemon.residentKb + maxGrowthKb, seen);
  assert.ok(last.daemon.descriptors <= first.daemon.descriptors + width, seen);
  assert.ok(last.daemon.threads <= first.daemon.threads + 2, seen);
  assert.ok(last.databaseKb < 16 * 1024, seen);
  assert.ok((last.shim?.residentKb ?? 0) <= (first.shim?.residentKb ?? 0) + 128, seen);
  assert.ok((last.shim?.descriptors ?? 0) <= (first.shim?.descriptors ?? 0) + 3 * width, seen);
}

test("soak: every run says what it was told to say, and leaves nothing", { timeout }, async (context) => {
  const samples = await soak(context, counts.runs, async (n) => {
    assert.equal(await runByApi(daemon, `word-${n}`), `0 word-${n}\n`);
  });
  assertFlat(samples);
  assert.equal(await daemon.ok("ps", "-aq"), "");
});

test("soak: and so does every run by the stock client", { timeout }, async (context) => {
  const samples = await soak(context, counts.cliRuns, async (n) => {
    assert.equal(await daemon.ok("run", "--rm", "busybox", "echo", `word-${n}`), `word-${n}`);
  });
  assertFlat(samples);
  assert.equal(await daemon.ok("ps", "-aq"), "");
});

test("soak: no exec in one container loses its output or its status", { timeout }, async (context) => {
  await daemon.ok("run", "-d", "--name", "host", "busybox", "sleep", "100000");
  const shim = await shimOf(daemon, "host");
  const samples = await soak(
    context,
    counts.execs,
    async (n) => assert.equal(await execByApi(daemon, "host", `word-${n}`), `0 word-${n}\n`),
    shim,
  );
  assertFlat(samples);
  assert.equal(await daemon.ok("inspect", "-f", "{{.ExecIDs}}", "host"), "[]");
  await daemon.ok("rm", "-f", "host");
});

test("soak: followers of one log that rotates and is compressed get every line, and share what is read", {
  timeout,
}, async (context) => {
  const script = "until [ -e /go ]; do usleep 20000; done; seq 1 10000";
  const options = ["max-size=300k", "max-file=100", "compress=true"].flatMap((option) => ["--log-opt", option]);
  const expected = Array.from({ length: 10_000 }, (_, i) => `${i + 1}\n`).join("");
  const samples = await soak(context, 10, async (n) => {
    await daemon.ok("run", "-d", "--name", `talker${n}`, ...options, "busybox", "sh", "-c", script);
    const followers = Array.from({ length: counts.followers }, () => follow(daemon, `talker${n}`));
    await Promise.all(followers.map(({ answered }) => answered));
    await daemon.ok("exec", `talker${n}`, "touch", "/go");
    for (const { text } of followers) assert.ok((await text) === expected);
    await daemon.ok("rm", `talker${n}`);
  });
  assertFlat(samples);
});
