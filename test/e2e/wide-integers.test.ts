import assert from "node:assert/strict";
import { test } from "node:test";
import { startDaemon } from "#test/daemon";

const json = { headers: { "Content-Type": "application/json" } };

test("limits beyond 2^53 keep their digits: created, started, updated, and after a restart of the daemon", async () => {
  await using daemon = await startDaemon();
  const text = async () => (await daemon.http.get("/containers/wide/json")).text;
  const HostConfig = '{"Memory":4611686018427387905,"ShmSize":9223372036854775807}';
  const body = `{"Image":"busybox","Cmd":["sleep","1000"],"StopTimeout":0,"HostConfig":${HostConfig}}`;
  assert.equal((await daemon.http.send("POST", "/containers/create?name=wide", { ...json, body })).status, 201);
  assert.match(await text(), /"Memory":4611686018427387905,/);
  // Twice the memory in Go's 64 bits.
  assert.match(await text(), /"MemorySwap":-9223372036854775806,/);
  assert.equal((await daemon.http.send("POST", "/containers/wide/start")).status, 204);

  const update = '{"Memory":4611686018427387907,"MemorySwap":4611686018427387907}';
  assert.equal((await daemon.http.send("POST", "/containers/wide/update", { ...json, body: update })).status, 200);
  await daemon.restart();
  assert.match(await text(), /"Memory":4611686018427387907,/);
  assert.match(await text(), /"ShmSize":9223372036854775807,/);
});
