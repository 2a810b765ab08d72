import type { FastifyReply } from "fastify";
import type { Static, TSchema } from "#api-schema/go";
import { type EncodeOptions, encode } from "./encode.ts";

/** httputils.WriteJSON: compact, with a newline at the end. */
export function sendJson<T extends TSchema>(
  reply: FastifyReply,
  schema: T,
  value: Static<T>,
  options: EncodeOptions = {},
): FastifyReply {
  return sendJsonText(reply, encode(schema, value, options));
}

/** A Buffer, because Fastify adds a charset to JSON strings and dockerd does not. */
export function sendJsonText(reply: FastifyReply, text: string): FastifyReply {
  return reply.header("content-type", "application/json").send(Buffer.from(`${text}\n`));
}
