import type { Readable, Writable } from "node:stream";
import { pipeline } from "node:stream/promises";
import type { FastifyReply } from "fastify";
import { writeThrough } from "#base/write-through";

/**
 * Sends what a stream yields, headers at once: a client of `logs -f` or `events` may wait for them longer than for data.
 * A source that fails has nothing to say any more, so the connection is cut and the client sees that it is not the end.
 */
export function sendStream(reply: FastifyReply, source: Readable): Promise<FastifyReply> {
  // For a client that has gone already `pipeline` touches neither: nobody else would hear how the source ends.
  source.on("error", () => undefined);
  return send(reply, (sink) => pipeline(source, sink).finally(() => source.destroy()));
}

/** The same for chunks that are valid until the next one is asked for. */
export const sendChunks = (reply: FastifyReply, chunks: AsyncIterable<Uint8Array>): Promise<FastifyReply> =>
  send(reply, async (sink) => {
    await writeThrough(sink, chunks);
    sink.end();
  });

async function send(reply: FastifyReply, write: (sink: Writable) => Promise<void>): Promise<FastifyReply> {
  sendHeaders(reply);
  try {
    await write(reply.raw);
  } catch (error) {
    reply.server.apiLog.debug({ url: reply.request.routeOptions.url, err: error }, "stream cut off");
    reply.raw.destroy();
  }
  return reply;
}

/** One JSON value a line, each flushed, until the source ends or the client has gone. */
export async function sendLines<T>(
  reply: FastifyReply,
  values: AsyncIterable<T>,
  encode: (value: T) => string,
): Promise<FastifyReply> {
  sendHeaders(reply);
  const { raw } = reply;
  try {
    for await (const value of values) {
      if (raw.destroyed) break;
      if (!raw.write(`${encode(value)}\n`)) await drained(reply);
    }
  } catch (error) {
    reply.server.apiLog.debug({ url: reply.request.routeOptions.url, err: error }, "stream cut off");
  }
  raw.end();
  return reply;
}

/** Answers now; what follows goes to `reply.raw`, and no error can change the status. */
export function sendHeaders(reply: FastifyReply): void {
  reply.hijack();
  const { raw } = reply;
  raw.on("error", () => undefined);
  for (const [name, value] of Object.entries(reply.getHeaders())) if (value !== undefined) raw.setHeader(name, value);
  raw.flushHeaders();
}

/** Until the client has read what was written, or has gone. */
export function drained({ raw }: FastifyReply): Promise<void> {
  if (raw.destroyed || !raw.writableNeedDrain) return Promise.resolve();
  return new Promise((resolve) => {
    const settle = () => {
      raw.off("drain", settle);
      raw.off("close", settle);
      resolve();
    };
    raw.on("drain", settle);
    raw.on("close", settle);
  });
}
