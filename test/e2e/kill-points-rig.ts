import assert from "node:assert/strict";
import { type ChildProcess, spawn } from "node:child_process";
import { createInterface } from "node:readline";
import { setTimeout as delay } from "node:timers/promises";
import { lineOf, stop } from "#test/command";
import { type Daemon, packageRoot } from "#test/daemon";
import { census } from "./kill-points-census.ts";
import type { Step, Story } from "./kill-points-steps.ts";

/** Until what a request began in the background has come to its end as well. */
const quietMs = 250;
const patienceMs = 8000;

/** Ends a process before its nth system call that changes something, or one that it starts, by its name; 0 only counts. */
export class Killer {
  readonly calls: string[] = [];
  readonly #child: ChildProcess;

  private constructor(child: ChildProcess) {
    this.#child = child;
    if (child.stdout !== null) createInterface(child.stdout).on("line", (line) => this.calls.push(line));
  }

  static async attach(pid: number, n: number, program?: string): Promise<Killer> {
    const argv = [`${pid}`, `${n}`, ...(program === undefined ? [] : [program])];
    const child = spawn(`${packageRoot}/runtime-native/build/helpers/kill-at-call`, argv);
    const killer = new Killer(child);
    await lineOf(child, /attached/);
    return killer;
  }

  detach(): Promise<void> {
    return stop(this.#child);
  }
}

/** What is wrong after a kill, and where that was. */
export interface Finding {
  readonly where: string;
  readonly what: string;
}

/** An engine that is led through a story, again and again. */
export class KillPoints {
  readonly #daemon: Daemon;
  readonly #story: Story;
  /** Before the first step, and after each. */
  readonly #states: string[][] = [];
  /** By the place of the step: after what it may stop at half-way. */
  readonly #halfway = new Map<number, string[][]>();
  /** The system calls of each step, as they are without a kill. */
  readonly calls: string[][] = [];
  #empty: string[] = [];
  #position: number | undefined;

  private constructor(daemon: Daemon, story: Story) {
    this.#daemon = daemon;
    this.#story = story;
  }

  /** Learns the states that there are, by going through all of it once. */
  static async learn(daemon: Daemon, story: Story): Promise<KillPoints> {
    const points = new KillPoints(daemon, story);
    points.#empty = await points.#atRest();
    for (const step of story.setup) await must(daemon, step);
    points.#states.push(await points.#atRest());
    for (const [place, step] of story.steps.entries()) {
      await step.before?.(daemon);
      const killer = await Killer.attach(daemon.pid, 0);
      await must(daemon, { ...step, before: undefined });
      await delay(quietMs);
      await killer.detach();
      points.calls.push(killer.calls.slice(1));
      points.#states.push(await points.#atRest());
      if (step.halfway === undefined) continue;
      points.#halfway.set(place, []);
    }
    points.#position = story.steps.length;
    for (const place of points.#halfway.keys()) {
      for (const step of story.steps[place]?.halfway ?? []) {
        await points.#goTo(place);
        await must(daemon, step);
        points.#position = undefined;
        points.#halfway.get(place)?.push(await points.#atRest());
      }
    }
    await points.wipe();
    return points;
  }

