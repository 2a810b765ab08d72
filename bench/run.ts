/**
 * The same work on our engine and, in the same minutes, on a dockerd; medians and ratios.
 *   bench/run [--quick] [case …]          prints a table; --json prints figures for a machine
 * The dockerd is the one at $DOCKER_HOST_PEER, or one that $PEER_ENV (a script: `dockerd NAME` prints its host, `stop NAME`)
 * starts; with neither, only ours is measured. Both get the same image and
 * are measured within minutes of each other, case by case, so that a busy machine is busy for both.
 */
import { readFileSync } from "node:fs";
import { busyboxTar } from "#test/busybox";
import { must } from "#test/command";
import { startDaemon } from "#test/daemon";
import { startRegistry } from "#test/registry";
import { Engine } from "./engine.ts";
import { type Figures, measure, round } from "./measure.ts";

const words = process.argv.slice(2);
const isQuick = words.includes("--quick");
const isJson = words.includes("--json");
const wanted = words.filter((word) => !word.startsWith("--"));

interface Case {
  readonly runs: number;
  /** What must be there before the stopwatch starts; the undoing is returned. */
  readonly prepare?: (engine: Engine) => Promise<() => Promise<void>>;
  readonly work: (engine: Engine) => Promise<void>;
}

const nothing = async (): Promise<void> => undefined;

/** A container that stays, for what is done to a running one. */
async function withSleeper(engine: Engine): Promise<() => Promise<void>> {
  await engine.docker("run", "-d", "--name", "bench", "busybox", "sleep", "10000");
  return async () => void (await engine.docker("rm", "-f", "bench"));
}

async function withMany(engine: Engine): Promise<() => Promise<void>> {
  const names = Array.from({ length: 100 }, (_, n) => `many-${n}`);
  for (const name of names) await engine.docker("create", "--name", name, "busybox");
  return async () => void (await engine.docker("rm", ...names));
}

/** 200 MB in lines of 100 bytes. */
const logScript = "yes $(head -c 99 /dev/zero | tr '\\0' x) | head -c 200000000";
async function withLog(engine: Engine): Promise<() => Promise<void>> {
  await engine.docker("run", "--name", "bench", "--log-opt", "max-size=1g", "-d", "busybox", "sh", "-c", logScript);
  await engine.docker("wait", "bench");
  return async () => void (await engine.docker("rm", "bench"));
}

/** A registry where the engine is, with an image that it has not. */
const registryPort = 5999;
const image = `127.0.0.1:${registryPort}/bench:1`;
async function withRegistry(engine: Engine): Promise<() => Promise<void>> {
  const registry = await startRegistry(engine, { port: registryPort });
  await engine.docker("tag", "busybox", image);
  await engine.docker("push", image);
  await engine.docker("rmi", image);
  return () => registry[Symbol.asyncDispose]();
}

const cases: Readonly<Record<string, Case>> = {
  "docker run --rm": { runs: 30, work: async (engine) => void (await engine.docker("run", "--rm", "busybox", "true")) },
  "docker run --rm --network none": {
    runs: 30,
    work: async (engine) => void (await engine.docker("run", "--rm", "--network", "none", "busybox", "true")),
  },
  "api create start wait remove": { runs: 50, work: (engine) => engine.lifeByApi() },
  "api exec": { runs: 50, prepare: withSleeper, work: (engine) => engine.execByApi("bench") },
  "docker exec": {
    runs: 30,
    prepare: withSleeper,
    work: async (engine) => void (await engine.docker("exec", "bench", "true")),
  },
  "api list of 100": { runs: 100, prepare: withMany, work: (engine) => engine.list() },
  pull: {
    runs: 5,
    prepare: withRegistry,
    work: async (engine) => {
      await engine.docker("pull", "-q", image);
      await engine.docker("rmi", image);
    },
  },
  "write 200 MB of log": { runs: 2, work: async (engine) => await (await withLog(engine))() },
  "read 200 MB of log": {
    runs: 3,
    prepare: withLog,
    work: async (engine) =>
      void (await must(["sh", "-c", `docker -H ${engine.host} logs bench > /dev/null`], { timeoutMs: 300_000 })),
  },
};

interface Row {
  readonly name: string;
  readonly ours: Figures;
  readonly peer: Figures | undefined;
}

/** One after the other within the case: what else the machine does meets both. */
async function runCase(name: string, { runs, prepare, work }: Case, engines: readonly Engine[]): Promise<Row> {
  const figures = new Map<Engine, Figures>();
  for (const engine of engines) {
    const undo = prepare === undefined ? nothing : await prepare(engine);
    figures.set(engine, await measure(isQuick ? Math.min(runs, 5) : runs, () => work(engine)));
    await undo();
  }
  const [ours, peer] = engines.map((engine) => figures.get(engine));
  if (ours === undefined) throw new Error("no engine");
  return { name, ours, peer };
}

class Peer implements AsyncDisposable {
  readonly host: string;
  readonly #name: string | undefined;
  constructor(host: string, name?: string) {
    this.host = host;
    this.#name = name;
  }
  get prefix(): readonly string[] {
    return this.#name === undefined ? [] : ["nsenter", `--net=/run/netns/${this.#name}`, "--"];
  }
  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#name !== undefined) await must([process.env.PEER_ENV ?? "", "stop", this.#name]);
  }
}

async function findPeer(): Promise<Peer | undefined> {
  const { DOCKER_HOST_PEER: host, PEER_ENV: script } = process.env;
  if (host !== undefined) return new Peer(host);
  if (script === undefined) return undefined;
  const name = `bench-${process.pid}`;
  return new Peer(await must([script, "dockerd", name]), name);
}

/** Of a daemon that has just started and done nothing. */
async function idleResidentMb(): Promise<number> {
  await using daemon = await startDaemon({ hasBusybox: false });
  const status = readFileSync(`/proc/${daemon.pid}/status`, "utf8");
  return round(Number(/^VmRSS:\s+(\d+)/m.exec(status)?.[1] ?? 0) / 1024);
}

function table(rows: readonly Row[]): string {
  const lines = rows.map(({ name, ours, peer }) => {
    const ratio =
      peer === undefined ? "" : `  ${String(peer.medianMs).padStart(9)}  ${round(ours.medianMs / peer.medianMs)}`;
    return `${name.padEnd(32)}${String(ours.medianMs).padStart(9)}  ${String(ours.p99Ms).padStart(9)}${ratio}`;
  });
  const head = `${"median ms".padStart(41)}${"p99 ms".padStart(11)}    dockerd  ratio`;
  return [head, ...lines].join("\n");
}

const idleMb = await idleResidentMb();
await using daemon = await startDaemon();
await using peer = await findPeer();
const cliConfig = daemon.environment.DOCKER_CONFIG ?? "";
const engines = [new Engine("minidock", daemon.host, { prefix: daemon.network.prefix, cliConfig })];
if (peer !== undefined) {
  const dockerd = new Engine("dockerd", peer.host, { prefix: peer.prefix, cliConfig });
  await dockerd.docker("import", "-c", 'CMD ["sh"]', await busyboxTar(), "busybox:latest");
  engines.push(dockerd);
}

const rows: Row[] = [];
for (const [name, work] of Object.entries(cases)) {
  if (wanted.length > 0 && !wanted.some((word) => name.includes(word))) continue;
  rows.push(await runCase(name, work, engines));
  if (!isJson) console.error(`measured: ${name}`);
}
console.log(
  isJson ? JSON.stringify({ idleMb, rows }, undefined, 2) : `idle daemon: ${idleMb} MB resident\n${table(rows)}`,
);
