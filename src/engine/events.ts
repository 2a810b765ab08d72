import type { EventMessage } from "#api-schema/events";
import type { Clock } from "#base/clock";
import type { Filters } from "./filters.ts";

export type EventType = "container" | "image" | "network" | "volume" | "daemon" | "builder" | "plugin";
type Attributes = Readonly<Record<string, string>>;

export interface WatchOptions {
  /** Nanoseconds since 1970. Absent: nothing of the past. */
  readonly since?: bigint | undefined;
  /** Nanoseconds since 1970. Absent: until the client goes. */
  readonly until?: bigint | undefined;
  readonly filters: Filters;
}

/** What moby keeps for `--since`: the last 256 events of this daemon's life. */
const historyLimit = 256;
/** A watcher that is this far behind is slower than the engine will ever be; it is cut off rather than fed memory. */
const backlogLimit = 16_384;
const nsPerSecond = 1_000_000_000n;

interface Watcher {
  readonly accepts: (event: EventMessage) => boolean;
  readonly queue: EventMessage[];
  wake: () => void;
  isOverrun: boolean;
}

/** The engine's event bus. Services emit after a change is recorded; `GET /events` watches. */
export class Events {
  readonly #clock: Clock;
  readonly #history: EventMessage[] = [];
  readonly #watchers = new Set<Watcher>();
  #count = 0;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** Of all that this daemon has emitted. */
  get count(): number {
    return this.#count;
  }

  get watcherCount(): number {
    return this.#watchers.size;
  }

  emit(type: EventType, action: string, actorId: string, attributes: Attributes): void {
    const event = message(this.#clock.now(), type, action, actorId, attributes);
    this.#count++;
    this.#history.push(event);
    if (this.#history.length > historyLimit) this.#history.shift();
    for (const watcher of this.#watchers) {
      if (!watcher.accepts(event)) continue;
      if (watcher.queue.length >= backlogLimit) watcher.isOverrun = true;
      else watcher.queue.push(event);
      watcher.wake();
    }
  }

  /** Subscribes at once, so that nothing between this call and the first `next()` is missed. */
  watch(options: WatchOptions, signal: AbortSignal): AsyncIterable<EventMessage> {
    const accepts = (event: EventMessage) => includes(options.filters, event);
    const watcher: Watcher = { accepts, queue: this.#past(options, accepts), wake: () => undefined, isOverrun: false };
    this.#watchers.add(watcher);
    return this.#drain(watcher, options.until, signal);
  }

  #past(options: WatchOptions, accepts: (event: EventMessage) => boolean): EventMessage[] {
    const { since, until } = options;
    if (since === undefined && until === undefined) return [];
    return this.#history.filter(
      (event) =>
        (since === undefined || event.timeNano >= since) &&
        (until === undefined || until <= 0n || event.timeNano <= until) &&
        accepts(event),
    );
  }

  async *#drain(watcher: Watcher, until: bigint | undefined, signal: AbortSignal): AsyncGenerator<EventMessage> {
    const end = new AbortController();
    const ended = AbortSignal.any([signal, end.signal]);
    ended.addEventListener("abort", () => watcher.wake());
    if (until !== undefined) this.#endAt(until, end, signal);
    try {
      for (;;) {
        const event = watcher.queue.shift();
        if (event !== undefined) yield event;
        else if (ended.aborted || watcher.isOverrun) return;
        else await new Promise<void>((resolve) => (watcher.wake = resolve));
      }
    } finally {
      this.#watchers.delete(watcher);
      end.abort();
    }
  }

  #endAt(until: bigint, end: AbortController, signal: AbortSignal): void {
    const leftMs = Number((until - this.#clock.now()) / 1_000_000n);
    if (leftMs <= 0) {
      end.abort();
      return;
    }
    const over = AbortSignal.any([signal, end.signal]);
    this.#clock.sleep(leftMs, over).then(
      () => end.abort(),
      () => undefined,
    );
  }
}

function message(now: bigint, type: EventType, action: string, actorId: string, attributes: Attributes): EventMessage {
  const isContainer = type === "container";
  const hasLegacyFields = isContainer || type === "image";
  return {
    status: hasLegacyFields ? action : "",
    id: hasLegacyFields ? actorId : "",
    from: isContainer ? (attributes.image ?? "") : "",
    Type: type,
    Action: action,
    Actor: { ID: actorId, Attributes: { ...attributes } },
    scope: "local",
    time: Number(now / nsPerSecond),
    timeNano: now,
  };
}

const fuzzyActions = new Set(["health_status", "exec_create", "exec_start"]);
const namedTypes = [
  "daemon",
  "container",
  "plugin",
  "volume",
  "network",
  "node",
  "service",
  "secret",
  "config",
] as const;

/** moby daemon/events/filter.go. */
function includes(filters: Filters, event: EventMessage): boolean {
  const name = event.Actor.Attributes?.name ?? "";
  const isActionWanted = filters.get("event").some((action) => fuzzyActions.has(action))
    ? filters.prefix("event", event.Action)
    : filters.exact("event", event.Action);
  return (
    isActionWanted &&
    filters.exact("type", event.Type) &&
    filters.exact("scope", event.scope) &&
    namedTypes.every((type) => filters.prefix(type, event.Actor.ID) || filters.prefix(type, name)) &&
    isImageWanted(filters, event) &&
    filters.labels("label", event.Actor.Attributes)
  );
}

function isImageWanted(filters: Filters, event: EventMessage): boolean {
  if (!filters.has("image")) return true;
  const attribute = event.Type === "image" ? "name" : "image";
  const image = event.Actor.Attributes?.[attribute] ?? "";
  return [event.Actor.ID, image, stripTag(event.Actor.ID), stripTag(image)].some((text) =>
    filters.exact("image", text),
  );
}

/** The familiar name without tag or digest. */
function stripTag(image: string): string {
  const name = image.replace(/@sha256:[a-f0-9]{64}$/, "");
  const colon = name.lastIndexOf(":");
  return colon > name.lastIndexOf("/") ? name.slice(0, colon) : name;
}
