import { readdirSync, readFileSync, statSync } from "node:fs";
import type { Socket } from "node:net";
import { text } from "node:stream/consumers";
import { must } from "#test/command";
import type { Daemon } from "#test/daemon";

/** What must not grow with the number of things that were done. */
export interface Footprint {
  readonly residentKb: number;
  readonly descriptors: number;
  readonly threads: number;
}

export function footprint(pid: number): Footprint {
  const status = readFileSync(`/proc/${pid}/status`, "utf8");
  const field = (name: string): number => Number(new RegExp(`^${name}:\\s+(\\d+)`, "m").exec(status)?.[1]);
  return {
    residentKb: field("VmRSS"),
    descriptors: readdirSync(`/proc/${pid}/fd`).length,
    threads: field("Threads"),
  };
}

export function databaseBytes(daemon: Daemon): number {
  const files = readdirSync(daemon.dataRoot).filter((name) => name.startsWith("engine.db"));
  return files.reduce((sum, name) => sum + statSync(`${daemon.dataRoot}/${name}`).size, 0);
}

/** The process that supervises a container. */
export async function shimOf(daemon: Daemon, name: string): Promise<number> {
  return Number(await must(["ps", "-o", "ppid=", "-p", await daemon.ok("inspect", "-f", "{{.State.Pid}}", name)]));
}

/** `docker run --rm busybox echo WORD`, as the CLI speaks it: what came out, and the status. */
export async function runByApi(daemon: Daemon, word: string): Promise<string> {
  const created = await daemon.http.post("/containers/create", {
    Image: "busybox",
    Cmd: ["echo", word],
    AttachStdout: true,
    HostConfig: { AutoRemove: true, NetworkMode: "none" },
  });
  const { Id: id } = created.json() as { Id: string };
  const output = hijack(daemon, `/containers/${id}/attach?stream=1&stdout=1&stderr=1`);
  await output.answered;
  const removed = daemon.http.post(`/containers/${id}/wait?condition=removed`);
  const started = await daemon.http.post(`/containers/${id}/start`);
  if (started.status !== 204) return `start: ${started.status} ${started.text}`;
  const { StatusCode: status } = (await removed).json() as { StatusCode: number };
  return `${status} ${await output.text}`;
}

export async function execByApi(daemon: Daemon, container: string, word: string): Promise<string> {
  const created = await daemon.http.post(`/containers/${container}/exec`, { Cmd: ["echo", word], AttachStdout: true });
  const { Id: id } = created.json() as { Id: string };
  const output = await hijack(daemon, `/exec/${id}/start`, "{}").text;
  const { ExitCode: status } = (await daemon.http.get(`/exec/${id}/json`)).json() as { ExitCode: number };
  return `${status} ${output}`;
}

/** A connection that becomes a stream. `text` is what stdout said, without its frames. */
function hijack(daemon: Daemon, path: string, body = ""): { answered: Promise<void>; text: Promise<string> } {
  const socket = daemon.http.connect();
  const head = [`POST ${path} HTTP/1.1`, "Host: d", "Connection: Upgrade", "Upgrade: tcp"];
  socket.write([...head, "Content-Type: application/json", `Content-Length: ${body.length}`, "", body].join("\r\n"));
  return { answered: answerOf(socket), text: payloadsOf(socket) };
}

const answerOf = (socket: Socket): Promise<void> => new Promise((resolve) => socket.once("readable", () => resolve()));

async function payloadsOf(socket: Socket): Promise<string> {
  const answer = await text(socket.setEncoding("latin1"));
  socket.end();
  return payloads(answer.slice(answer.indexOf("\r\n\r\n") + 4));
}

function payloads(frames: string): string {
  let said = "";
  for (let at = 0; at < frames.length; ) {
    const length = Buffer.from(frames.slice(at + 4, at + 8), "latin1").readUInt32BE();
    said += frames.slice(at + 8, at + 8 + length);
    at += 8 + length;
  }
  return said;
}

/** Follows the log to its end: what stdout said. `answered` when the engine began to. */
export function follow(daemon: Daemon, container: string): { answered: Promise<void>; text: Promise<string> } {
  const socket = daemon.http.connect();
  socket.write(`GET /containers/${container}/logs?follow=1&stdout=1 HTTP/1.0\r\nHost: d\r\n\r\n`);
  return { answered: answerOf(socket), text: payloadsOf(socket) };
}

/** Work `n` for each n below `count`, so many at a time. */
export async function inParallel(count: number, width: number, work: (n: number) => Promise<void>): Promise<void> {
  let next = 0;
  const line = async () => {
    while (next < count) await work(next++);
  };
  await Promise.all(Array.from({ length: width }, line));
}
