import type { FastifyInstance, FastifyRequest } from "fastify";
import { EventMessage } from "#api-schema/events";
import { isOlder } from "#api-schema/versions";
import { EngineError } from "#base/errors";
import { type Engine, Filters, type WatchOptions } from "#engine";
import { keepingEncoder } from "../../encode.ts";
import { timestamp } from "../../params.ts";
import { sendLines } from "../../stream.ts";

export function eventsRoute(app: FastifyInstance, { events }: Engine): void {
  const encodeEvent = keepingEncoder(EventMessage, { escapeHtml: true });
  app.get("/events", async (request, reply) => {
    const watched = events.watch(watchOptions(request), request.clientGone);
    reply.header("content-type", "application/json");
    const shown = isOlder(request.apiVersion, "1.46") ? withoutImageCreate(watched) : watched;
    return sendLines(reply, shown, encodeEvent);
  });
}

function watchOptions({ form }: Pick<FastifyRequest, "form">): WatchOptions {
  const since = eventTime(form.get("since"));
  const until = eventTime(form.get("until"));
  if (until !== undefined && until < (since ?? until))
    throw new EngineError(
      "invalidParameter",
      `\`since\` time (${form.get("since")}) cannot be after \`until\` time (${form.get("until")})`,
    );
  return { since, until, filters: Filters.parse(form.get("filters")) };
}

/** To moby the second before 1970 is no time at all. */
const eventTime = (text: string): bigint | undefined => (/^-0*1(\.|$)/.test(text) ? undefined : timestamp(text));

/** An image's `create` came with 1.46. */
async function* withoutImageCreate(events: AsyncIterable<EventMessage>): AsyncGenerator<EventMessage> {
  for await (const event of events) if (event.Type !== "image" || event.Action !== "create") yield event;
}
