/*
 * Requests as clients and their mistakes make them: every endpoint that does not wait for a person, with parameters, filters
 * and bodies, right and wrong.
 */
import { CreateRequest, HostConfig } from "#api-schema/container-config";
import { UpdateConfig } from "#api-schema/container-verbs";
import { ExecOptions, ExecStartOptions } from "#api-schema/exec";
import { NetworkConnectRequest, NetworkCreateRequest, NetworkDisconnectRequest } from "#api-schema/network";
import { EndpointSettings } from "#api-schema/network-settings";
import { VolumeCreateRequest } from "#api-schema/volume";
import { sent } from "./mangled.ts";
import * as pools from "./pools.ts";
import type { Random } from "./random.ts";
import { randomBody } from "./typed.ts";

export interface FuzzRequest {
  readonly method: string;
  /** May name what the engine itself has made: pools.ts. */
  readonly path: string;
  readonly body?: string;
  readonly headers: Readonly<Record<string, string>>;
}

const { bools, containerNames, containers, execs, images, integers, networks, signals, times, volumes } = pools;

interface Unsent {
  readonly method: string;
  readonly path: string;
  readonly query?: pools.Pools;
  readonly body?: unknown;
}

type Make = (random: Random) => Unsent;

/** [how often, what] */
const endpoints: readonly (readonly [weight: number, make: Make])[] = [
  [
    14,
    (r) =>
      post(
        "/containers/create",
        {
          name: [...containerNames, "W0", "a/b", "-x", ""],
          platform: ["", "linux/amd64", "linux/arm64", "x", "a/b/c/d"],
        },
        create(r),
      ),
  ],
  [
    8,
    (r) =>
      post(`/containers/${r.pick(containers)}/start`, { detachKeys: ["", "ctrl-a", "nope-x"], checkpoint: ["", "x"] }),
  ],
  [3, (r) => post(`/containers/${r.pick(containers)}/stop?t=${r.pick(["0", "1", "x"])}`, { signal: signals })],
  [2, (r) => post(`/containers/${r.pick(containers)}/restart?t=${r.pick(["0", "x"])}`, { signal: signals })],
  [5, (r) => post(`/containers/${r.pick(containers)}/kill`, { signal: signals })],
  [2, (r) => post(`/containers/${r.pick(containers)}/pause`)],
  [2, (r) => post(`/containers/${r.pick(containers)}/unpause`)],
  [3, (r) => post(`/containers/${r.pick(containers)}/rename`, { name: [...containerNames, "W0", "a b", ""] })],
  [2, (r) => post(`/containers/${r.pick(containers)}/resize`, { h: integers, w: integers })],
  [3, (r) => post(`/containers/${r.pick(containers)}/update`, {}, randomBody(r, UpdateConfig))],
  [
    3,
    (r) =>
      post(`/containers/${r.pick(containers)}/exec`, {}, randomBody(r, ExecOptions, r.pick([{}, { Cmd: ["true"] }]))),
  ],
  [2, (r) => post(`/exec/${r.pick(execs)}/start`, {}, randomBody(r, ExecStartOptions, { Detach: true }))],
  [3, (r) => get(`/exec/${r.pick(execs)}/json`)],
  [1, (r) => post(`/exec/${r.pick(execs)}/resize`, { h: integers, w: integers })],
  [1, () => post("/containers/nosuch/wait", { condition: ["", "not-running", "next-exit", "removed", "x"] })],
  [1, (r) => post(`/containers/${r.pick(containers)}/wait`, { condition: ["x", "Removed"] })],
  [6, (r) => remove(`/containers/${r.pick(containers)}`, { force: bools, v: bools, link: bools })],
  [1, (r) => post("/containers/prune", pruneQuery(r))],
  [
    6,
    (r) =>
      get("/containers/json", {
        all: bools,
        limit: integers,
        size: bools,
        filters: [filter(r)],
        since: ["w0", "nosuch"],
        before: ["w0"],
      }),
  ],
  [6, (r) => get(`/containers/${r.pick(containers)}/json`, { size: bools })],
  [14, () => get("/containers/{container}/json")],
  [
    3,
    (r) =>
      get(`/containers/${r.pick(containers)}/logs`, {
        stdout: bools,
        stderr: bools,
        tail: [...integers, "all"],
        timestamps: ["0"],
        since: times,
        until: times,
        details: bools,
      }),
  ],
  [2, (r) => get(`/containers/${r.pick(containers)}/top`, { ps_args: ["", "-o pid,comm", "aux", "-o nope", "x"] })],
  [2, (r) => get(`/containers/${r.pick(containers)}/changes`)],
  [1, (r) => get(`/containers/${r.pick(containers)}/stats?stream=0&one-shot=1`)],
  [
    2,
    (r) =>
      get(`/containers/${r.pick(containers)}/archive`, { path: ["", "/etc/hostname-no", "/etc", "rel", "/nosuch"] }),
  ],
  [1, (r) => ({ ...get(`/containers/${r.pick(containers)}/archive`, { path: ["/etc", "/nosuch"] }), method: "HEAD" })],
  [
    1,
    (r) => ({
      ...get(`/containers/${r.pick(containers)}/archive`, {
        path: ["/tmp", "/nosuch", ""],
        noOverwriteDirNonDir: bools,
      }),
      method: "PUT",
      body: r.pick(["", "not a tar"]),
    }),
  ],
  [
    5,
    (r) =>
      post(
        "/networks/create",
        {},
        randomBody(r, NetworkCreateRequest, { Name: r.pick([...networks, "", "a b", "n0 "]) }),
      ),
  ],
  [4, (r) => get("/networks", { filters: [filter(r)] })],
  [4, (r) => get(`/networks/${r.pick(networks)}`, { verbose: bools, scope: ["", "local", "swarm", "x"] })],
  [
    5,
    (r) =>
      post(
        `/networks/${r.pick(networks)}/connect`,
        {},
        randomBody(r, NetworkConnectRequest, { Container: r.pick(containers) }),
      ),
  ],
  [
    4,
    (r) =>
      post(
        `/networks/${r.pick(networks)}/disconnect`,
        {},
        randomBody(r, NetworkDisconnectRequest, { Container: r.pick(containers) }),
      ),
  ],
  [4, (r) => remove(`/networks/${r.pick(networks)}`)],
  [1, (r) => post("/networks/prune", pruneQuery(r))],
  [
    5,
    (r) =>
      post("/volumes/create", {}, randomBody(r, VolumeCreateRequest, { Name: r.pick([...volumes, "", "a/b", "-x"]) })),
  ],
  [3, (r) => get("/volumes", { filters: [filter(r)] })],
  [3, (r) => get(`/volumes/${r.pick(volumes)}`)],
  [4, (r) => remove(`/volumes/${r.pick(volumes)}`, { force: bools })],
  [1, (r) => post("/volumes/prune", pruneQuery(r))],
  [4, (r) => get("/images/json", { all: bools, digests: bools, "shared-size": bools, filters: [filter(r)] })],
  [3, (r) => get(`/images/${r.pick(images)}/json`, { manifests: bools, platform: ["", "{}", "x"] })],
  [2, (r) => get(`/images/${r.pick(images)}/history`)],
  [
    4,
    (r) =>
      post(`/images/${r.pick(images)}/tag`, { repo: ["i0", "i1", "i2", "UPPER", ""], tag: ["", "t", "a:b", "latest"] }),
  ],
  [
    4,
    (r) =>
      remove(`/images/${r.pick(images.filter((name) => !name.startsWith("busybox")))}`, {
        force: bools,
        noprune: bools,
      }),
  ],
  [
    2,
    (r) =>
      post(
        "/commit",
        {
          container: containers,
          repo: ["i2", "", "UPPER"],
          tag: ["", "t"],
          pause: bools,
          changes: ["", "CMD x", "NOPE x", "ENV a=b"],
        },
        r.pick([null, {}, { Labels: { z: "1" } }]),
      ),
  ],
  [
    2,
    () =>
      post("/images/create", { fromImage: ["", "127.0.0.1:1/x", "UPPER", "scratch"], tag: ["", "x"], repo: ["", "r"] }),
  ],
  [1, (r) => post(`/images/${r.pick(images)}/push`, { tag: ["", "x"] })],
  [1, (r) => get(`/events?since=1&until=${r.pick(["2", "x", "1"])}`, { filters: [filter(r)] })],
  [2, () => get("/info")],
  [2, () => get("/version")],
  [1, () => get("/_ping")],
  [1, () => get("/system/df", { type: ["container", "image", "volume", "build-cache", "x"] })],
  [1, () => post("/auth", {}, { username: "x", password: "y", serveraddress: "127.0.0.1:1" })],
  [
    1,
    (r) => ({
      method: r.pick(["GET", "POST", "DELETE", "PUT", "PATCH"]),
      path: r.pick([
        "/nosuch",
        "/containers",
        "/containers/",
        "/images/",
        "/swarm",
        "/nodes",
        "/services",
        "/tasks",
        "/secrets",
        "/configs",
        "/plugins",
        "/session",
        "/build/prune",
      ]),
    }),
  ],
];

