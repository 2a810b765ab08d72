import assert from "node:assert/strict";
import test from "node:test";
import { zeroTime } from "#base/clock";
import { EngineError } from "#base/errors";
import { type Id, parseDigest, parseId } from "#base/ids";
import type { ContainerRecord } from "#storage";
import { emptyHostConfig } from "../../src/engine/container/create/empty-host-config.ts";
import { parseListFilters } from "../../src/engine/container/list/filters.ts";
import { descendantsOf, selectRecords, summaryOf } from "../../src/engine/container/list/list.ts";
import { humanDuration, statusText } from "../../src/engine/container/list/status-text.ts";
import { Filters } from "../../src/engine/filters.ts";
import { imageConfig } from "./create-fixtures.ts";

const image = parseDigest(`sha256:${"a".repeat(64)}`);
const idOf = (digit: string): Id => parseId(digit.repeat(64));

function container(digit: string, change: Partial<ContainerRecord> = {}): ContainerRecord {
  return {
    id: idOf(digit),
    name: `name${digit}`,
    created: `2026-01-01T00:00:00.${digit}Z`,
    path: "sh",
    args: ["-c", "exit 3"],
    imageId: image,
    config: { ...imageConfig("busybox"), Image: "busybox", Labels: { tier: digit } },
    runtime: "minirun",
    hostConfig: { ...emptyHostConfig, NetworkMode: "bridge" },
    mounts: [],
    networks: {},
    ports: {},
    sandboxId: "",
    sandboxKey: "",
    state: {
      status: "created",
      pid: 0,
      exitCode: 0,
      error: "",
      startedAt: zeroTime,
      finishedAt: zeroTime,
      oomKilled: false,
      restartCount: 0,
      hasBeenManuallyStopped: false,
      hasRun: false,
      health: null,
    },
    ...change,
  };
}

const state = (change: Partial<ContainerRecord["state"]>) => ({ state: { ...container("1").state, ...change } });
const running = (startedAt = "2026-01-01T00:01:00Z") => state({ status: "running", pid: 9, startedAt, hasRun: true });
const exited = (exitCode: number) =>
  state({ status: "exited", exitCode, hasRun: true, finishedAt: "2026-01-01T00:02:00Z" });

const records = [
  container("1", exited(3)),
  container("2", { ...running(), ports: { "80/tcp": [{ HostIp: "0.0.0.0", HostPort: "8080" }], "90/udp": null } }),
  container("3"),
];

const lookups = {
  getContainer: (reference: string) => {
    const found = records.find(({ name, id }) => name === reference || id === reference);
    if (found === undefined) throw new EngineError("notFound", `No such container: ${reference}`);
    return found;
  },
  descendantsOf: (reference: string) => new Set(reference === "busybox" ? [image] : []),
};

function list(fields: Record<string, string[]>, options: { all?: boolean; limit?: number } = {}): string[] {
  const filter = parseListFilters(
    new Filters(Object.entries(fields)),
    records.map(({ id }) => id),
    lookups,
  );
  return selectRecords(records, filter, { all: options.all ?? true, limit: options.limit ?? 0 }).map(
    ({ name }) => name,
  );
}

test("ps: the youngest first, and only what runs", () => {
  assert.deepEqual(list({}), ["name3", "name2", "name1"]);
  assert.deepEqual(list({}, { all: false }), ["name2"]);
  assert.deepEqual(list({}, { all: false, limit: 2 }), ["name3", "name2"]);
});

test("ps: filters", () => {
  assert.deepEqual(list({ status: ["exited"] }, { all: false }), ["name1"]);
  assert.deepEqual(list({ status: [] }, { all: false }), ["name2"]);
  assert.deepEqual(list({ status: ["exited", "created"] }), ["name3", "name1"]);
  assert.deepEqual(list({ exited: ["3"] }), ["name1"]);
  assert.deepEqual(list({ exited: ["0"] }), []);
  assert.deepEqual(list({ name: ["^/name[12]$"] }), ["name2", "name1"]);
  assert.deepEqual(list({ name: ["ame3"] }), ["name3"]);
  assert.deepEqual(list({ id: ["22"] }), ["name2"]);
  assert.deepEqual(list({ label: ["tier=2"] }), ["name2"]);
  assert.deepEqual(list({ before: ["name3"] }), ["name2", "name1"]);
  assert.deepEqual(list({ since: ["name2"] }), ["name3"]);
  assert.deepEqual(list({ since: ["name1"], before: ["name3"] }), ["name2"]);
  assert.deepEqual(list({ ancestor: ["busybox"] }).length, 3);
  assert.deepEqual(list({ ancestor: ["nosuch"] }), []);
  assert.deepEqual(list({ publish: ["8000-9000"] }), ["name2"]);
  assert.deepEqual(list({ expose: ["90/udp"] }), ["name2"]);
  assert.deepEqual(list({ expose: ["90"] }), []);
  assert.deepEqual(list({ health: ["none"] }).length, 3);
  assert.deepEqual(list({ "is-task": ["true"] }), []);
  assert.deepEqual(list({ "is-task": ["false"] }).length, 3);
});

