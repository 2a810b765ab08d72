import type { FastifyReply } from "fastify";
import { messageOf } from "#base/errors";
import { encodePlain } from "./encode.ts";
import { sendHeaders } from "./stream.ts";

/** moby pkg/jsonmessage, as the engine's services write it. */
export interface ProgressSink {
  write(message: object): void;
  /** The client reads slower than we write: lines that only move a bar may be left out. */
  readonly isCongested: boolean;
}

/**
 * Runs work that reports its progress as JSON lines. The headers go out with the first line: a failure before it is an
 * ordinary error with a status, a failure after it is the last line of the 200 (moby pkg/streamformatter).
 */
export async function sendProgress(
  reply: FastifyReply,
  work: (output: ProgressSink) => Promise<void>,
): Promise<FastifyReply> {
  reply.header("content-type", "application/json");
  const output = new ProgressLines(reply);
  try {
    await work(output);
  } catch (error) {
    if (!output.hasBegun) throw error;
    output.write(errorLine(error));
  }
  output.end();
  return reply;
}

class ProgressLines implements ProgressSink {
  readonly #reply: FastifyReply;
  hasBegun = false;

  constructor(reply: FastifyReply) {
    this.#reply = reply;
  }

  get isCongested(): boolean {
    return this.#reply.raw.writableNeedDrain;
  }

  write(message: object): void {
    this.#begin();
    const { raw } = this.#reply;
    if (!raw.destroyed) raw.write(`${encodePlain(message, { escapeHtml: true })}\r\n`);
  }

  end(): void {
    this.#begin();
    this.#reply.raw.end();
  }

  #begin(): void {
    if (this.hasBegun) return;
    this.hasBegun = true;
    sendHeaders(this.#reply);
  }
}

/** A build's failing command has an exit code, which becomes the CLI's. */
function errorLine(error: unknown): object {
  const message = messageOf(error);
  const code = error instanceof Error && "exitCode" in error ? error.exitCode : undefined;
  return { errorDetail: typeof code === "number" ? { code, message } : { message }, error: message };
}