const get = (path: string, query: pools.Pools = {}): Unsent => ({ method: "GET", path, query });
const remove = (path: string, query: pools.Pools = {}): Unsent => ({ method: "DELETE", path, query });
const post = (path: string, query: pools.Pools = {}, body?: unknown): Unsent => ({ method: "POST", path, query, body });

/** Mostly one that can be created: what does not exist is refused in few ways. */
function create(random: Random): unknown {
  const commands = [["true"], ["sleep", "1000"], ["sleep", "1000"], ["sh", "-c", "echo out; echo err >&2; exit 3"]];
  const image = { Image: random.isLucky(0.95) ? "busybox" : random.pick(images) };
  const given = { ...image, ...(random.isLucky(0.9) ? { Cmd: random.pick(commands) } : {}) };
  const host = random.isLucky(0.6) ? { HostConfig: randomBody(random, HostConfig) } : {};
  const endpoints = { [random.pick(networks)]: randomBody(random, EndpointSettings) };
  const networking = random.isLucky(0.15) ? { NetworkingConfig: { EndpointsConfig: endpoints } } : {};
  return random.isLucky(0.6)
    ? randomBody(random, CreateRequest, { ...given, ...host, ...networking })
    : { ...given, ...host, ...networking };
}

/** As a map of lists, or as clients sent it long ago: a map of maps. */
function filter(random: Random): string {
  if (random.isLucky(0.15)) return random.pick(pools.badFilters);
  const keys = random.some(Object.keys(pools.filters), 2 / Object.keys(pools.filters).length);
  const asMap = (values: unknown) =>
    Array.isArray(values) ? Object.fromEntries(values.map((value) => [value, true])) : values;
  const isLegacy = random.isLucky(0.2);
  const chosen = keys.map((key) => [key, random.pick(pools.filters[key] ?? [])] as const);
  return JSON.stringify(Object.fromEntries(chosen.map(([key, values]) => [key, isLegacy ? asMap(values) : values])));
}

/** Nothing that others of the fuzz did not make. */
const pruneQuery = (random: Random): pools.Pools => ({
  filters: ['{"label":["nosuch"]}', random.pick(['{"bogus":["x"]}', "{", '{"until":["x"]}', '{"until":["1h"]}'])],
});

const wheel = endpoints.flatMap(([weight, make]) => Array.from({ length: weight }, () => make));

export function nextRequest(random: Random): FuzzRequest {
  const { method, path, query = {}, body } = random.pick(wheel)(random);
  const words = random
    .some(Object.keys(query), 0.4)
    .map((key) => `${key}=${encodeURIComponent(String(random.pick(query[key] ?? [])))}`);
  const joint = path.includes("?") ? "&" : "?";
  const version = random.isLucky(0.4) ? "" : random.pick(pools.versions);
  const target = `${version}${path}${words.map((word, index) => (index === 0 ? joint : "&") + word).join("")}`;
  return { method, path: target, ...(body === undefined ? { headers: {} } : sent(random, body)) };
}