test("ps: a wrong filter is refused in dockerd's words", () => {
  const fails = (fields: Record<string, string[]>, message: string) =>
    assert.throws(() => list(fields), { name: "EngineError", message });
  fails({ bogus: ["1"] }, "invalid filter 'bogus'");
  fails({ before: ["nosuch"] }, "No such container: nosuch");
  fails({ exited: ["x"] }, `invalid filter 'exited=x': strconv.Atoi: parsing "x": invalid syntax`);
  fails(
    { health: ["bogus"] },
    "invalid filter 'health=bogus': invalid value for health (bogus): must be one of none, starting, healthy, unhealthy",
  );
  fails(
    { status: ["bogus"] },
    "invalid filter 'status=bogus': invalid value for state (bogus): must be one of created, running, paused, restarting, removing, exited, dead",
  );
  fails({ publish: ["1:2"] }, "filter for 'publish' should not contain ':': 1:2");
});

test("ps: what a line says", () => {
  const facts = { now: 1_767_225_780_000_000_000n, findImage: () => image, linkNames: new Map() };
  const [first, second] = records.map((record) => summaryOf(record, facts));
  assert.equal(first?.Command, "sh -c 'exit 3'");
  assert.equal(first?.Status, "Exited (3) About a minute ago");
  assert.equal(second?.Status, "Up 2 minutes");
  assert.equal(second?.Image, "busybox");
  assert.deepEqual(second?.Ports, [
    { IP: "0.0.0.0", PrivatePort: 80, PublicPort: 8080, Type: "tcp" },
    { IP: "", PrivatePort: 90, PublicPort: 0, Type: "udp" },
  ]);
  const moved = summaryOf(container("1"), { ...facts, findImage: () => undefined });
  assert.equal(moved.Image, image);
});

test("ps: health shows behind the time", () => {
  const health = (status: "starting" | "healthy") => ({ status, failingStreak: 0, log: [] });
  const now = 1_767_225_661_000_000_000n;
  assert.equal(statusText({ ...running().state, health: health("starting") }, now), "Up 1 second (health: starting)");
  assert.equal(statusText({ ...running().state, health: health("healthy") }, now), "Up 1 second (healthy)");
});

test("ps: durations read as go-units writes them", () => {
  const seconds = [0, 1, 59, 60, 119, 120, 3599, 5399, 5400, 172_799, 259_200, 1_209_600, 5_184_000, 63_072_000];
  assert.deepEqual(seconds.map(humanDuration), [
    "Less than a second",
    "1 second",
    "59 seconds",
    "About a minute",
    "About a minute",
    "2 minutes",
    "59 minutes",
    "About an hour",
    "2 hours",
    "2 days",
    "3 days",
    "2 weeks",
    "2 months",
    "2 years",
  ]);
});

test("ps: an image's descendants are found in any order", () => {
  const digest = (digit: string) => parseDigest(`sha256:${digit.repeat(64)}`);
  const record = (id: string, parent: string | null) => ({
    id: digest(id),
    parent: parent === null ? null : digest(parent),
    configJson: "",
    createdAt: null,
    lastTaggedAt: null,
    sizeBytes: 0,
    topChainId: null,
    isBuiltLocally: true,
    manifestDigest: null,
  });
  const found = descendantsOf(digest("1"), [record("3", "2"), record("2", "1"), record("1", null), record("4", null)]);
  assert.deepEqual([...found].sort(), [digest("1"), digest("2"), digest("3")]);
});
