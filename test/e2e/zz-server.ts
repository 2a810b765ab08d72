import { createReadStream } from "node:fs";
import { join } from "node:path";
import { createServer } from "#api";
import { systemClock } from "#base/clock";
import { createLog } from "#base/log";
import { parseRepoTag, Registry } from "#registry";
import { openStorage } from "#storage";
import { busyboxTar } from "#test/busybox";
import { Events } from "../../src/engine/events.ts";
import { ImageService } from "../../src/engine/image/service.ts";

const folder = process.argv[2];
const log = createLog("info");
const storage = await openStorage({ dataRoot: join(folder, "data"), execRoot: join(folder, "exec"), log });
const registry = new Registry({ options: {}, userAgent: "docker/28.5.2", clock: systemClock, log });
const events = new Events(systemClock);
const images = new ImageService({
  storage,
  registry,
  events,
  usage: { containersUsing: () => [] },
  clock: systemClock,
  log,
  engineVersion: "28.5.2",
});
await images.import(
  {
    source: createReadStream(await busyboxTar()),
    ref: parseRepoTag("busybox", ""),
    message: "Imported from -",
    changes: ['CMD ["sh"]'],
  },
  { write: () => {} },
  new AbortController().signal,
);
const containers = { list: async () => [], inspect: async (n) => { const { EngineError } = await import("#base/errors"); throw new EngineError("notFound", `No such container: ${n}`); } };
const volumes = { list: () => ({ Volumes: [], Warnings: null }) };
const networks = { list: () => [] };
const engine = { images, containers, events, volumes, networks, execs: {}, system: { ping: () => ({}) } };
const server = await createServer({ engine, log, version: "28.5.2", minApiVersion: "1.24", isExperimental: false });
await server.listen({ kind: "unix", path: join(folder, "s"), mode: 0o600, gid: 0 } as any);
console.log("READY");
process.on("SIGTERM", async () => {
  await server.close();
  await storage[Symbol.asyncDispose]();
  process.exit(0);
});
