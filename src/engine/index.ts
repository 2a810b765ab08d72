/** The engine's door: the services that `src/api` calls and `src/daemon` builds. */
export type * from "./container/options.ts";
export { Events, type EventType, type WatchOptions } from "./events.ts";
export { Filters, invalidFilter } from "./filters.ts";
