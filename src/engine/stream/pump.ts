import type { Duplex, Readable, Writable } from "node:stream";
import type { Attachment, AttachOptions, Task } from "#runtime";
import { DetachScanner } from "./detach-keys.ts";
import { StdcopyStrip } from "./stdcopy-strip.ts";
import { StdcopyWrap } from "./stdcopy-wrap.ts";

export interface PumpOptions {
  readonly stdin: boolean;
  /** The process has a terminal: the shim's bytes are raw, and detach keys count. */
  readonly isTty: boolean;
  /** What the client gets, whatever the shim sends. */
  readonly framing: "stdcopy" | "raw";
  readonly detachKeys: Buffer;
  /** The client's end of stdin is the process's too. If not, it ends this client's output, as moby does. */
  readonly closesStdin: boolean;
  /** Waited for between the last byte and the client's end: what a client asks next must be true by then. */
  readonly settled?: () => Promise<unknown>;
}

/** How it ended: the process's output was delivered, the client pressed the detach keys, ended its input, or hung up. */
export type PumpEnd = "ended" | "detached" | "inputEnded" | "gone";

/** Attaches to a process for a client. What the shim sends goes there without us, if it is what the client is to get. */
export async function attachFor(
  client: Duplex,
  task: Task,
  { framing, isTty, ...options }: AttachOptions & Pick<PumpOptions, "framing" | "isTty">,
): Promise<Attachment> {
  if ((framing === "raw") === isTty) return task.attachClient(client, options);
  return { socket: await task.attach(options), isDirect: false };
}

/** Joins a client and a shim's attach connection until one of them is through. Closes both. */
export function pump(client: Duplex, { socket: shim, isDirect }: Attachment, options: PumpOptions): Promise<PumpEnd> {
  return new Promise((resolve) => {
    let isOver = false;
    const finish = (end: PumpEnd) => {
      if (isOver) return;
      isOver = true;
      shim.destroy();
      if (end === "gone") client.destroy();
      // What the client still sends is read and dropped: a close with unread bytes would reset the connection.
      client.resume();
      const settled = end === "ended" ? options.settled?.() : undefined;
      void Promise.resolve(settled).finally(() => {
        client.end();
        resolve(end);
      });
    };
    client.on("error", () => finish("gone"));
    client.on("close", () => finish("gone"));
    let hasLeft = false;
    const onShimEnd = () => finish(hasLeft ? "gone" : "ended");
    shim.on("error", onShimEnd);
    shim.on("close", onShimEnd);

    if (isDirect) {
      // What it sent before it left goes to the process all the same, and then the shim hangs up.
      const onLeft = () => {
        hasLeft = true;
        if (!options.stdin) finish("gone");
      };
      shim.on("end", onShimEnd).on("data", onLeft).resume();
    } else {
      const output = framed(shim, options);
      output.pipe(client, { end: false });
      output.on("end", onShimEnd);
    }

    if (!options.stdin) client.resume();
    else joinInput(client, shim, options, finish);
    // It may have left while the shim was being connected; then nothing above will ever fire.
    if (client.destroyed) finish("gone");
  });
}

function framed(shim: Readable, { isTty, framing }: PumpOptions): Readable {
  if (isTty) return framing === "stdcopy" ? shim.pipe(new StdcopyWrap()) : shim;
  return framing === "raw" ? shim.pipe(new StdcopyStrip()) : shim;
}

function joinInput(client: Duplex, shim: Writable, options: PumpOptions, finish: (end: PumpEnd) => void): void {
  const scanned = options.isTty ? client.pipe(new DetachScanner(options.detachKeys, () => finish("detached"))) : client;
  scanned.pipe(shim, { end: options.closesStdin });
  if (options.closesStdin) return;
  scanned.on("end", () => finish("inputEnded"));
  // It may have ended while the shim was being connected.
  if (scanned.readableEnded) finish("inputEnded");
}
