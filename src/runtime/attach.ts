import type { Socket } from "node:net";
import type { Duplex } from "node:stream";
import { descriptorOf, sendDescriptor } from "#native";
import { openSocket, shimGone, shimSilent } from "./shim-connection.ts";
import { fieldsOf, parseFailure, parseFields } from "./wire.ts";

export interface AttachOptions {
  readonly stdin: boolean;
  readonly stdout: boolean;
  readonly stderr: boolean;
  /** To this exec instead of the container's first process. */
  readonly exec?: string;
}

export interface Attachment {
  /**
   * The caller's: output comes from it from now on (stdcopy frames without a terminal, raw with one), stdin goes into it,
   * ending its writing side ends this client's stdin, destroying it detaches.
   */
  readonly socket: Socket;
  /**
   * Output goes straight to the client, where nobody else may write until the socket's end says that all was sent.
   * A byte before that end says that the client takes no more.
   */
  readonly isDirect: boolean;
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

/** Attaches to a process. Output goes straight to the client, if one is given and it is a bare connection. */
export async function attach(socketPath: string, options: AttachOptions, client?: Duplex): Promise<Attachment> {
  const socket = await openSocket(socketPath);
  if (socket === undefined) throw shimGone();
  try {
    send(socket, `${JSON.stringify({ op: "attach", ...options })}\n`, lendable(client));
    const { ok, error } = parseFields(await readAnswer(socket));
    if (error !== undefined) throw parseFailure(error);
    return { socket, isDirect: fieldsOf(ok, "an answer").direct === true };
  } catch (error) {
    socket.destroy();
    throw error;
  }
}

/** What was written to it must be on its way: it would come behind the output. */
const lendable = (client?: Duplex): number | undefined =>
  client === undefined || client.writableLength > 0 ? undefined : descriptorOf(client);

function send(socket: Socket, line: string, lent: number | undefined): void {
  const fd = descriptorOf(socket);
  if (fd === undefined || lent === undefined) socket.write(line);
  else sendDescriptor(fd, Buffer.from(line), lent);
}
