/** The filters of `docker ps` (moby daemon/list.go). */

import { EngineError } from "#base/errors";
import { goQuote, int64, numberProblem } from "#base/strconv";
import type { ContainerRecord } from "#storage";
import type { Filters } from "../../filters.ts";
import { portsOf } from "./ports.ts";

const accepted = [
  "ancestor",
  "before",
  "exited",
  "expose",
  "health",
  "id",
  "is-task",
  "isolation",
  "label",
  "name",
  "network",
  "publish",
  "since",
  "status",
  "volume",
];
const states = ["created", "running", "paused", "restarting", "removing", "exited", "dead"];
const healths = ["none", "starting", "healthy", "unhealthy"];

export interface Lookups {
  /** By id or name; throws `No such container: …`. */
  readonly getContainer: (reference: string) => ContainerRecord;
  /** The image itself and all that were built on it; empty when there is none of that name. */
  readonly descendantsOf: (image: string) => ReadonlySet<string>;
}

export interface ListFilter {
  /** Asking for a state asks for containers that do not run, too. */
  readonly includesStopped: boolean;
  /** Only containers that are older than this one. */
  readonly before: string | undefined;
  /** Only containers that are younger than this one. */
  readonly since: string | undefined;
  readonly matches: (record: ContainerRecord) => boolean;
}

type Matches = ListFilter["matches"];

/** Checks everything before anything is looked at; throws in dockerd's words. `ids` are those of all containers. */
export function parseListFilters(filters: Filters, ids: readonly string[], lookups: Lookups): ListFilter {
  filters.validate(accepted);
  const exitCodes = filters.get("exited").map(exitCodeOf);
  checkWords(filters, "status", { name: "state", words: states });
  const isTask = filters.has("is-task") && filters.bool("is-task", false);
  checkWords(filters, "health", { name: "health", words: healths });
  const [before, since] = ["before", "since"].map((key) => {
    const reference = filters.get(key).at(-1);
    return reference === undefined ? undefined : lookups.getContainer(reference).id;
  });
  const tests: Matches[] = [
    () => !isTask,
    (record) => isNamed(filters, record.name),
    (record) => filters.labels("label", record.config.Labels),
    (record) => filters.pattern("status", record.state.status),
    (record) => filters.exact("health", record.state.health?.status ?? "none"),
    idTest(filters, ids),
    exitTest(exitCodes),
    volumeTest(filters),
    ancestorTest(filters, lookups),
    networkTest(filters),
    portTest(filters),
  ];
  return {
    includesStopped: filters.get("status").length > 0,
    before,
    since,
    matches: (record) => tests.every((test) => test(record)),
  };
}

function exitCodeOf(text: string): number {
  const problem = numberProblem(text, int64);
  if (problem === undefined) return Number(text);
  throw new EngineError(
    "invalidParameter",
    `invalid filter 'exited=${text}': strconv.Atoi: parsing ${goQuote(text)}: ${problem}`,
  );
}

function checkWords(
  filters: Filters,
  field: string,
  { name, words }: { name: string; words: readonly string[] },
): void {
  const wrong = filters.get(field).find((value) => !words.includes(value));
  if (wrong === undefined) return;
  throw new EngineError(
    "invalidParameter",
    `invalid filter '${field}=${wrong}': invalid value for ${name} (${wrong}): must be one of ${words.join(", ")}`,
  );
}

const isNamed = (filters: Filters, name: string): boolean =>
  filters.pattern("name", `/${name}`) || filters.pattern("name", name);

/** A prefix of an id counts when only one container has it. */
function idTest(filters: Filters, ids: readonly string[]): Matches {
  if (!filters.has("id")) return () => true;
  const wanted = new Set(
    filters.get("id").flatMap((prefix) => {
      const found = ids.filter((id) => id.startsWith(prefix));
      return prefix !== "" && found.length === 1 ? found : [];
    }),
  );
  return (record) => wanted.has(record.id);
}

function exitTest(codes: readonly number[]): Matches {
  if (codes.length === 0) return () => true;
  return ({ state }) => state.hasRun && state.status === "exited" && codes.includes(state.exitCode);
}

function volumeTest(filters: Filters): Matches {
  if (!filters.has("volume")) return () => true;
  const wanted = filters.get("volume");
  return ({ mounts }) =>
    mounts.some(
      ({ name, source, destination }) => wanted.includes(destination) || wanted.includes(name === "" ? source : name),
    );
}

function ancestorTest(filters: Filters, lookups: Lookups): Matches {
  if (!filters.has("ancestor")) return () => true;
  const images = new Set(filters.get("ancestor").flatMap((image) => [...lookups.descendantsOf(image)]));
  return ({ imageId }) => imageId !== null && images.has(imageId);
}

function networkTest(filters: Filters): Matches {
  if (!filters.has("network")) return () => true;
  const wanted = filters.get("network");
  return ({ networks }) =>
    wanted.some(
      (value) =>
        Object.hasOwn(networks, value) || Object.values(networks).some(({ NetworkID }) => NetworkID.startsWith(value)),
    );
}

function portTest(filters: Filters): Matches {
  const published = new Set(filters.get("publish").flatMap((value) => portsIn("publish", value)));
  const exposed = new Set(filters.get("expose").flatMap((value) => portsIn("expose", value)));
  if (published.size + exposed.size === 0) return () => true;
  return (record) =>
    portsOf(record.ports).some(
      ({ PrivatePort, PublicPort, Type }) =>
        published.has(`${PublicPort}/${Type}`) || exposed.has(`${PrivatePort}/${Type}`),
    );
}

const maxPort = 65_535;

/** "80", "80/udp", "8000-8010/tcp" → each port. dockerd counts a wrong one as its own failure. */
function portsIn(field: "publish" | "expose", value: string): string[] {
  const refuse = (message: string): EngineError => new EngineError("system", message);
  if (value.includes(":")) throw refuse(`filter for '${field}' should not contain ':': ${value}`);
  const [range = "", protocol = ""] = value.split("/");
  const failed = (reason: string): EngineError => refuse(`error while looking up for ${field} ${value}: ${reason}`);
  if (range === "") throw failed("Empty string specified for ports.");
  const [first = 0, end = first] = range.split("-").map((text) => {
    if (!/^\d+$/.test(text)) throw failed(`strconv.ParseUint: parsing ${goQuote(text)}: invalid syntax`);
    if (Number(text) > maxPort) {
      throw failed(`strconv.ParseUint: parsing ${goQuote(text)}: value out of range`);
    }
    return Number(text);
  });
  if (end < first) throw failed(`Invalid range specified for the Port: ${range}`);
  return Array.from({ length: end - first + 1 }, (_, n) => `${first + n}/${protocol || "tcp"}`);
}
