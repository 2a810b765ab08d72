/* Random requests, right and wrong: without a dockerd to compare with (run.ts does that), what must hold in any case. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { startDaemon } from "#test/daemon";
import { FuzzedEngine } from "./engine.ts";
import { Random } from "./random.ts";
import { nextRequest } from "./requests.ts";

const count = Number(process.env.MINIDOCK_FUZZ_REQUESTS ?? 600);
const seed = Number(process.env.MINIDOCK_FUZZ_SEED ?? 1);

/** What our code says when it did not think of something; dockerd's own failures, 500 or not, read otherwise. */
const bug = /unhandled|undefined|is not a function|Cannot read|not iterable|cannot become|\[object /i;

/** Old clients get bare text. */
function messageOf(body: unknown): string {
  if (typeof body === "string") return body;
  return typeof body === "object" && body !== null && "message" in body ? String(body.message) : "";
}

test(`${count} random requests (seed ${seed}): no failure of our own, no answer that is none, nothing left behind`, async () => {
  await using daemon = await startDaemon();
  const engine = new FuzzedEngine(daemon.socket);
  const random = new Random(seed);
  const { pid } = daemon;
  for (let n = 0; n < count; n++) {
    const request = nextRequest(random);
    const { status, body } = await engine.answer(request);
    const told = `request ${n}: ${JSON.stringify(request)}: ${status} ${JSON.stringify(body)}`;
    assert.ok(status >= 200 && status < 600, told);
    const message = messageOf(body);
    if (status >= 400 && request.method !== "HEAD") assert.notEqual(message, "", told);
  }
  assert.equal(daemon.pid, pid);
  assert.doesNotMatch(daemon.log, bug);
});
