import assert from "node:assert/strict";
import { test } from "node:test";
import { Events } from "../../src/engine/events.ts";
import { Filters } from "../../src/engine/filters.ts";

/** Time that stands still until it is moved; a sleep ends when time has come that far. */
class ManualClock {
  ns = 1_700_000_000_000_000_000n;
  readonly #sleepers: { until: bigint; wake: () => void }[] = [];

  now(): bigint {
    return this.ns;
  }

  sleep(ms: number): Promise<void> {
    return new Promise((wake) => this.#sleepers.push({ until: this.ns + BigInt(ms) * 1_000_000n, wake }));
  }

  advance(ms: number): void {
    this.ns += BigInt(ms) * 1_000_000n;
    for (const { until, wake } of this.#sleepers) if (until <= this.ns) wake();
  }
}

const all = new Filters();
const never = new AbortController().signal;

test("events: a watcher sees what is emitted after it subscribed, before it reads", async () => {
  const events = new Events(new ManualClock());
  events.emit("container", "create", "c1", { name: "web" });
  const stream = events.watch({ filters: all }, never)[Symbol.asyncIterator]();
  events.emit("container", "start", "c1", { name: "web", image: "busybox" });
  const { value } = await stream.next();
  assert.equal(value.Action, "start");
  assert.equal(value.from, "busybox");
  assert.equal(value.status, "start");
  assert.equal(value.time, 1_700_000_000);
  assert.equal(value.timeNano, 1_700_000_000_000_000_000n);
  await stream.return?.();
  assert.equal(events.watcherCount, 0);
});

test("events: since replays the past, until ends the stream", async () => {
  const clock = new ManualClock();
  const events = new Events(clock);
  const start = clock.now();
  events.emit("network", "create", "n1", { name: "n" });
  clock.advance(1000);
  events.emit("network", "destroy", "n1", { name: "n" });
  const seen: string[] = [];
  for await (const event of events.watch({ since: start, until: clock.now(), filters: all }, never))
    seen.push(event.Action);
  assert.deepEqual(seen, ["create", "destroy"]);
});

test("events: a client that hangs up ends its watcher", async () => {
  const events = new Events(new ManualClock());
  const client = new AbortController();
  const stream = events.watch({ filters: all }, client.signal)[Symbol.asyncIterator]();
  const next = stream.next();
  client.abort();
  assert.equal((await next).done, true);
  assert.equal(events.watcherCount, 0);
});

test("events: filters match by type, name, label, image without tag, and the start of an exec's action", async () => {
  const clock = new ManualClock();
  const events = new Events(clock);
  const start = clock.now();
  events.emit("container", "exec_create: sh -c x", "c1", { name: "web", image: "busybox:1", tier: "front" });
  events.emit("container", "start", "c2", { name: "db", image: "postgres" });
  events.emit("volume", "create", "v1", { driver: "local" });
  const matching = async (text: string) => {
    const seen: string[] = [];
    const filters = Filters.parse(text);
    for await (const event of events.watch({ since: start, until: clock.now(), filters }, never))
      seen.push(event.Actor.ID);
    return seen;
  };
  assert.deepEqual(await matching('{"event":["exec_create"]}'), ["c1"]);
  assert.deepEqual(await matching('{"event":["start"]}'), ["c2"]);
  assert.deepEqual(await matching('{"type":["volume"]}'), ["v1"]);
  assert.deepEqual(await matching('{"container":["web"]}'), ["c1"]);
  assert.deepEqual(await matching('{"label":["tier=front"]}'), ["c1"]);
  assert.deepEqual(await matching('{"image":["busybox"]}'), ["c1"]);
});

test("events: a watcher that never reads is cut off, not fed memory", async () => {
  const events = new Events(new ManualClock());
  const stream = events.watch({ filters: all }, never)[Symbol.asyncIterator]();
  for (let n = 0; n < 20_000; n++) events.emit("volume", "create", String(n), {});
  let count = 0;
  while (!(await stream.next()).done) count++;
  assert.ok(count < 20_000);
});
