import type { Socket } from "node:net";
import { openSocket, shimGone, shimSilent } from "./shim-connection.ts";
import { parseFailure, parseFields } from "./wire.ts";

export interface AttachOptions {
  readonly stdin: boolean;
  readonly stdout: boolean;
  readonly stderr: boolean;
  /** To this exec instead of the container's first process. */
  readonly exec?: string;
}

const answerLimitBytes = 64 * 1024;
const patienceMs = 10_000;

/** Reads up to the first line's end and puts the bytes behind it back, so that the caller gets the pure stream. */
function readAnswer(socket: Socket): Promise<string> {
  return new Promise((resolve, reject) => {
    const onReadable = (): void => {
      for (let chunk: Buffer | null = socket.read(); chunk !== null; chunk = socket.read()) {
        answer = Buffer.concat([answer, chunk]);
        const end = answer.indexOf(0x0a);
        if (end < 0 && answer.length < answerLimitBytes) continue;
        release();
        if (end >= 0 && end + 1 < answer.length) socket.unshift(answer.subarray(end + 1));
        if (end < 0) reject(new Error("the shim's answer to attach has no end"));
        else resolve(answer.toString("utf8", 0, end));
        return;
      }
    };
    const onEnd = (): void => {
      release();
      reject(shimGone());
    };
    const onSilence = (): void => {
      release();
      reject(shimSilent("attach", patienceMs));
    };
    const release = (): void => {
      clearTimeout(timer);
      socket.off("readable", onReadable).off("end", onEnd).off("close", onEnd).off("error", onEnd);
    };
    const timer = setTimeout(onSilence, patienceMs);
    let answer: Buffer = Buffer.alloc(0);
    socket.on("readable", onReadable).on("end", onEnd).on("close", onEnd).on("error", onEnd);
  });
}

/**
 * Attaches to a process. The socket is the caller's: output comes from it from now on (stdcopy frames without a
 * terminal, raw with one), stdin goes into it, ending its writing side ends this client's stdin, destroying it detaches.
 */
export async function attach(socketPath: string, options: AttachOptions): Promise<Socket> {
  const socket = await openSocket(socketPath);
  if (socket === undefined) throw shimGone();
  try {
    socket.write(`${JSON.stringify({ op: "attach", ...options })}\n`);
    const answer = parseFields(await readAnswer(socket));
    if (answer.error !== undefined) throw parseFailure(answer.error);
    return socket;
  } catch (error) {
    socket.destroy();
    throw error;
  }
}
