import * as go from "#api-schema/go";

/** One line of GET /events (moby api/types/events.Message). */
export type EventMessage = go.Static<typeof EventMessage>;
export const EventMessage = go.struct("Message", {
  /** Filled for containers and images only, for clients of before 2016. */
  status: go.string({ omitempty: true }),
  id: go.string({ omitempty: true }),
  from: go.string({ omitempty: true }),
  Type: go.string(),
  Action: go.string(),
  Actor: go.struct("Actor", { ID: go.string(), Attributes: go.map(go.string()) }),
  scope: go.string({ omitempty: true }),
  time: go.int64({ omitempty: true }),
  timeNano: go.bigint({ omitempty: true }),
});
