import assert from "node:assert/strict";
import { test } from "node:test";
import { startDaemon } from "#test/daemon";

test("resize: a container without a terminal has no size to set, and that is no error", async () => {
  await using daemon = await startDaemon();
  await daemon.ok("run", "-d", "--name", "plain", "busybox", "sleep", "1000");
  assert.equal((await daemon.http.post("/containers/plain/resize?h=10&w=20")).status, 200);
  const until = Math.floor(Date.now() / 1000) + 1;
  const { text } = await daemon.http.get(`/events?since=1&until=${until}&filters={"event":["resize"]}`);
  assert.match(text, /"height":"10",.*"width":"20"/);
});

test("stats: a one-shot answer does not name its container, others do", async () => {
  await using daemon = await startDaemon();
  await daemon.ok("run", "-d", "--name", "plain", "busybox", "sleep", "1000");
  const one = (await daemon.http.get("/containers/plain/stats?stream=0&one-shot=1")).text;
  assert.doesNotMatch(one, /"(name|id)":/);
  const sampled = (await daemon.http.get("/containers/plain/stats?stream=0")).text;
  assert.match(sampled, /"name":"\/plain"/);
});
