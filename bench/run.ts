/**
 * The same work on our engine and, in the same minutes, on a dockerd; medians and ratios.
 *   bench/run [--quick] [case …]          prints a table; --json prints figures for a machine; "memory" is a case, too
 * The last column is the most memory that our daemon had resident meanwhile.
 * The dockerd is the one at $DOCKER_HOST_PEER, or one that $PEER_ENV (a script: `dockerd NAME` prints its host, `stop NAME`)
 * starts; with neither, only ours is measured. Both get the same image and
 * are measured within minutes of each other, case by case, so that a busy machine is busy for both.
 */
import { busyboxTar } from "#test/busybox";
import { must } from "#test/command";
import { startDaemon } from "#test/daemon";
import type { Case, Cases } from "./case.ts";
import { containerCases } from "./containers.ts";
import { Engine } from "./engine.ts";
import { kbPerContainer } from "./footprint.ts";
import { imageCases } from "./images.ts";
import { type Figures, measure } from "./measure.ts";
import { forgetPeak, residentMb } from "./memory.ts";
import { networkCases } from "./network.ts";

const words = process.argv.slice(2);
const isQuick = words.includes("--quick");
const isJson = words.includes("--json");
const wanted = words.filter((word) => !word.startsWith("--"));

const nothing = async (): Promise<void> => undefined;
const cases: Cases = { ...containerCases, ...networkCases, ...imageCases };

interface Row {
  readonly name: string;
  readonly ours: Figures;
  readonly peer: Figures | undefined;
  readonly peakMb: number;
}

/** One after the other within the case: what else the machine does meets both. */
async function runCase(
  name: string,
  { runs, isOursAlone, prepare, reset, work }: Case,
  engines: readonly Engine[],
): Promise<Row> {
  forgetPeak(daemon.pid);
  const figures = new Map<Engine, Figures>();
  for (const engine of isOursAlone === true ? engines.slice(0, 1) : engines) {
    const undo = prepare === undefined ? nothing : await prepare(engine);
    const parts = { reset: () => reset?.(engine), work: () => work(engine) };
    figures.set(engine, await measure(isQuick ? Math.min(runs, 5) : runs, parts));
    await undo();
  }
  const [ours, peer] = engines.map((engine) => figures.get(engine));
  if (ours === undefined) throw new Error("no engine");
  return { name, ours, peer, peakMb: residentMb(daemon.pid, "VmHWM") };
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
  return residentMb(daemon.pid, "VmRSS");
}

const columns = ["median ms", "p99 ms", "dockerd", "p99 ms", "ratio", "MB"];

function line(name: string, cells: readonly string[]): string {
  return name.padEnd(30) + cells.map((cell) => cell.padStart(11)).join("");
}

function rowText({ name, ours, peer, peakMb }: Row): string {
  const ratio = peer === undefined ? undefined : ours.medianMs / peer.medianMs;
  const figures = [ours.medianMs, ours.p99Ms, peer?.medianMs, peer?.p99Ms, ratio];
  return line(name, [...figures.map((figure) => figure?.toFixed(2) ?? "-"), String(Math.round(peakMb))]);
}

function table(rows: readonly Row[]): string {
  return [line("", columns), ...rows.map(rowText)].join("\n");
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

const isWanted = (name: string): boolean => wanted.length === 0 || wanted.some((word) => name.includes(word));
const containerKb: number[] = [];
if (isWanted("memory")) for (const engine of engines) containerKb.push(await kbPerContainer(engine));

const rows: Row[] = [];
for (const [name, work] of Object.entries(cases)) {
  if (!isWanted(name)) continue;
  const row = await runCase(name, work, engines);
  rows.push(row);
  // At once, for whoever does not wait for the end.
  if (!isJson) console.error(rowText(row));
}
console.log(
  isJson
    ? JSON.stringify({ idleMb, containerKb, rows }, undefined, 2)
    : `idle daemon: ${idleMb} MB resident\nkB for a running container: ${containerKb.join(", dockerd ")}\n${table(rows)}`,
);