  /** Kills in step `place` before its nth call, and the daemon that comes after it before its mth. Tells what is wrong then. */
  async killAt(place: number, n: number, m = 0): Promise<{ isKilled: boolean; call: string; problem?: string }> {
    const step = this.#story.steps[place];
    if (step === undefined) throw new Error(`no step ${place}`);
    await this.#goTo(place);
    await step.before?.(this.#daemon);
    const killer = await Killer.attach(this.#daemon.pid, n);
    const reply = await step.run(this.#daemon).catch(() => undefined);
    await delay(this.#daemon.isRunning ? quietMs : 0);
    const isKilled = !this.#daemon.isRunning;
    await killer.detach();
    const call = killer.calls.at(-1) ?? "";
    if (reply !== undefined) assert.ok(reply.status < 400, `${step.name}: ${reply.status} ${reply.text}`);
    await this.#daemon.kill();
    if (m > 0) await this.#killStart(m);
    await this.#daemon.start();
    this.#position = undefined;
    const after = this.#states[place + 1] ?? [];
    const before = this.#states[place] ?? [];
    const isOver = reply !== undefined || step.before !== undefined;
    const allowed = isOver ? [after] : [before, after, ...(this.#halfway.get(place) ?? [])];
    const found = await this.#settle(allowed);
    if (isSame(found, before)) this.#position = place;
    else if (found === after) this.#position = place + 1;
    if (allowed.includes(found)) return { isKilled, call };
    const answer = reply === undefined ? "no answer" : `answered ${reply.status}`;
    return { isKilled, call, problem: `${answer}\n${differences(allowed, found).join("\n")}` };
  }

  async #killStart(n: number): Promise<void> {
    this.#daemon.launch();
    const killer = await Killer.attach(this.#daemon.pid, n);
    await this.#daemon.ready().catch(() => undefined);
    await killer.detach();
    await this.#daemon.kill();
  }

  /** Everything goes, by the API; what is left then is wrong. */
  async wipe(): Promise<void> {
    this.#position = undefined;
    const { http } = this.#daemon;
    const ids = async (path: string, pick: (body: unknown) => { Id?: string; Name?: string }[]) =>
      pick((await http.get(path)).json()).map(({ Id, Name }) => Id ?? Name ?? "");
    const each = <T>(body: unknown) => body as T[];
    const remove = async (path: string) => {
      const { status, text } = await http.send("DELETE", path);
      assert.ok(status < 300 || status === 404 || (status === 403 && text.includes("pre-defined")), `${path}: ${text}`);
    };
    for (const id of await ids("/containers/json?all=1", each)) await remove(`/containers/${id}?force=1&v=1`);
    for (const id of await ids("/networks", each)) await remove(`/networks/${id}`);
    const volumes = await ids("/volumes", (body) => (body as { Volumes: { Name: string }[] }).Volumes ?? []);
    for (const name of volumes) await remove(`/volumes/${name}`);
    const found = await this.#settle([this.#empty]);
    if (found !== this.#empty) throw new Error(`left behind:\n${differences([this.#empty], found).join("\n")}`);
  }

  async #goTo(place: number): Promise<void> {
    if (this.#position === undefined || this.#position > place) {
      await this.wipe();
      for (const step of this.#story.setup) await must(this.#daemon, step);
      this.#position = 0;
    }
    for (; this.#position < place; this.#position++) await must(this.#daemon, this.#story.steps[this.#position]);
  }

  /** As a new daemon sees it. */
  async #atRest(): Promise<string[]> {
    await this.#daemon.kill();
    await this.#daemon.start();
    let before: string[] = [];
    for (;;) {
      await delay(quietMs);
      const lines = await census(this.#daemon);
      if (isSame(before, lines)) return lines;
      before = lines;
    }
  }

  /** One of these, or what is there in the end instead. */
  async #settle(allowed: readonly string[][]): Promise<string[]> {
    const deadline = performance.now() + patienceMs;
    for (;;) {
      const lines = await census(this.#daemon);
      const found = allowed.find((state) => isSame(state, lines));
      if (found !== undefined || performance.now() > deadline) return found ?? lines;
      await delay(100);
    }
  }
}

async function must(daemon: Daemon, step: Step | undefined): Promise<void> {
  if (step === undefined) throw new Error("no such step");
  await step.before?.(daemon);
  const { status, text } = await step.run(daemon);
  assert.ok(status < 400, `${step.name}: ${status} ${text}`);
}

const isSame = (a: readonly string[], b: readonly string[]): boolean => a.length === b.length && a.join() === b.join();

/** From the state that is nearest. */
function differences(allowed: readonly string[][], found: readonly string[]): string[] {
  const all = allowed.map((state) => [
    ...missing(state, found).map((line) => `- ${line}`),
    ...missing(found, state).map((line) => `+ ${line}`),
  ]);
  return all.reduce((least, lines) => (lines.length < least.length ? lines : least));
}

function missing(these: readonly string[], those: readonly string[]): string[] {
  const rest = [...those];
  return these.filter((line) => {
    const at = rest.indexOf(line);
    if (at >= 0) rest.splice(at, 1);
    return at < 0;
  });
}
