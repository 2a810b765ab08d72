/**
 * kill -9 of the daemon before each system call of a request that changes something outside of it. The next daemon must find the
 * machine as it was before the request or as it is after it; after an answer, as it is after it. A sample by lot, or all
 * (an hour and more): KILL_POINTS=. for every story and step, or a part of "story: step". KILL_POINTS_SEED=n draws another sample.
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import { must, run } from "#test/command";
import { type Daemon, startDaemon } from "#test/daemon";
import { Random } from "../differential/random.ts";
import { Killer, KillPoints } from "./kill-points-rig.ts";
import { starts } from "./kill-points-starts.ts";
import { type Story, stories } from "./kill-points-steps.ts";

const { KILL_POINTS: wanted = "" } = process.env;
const seed = Number(process.env.KILL_POINTS_SEED ?? 1);
const stepsOfSample = 3;
const killsPerStep = 3;
/** About what a daemon makes that finds little to take over. */
const startCalls = 300;

/** A daemon beside a link for the containers of a macvlan network; what is left in the end fails the test. */
async function enter(): Promise<Daemon> {
  const daemon = await startDaemon();
  await daemon.inNetwork("ip", "link", "add", "parent", "type", "veth", "peer", "name", "beyond");
  return daemon;
}

async function leave(daemon: Daemon): Promise<void> {
  await daemon.inNetwork("ip", "link", "del", "parent");
  await daemon[Symbol.asyncDispose]();
}

async function hasMacvlan(): Promise<boolean> {
  const script = "ip link add p0 type veth peer name p1 && ip link add link p0 name m0 type macvlan";
  return (await run(["unshare", "-n", "sh", "-c", script])).status === 0;
}

const canMacvlan = await hasMacvlan();

/** One step of a story, with what goes before it as its beginning. */
const only = ({ setup, steps, ...story }: Story, at: number): Story => ({
  ...story,
  setup: [...setup, ...steps.slice(0, at)],
  steps: steps.slice(at, at + 1),
});

const told = [...starts, ...stories.filter(({ name }) => canMacvlan || !name.includes("macvlan"))];
const chapters = told.flatMap((story) =>
  story.steps.map((step, at) => ({ story, at, name: `${story.name}: ${step.name}` })),
);

test(`kill -9 at moments by lot, seed ${seed}: what was answered is true, and nothing is left`, {
  skip: wanted !== "" && "all of it was asked for",
}, async (t) => {
  const random = new Random(seed);
  const daemon = await enter();
  try {
    for (let i = 0; i < stepsOfSample; i++) {
      const chapter = random.pick(chapters);
      const points = await KillPoints.learn(daemon, only(chapter.story, chapter.at));
      for (let kill = 0; kill < killsPerStep; kill++) {
        const n = 1 + Math.floor(random.next() * (points.calls[0]?.length ?? 1));
        // The last one meets a second kill, of the daemon that comes next.
        const m = kill === killsPerStep - 1 ? 1 + Math.floor(random.next() * startCalls) : 0;
        const { call, problem } = await points.killAt(0, n, m);
        t.diagnostic(`${chapter.name}, call ${n}: ${call}`);
        assert.equal(problem, undefined, `${chapter.name}, call ${n}: ${call}`);
      }
      await points.wipe();
    }
  } finally {
    await leave(daemon);
  }
});

test(`kill -9 of a shim while its container starts, seed ${seed}: nothing of it is left, and it can be started`, async (t) => {
  await using daemon = await startDaemon();
  const [spawner = ""] = (await must(["pgrep", "-P", `${daemon.pid}`, "minispawn"])).split("\n");
  const random = new Random(seed);
  await daemon.ok("create", "--name", "orphan", "busybox", "sleep", "1000");
  for (let i = 0; i < 3; i++) {
    // It runs from /proc/self/exe.
    const killer = await Killer.attach(Number(spawner), 1 + Math.floor(random.next() * 20), "exe");
    const { status } = await daemon.http.post("/containers/orphan/start");
    await killer.detach();
    t.diagnostic(`${status} after ${killer.calls.at(-1)}`);
    const asking = "until docker start orphan; do sleep 0.05; done; docker exec orphan true && docker kill orphan";
    await must(["timeout", "20", "sh", "-c", asking], { env: daemon.environment });
  }
});

for (const story of told) {
  const places = story.steps.flatMap(({ name }, at) =>
    `${story.name}: ${name}`.includes(wanted.replace(/^\.$/, "")) ? [at] : [],
  );
  if (wanted === "" || places.length === 0) continue;
  test(`kill -9 at every moment of ${story.name}`, { timeout: Number.POSITIVE_INFINITY }, async (t) => {
    const daemon = await enter();
    try {
      const points = await KillPoints.learn(daemon, story);
      const problems: string[] = [];
      for (const at of places) {
        let kills = 0;
        for (let isKilled = true; isKilled; kills++) {
          const outcome = await points.killAt(at, kills + 1);
          isKilled = outcome.isKilled;
          if (outcome.problem !== undefined)
            problems.push(`${story.steps[at]?.name}: ${outcome.call}: ${outcome.problem}`);
        }
        t.diagnostic(`${story.steps[at]?.name}: ${kills - 1} kills`);
      }
      await points.wipe();
      assert.deepEqual(problems, []);
    } finally {
      await leave(daemon);
    }
  });
}
