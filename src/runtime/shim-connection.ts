import { connect, type Socket } from "node:net";
import { constants } from "node:os";
import { errnoOf } from "#base/errors";
import { stringifyExact } from "#base/exact-json";
import { within } from "#base/within";
import { LineReader } from "./lines.ts";
import { RuntimeError } from "./runtime-error.ts";
import { type Fields, parseMessage, type ShimEvent } from "./wire.ts";

export interface RequestOptions {
  readonly patienceMs?: number | undefined;
  /** For what is done after all, when its caller has been told that it is not. */
  readonly undo?: () => unknown;
}

interface Waiting {
  resolve(ok: Fields): void;
  reject(error: Error): void;
}

/** The shim hangs up on whoever sends more; it is more than the kernel takes for a program's arguments, too. */
const lineLimit = 4 << 20;

/** What the shim does by itself it does at once. */
const shimPatienceMs = 10_000;
/** These wait for the OCI runtime, and that for hooks, frozen processes and disks. */
const runtimePatienceMs = 120_000;
const runtimeOps = new Set(["create", "start", "exec-start", "pause", "resume", "update", "delete"]);
/** The more memory, the longer. */
const checkpointPatienceMs = 3_600_000;

function patienceFor(op: string): number {
  if (op === "checkpoint") return checkpointPatienceMs;
  return runtimeOps.has(op) ? runtimePatienceMs : shimPatienceMs;
}

/** No socket, nobody who listens, or a shim that ended before it took the connection from its queue. */
const goneCodes = new Set<string | undefined>(["ENOENT", "ECONNREFUSED", "ECONNRESET"]);

/** Opens a connection to the shim's socket; undefined if there is no shim any more. */
export async function openSocket(path: string): Promise<Socket | undefined> {
  const socket = connect({ path, allowHalfOpen: true });
  try {
    await new Promise<void>((resolve, reject) => socket.once("connect", resolve).once("error", reject));
    return socket;
  } catch (error) {
    if (goneCodes.has(errnoOf(error))) return undefined;
    throw error;
  }
}

/** A control connection: requests that are answered by number, and events. */
export class ShimConnection {
  /** The shim has gone, and every open request was refused. */
  readonly closed: Promise<void>;
  readonly #socket: Socket;
  readonly #lines = new LineReader();
  readonly #waiting = new Map<number, Waiting>();
  readonly #onEvent: (event: ShimEvent) => void;
  #seq = 0;

  constructor(socket: Socket, onEvent: (event: ShimEvent) => void) {
    this.#socket = socket;
    this.#onEvent = onEvent;
    socket.on("data", (chunk: Buffer) => this.#receive(chunk));
    socket.on("end", () => socket.destroy());
    socket.on("error", () => socket.destroy()); // "close" follows, and says all there is to say
    this.closed = new Promise((resolve) => socket.once("close", () => resolve(this.#refuseAll())));
  }

  /** Rejects with a RuntimeError that `isSilent` when the answer takes too long. It may still come. */
  request(op: string, fields: Fields = {}, options: RequestOptions = {}): Promise<Fields> {
    const { patienceMs = patienceFor(op), undo } = options;
    if (this.#socket.destroyed) return Promise.reject(shimGone());
    const seq = ++this.#seq;
    const line = `${stringifyExact({ seq, op, ...fields })}\n`;
    if (Buffer.byteLength(line) > lineLimit) return Promise.reject(tooLong());
    const answer = new Promise<Fields>((resolve, reject) => {
      this.#waiting.set(seq, { resolve, reject });
      this.#socket.write(line);
    });
    return within(patienceMs, answer, () => {
      answer.then(undo).catch(() => undefined);
      return shimSilent(op, patienceMs);
    });
  }

  close(): void {
    this.#socket.destroy();
  }

  #receive(chunk: Buffer): void {
    try {
      for (const line of this.#lines.push(chunk)) this.#dispatch(line);
    } catch (error) {
      this.#socket.destroy(error instanceof Error ? error : undefined);
    }
  }

  #dispatch(line: string): void {
    const message = parseMessage(line);
    if (message.kind === "event") {
      this.#onEvent(message.event);
      return;
    }
    const waiting = this.#waiting.get(message.seq);
    this.#waiting.delete(message.seq);
    if (message.kind === "ok") waiting?.resolve(message.ok);
    else waiting?.reject(message.error);
  }

  #refuseAll(): void {
    for (const waiting of this.#waiting.values()) waiting.reject(shimGone());
    this.#waiting.clear();
  }
}

/** With it goes every process that it held. */
export const shimGone = (): RuntimeError =>
  new RuntimeError({ stage: "shim", errno: constants.errno.ESRCH, message: "the shim has closed its connection" });

/** Ends a shim that has come to no running container: its runtime may wait for a disk. Rejects if it does not go. */
export async function dismissShim(socketPath: string): Promise<void> {
  const socket = await openSocket(socketPath);
  if (socket === undefined) return;
  const connection = new ShimConnection(socket, () => undefined);
  try {
    await connection.request("delete", {}, { patienceMs: shimPatienceMs });
  } catch (error) {
    if (!(error instanceof RuntimeError && error.isShimGone)) throw error;
  } finally {
    connection.close();
  }
}

const tooLong = (): RuntimeError =>
  new RuntimeError({ stage: "arguments", errno: constants.errno.E2BIG, message: "argument list too long" });

/** A shim that is stopped, or a runtime that does not come back. */
export const shimSilent = (op: string, patienceMs: number): RuntimeError =>
  new RuntimeError({
    stage: "shim",
    errno: constants.errno.ETIMEDOUT,
    message: `the shim has not answered ${op} within ${patienceMs / 1000} s`,
  });
