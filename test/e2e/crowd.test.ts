import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { after, before, test } from "node:test";
import { type Daemon, startDaemon } from "#test/daemon";

/** Two hundred containers at once, through the API so that the CLI's own weight does not count. */
const crowd = 200;

let daemon: Daemon;
before(async () => {
  daemon = await startDaemon();
});
after(() => daemon[Symbol.asyncDispose]());

const residentMb = (pid: number): number =>
  Number(/^VmRSS:\s+(\d+)/m.exec(readFileSync(`/proc/${pid}/status`, "utf8"))?.[1]) / 1024;

async function startOne(): Promise<string> {
  const created = await daemon.http.post("/containers/create", { Image: "busybox", Cmd: ["sleep", "1000"] });
  assert.equal(created.status, 201, created.text);
  const { Id } = created.json() as { Id: string };
  const started = await daemon.http.post(`/containers/${Id}/start`);
  assert.equal(started.status, 204, started.text);
  return Id;
}

for (const round of ["first", "second"]) {
  test(`crowd: 200 containers start in parallel and go, the ${round} time`, async () => {
    const ids = await Promise.all(Array.from({ length: crowd }, startOne));
    const list = (await daemon.http.get("/containers/json")).json() as unknown[];
    assert.equal(list.length, crowd);
    const removed = await Promise.all(ids.map((id) => daemon.http.send("DELETE", `/containers/${id}?force=1`)));
    const answers = new Set(removed.map(({ status, text }) => `${status} ${text}`));
    assert.deepEqual([...answers], ["204 "]);
  });
}

test("crowd: afterwards the daemon is as small as a daemon should be", () => {
  const resident = residentMb(daemon.pid);
  assert.ok(resident < 250, `${resident} MB resident`);
});

test("idle: what ships, doing nothing, is under 120 MB", {
  skip: process.env.MINIDOCK_BUNDLE === undefined && "needs the bundle",
}, async () => {
  await using idle = await startDaemon({ hasBusybox: false });
  const resident = residentMb(idle.pid);
  assert.ok(resident < 120, `${resident} MB resident`);
});
