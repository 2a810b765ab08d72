import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { startDaemon } from "#test/daemon";

/** Two hundred containers at once, through the API so that the CLI's own weight does not count. */
const crowd = 200;

test("crowd: 200 containers start in parallel and go, twice, and the daemon stays small", async () => {
  await using daemon = await startDaemon();
  for (let round = 0; round < 2; round++) {
    const ids = await Promise.all(
      Array.from({ length: crowd }, async () => {
        const created = await daemon.http.post("/containers/create", { Image: "busybox", Cmd: ["sleep", "1000"] });
        assert.equal(created.status, 201, created.text);
        const { Id } = created.json() as { Id: string };
        const started = await daemon.http.post(`/containers/${Id}/start`);
        assert.equal(started.status, 204, started.text);
        return Id;
      }),
    );
    const list = (await daemon.http.get("/containers/json")).json() as unknown[];
    assert.equal(list.length, crowd);
    const removed = await Promise.all(ids.map((id) => daemon.http.send("DELETE", `/containers/${id}?force=1`)));
    assert.deepEqual([...new Set(removed.map(({ status }) => status))], [204]);
  }
  const resident = Number(/^VmRSS:\s+(\d+)/m.exec(readFileSync(`/proc/${daemon.pid}/status`, "utf8"))?.[1]);
  assert.ok(resident < 250 << 10, `${resident} kB resident`);
});

test("idle: a daemon that does nothing is under 120 MB", async () => {
  await using daemon = await startDaemon({ hasBusybox: false });
  const resident = Number(/^VmRSS:\s+(\d+)/m.exec(readFileSync(`/proc/${daemon.pid}/status`, "utf8"))?.[1]);
  assert.ok(resident < 120 << 10, `${resident} kB resident`);
});
