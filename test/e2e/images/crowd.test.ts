/** Many clients do everything with the same few images at once. MINIDOCK_CROWD_SECONDS=300 for the long run. */
import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import { type IncomingMessage, request } from "node:http";
import { join } from "node:path";
import { buffer, text } from "node:stream/consumers";
import { test } from "node:test";
import { gzipSync } from "node:zlib";
import tar from "tar-stream";
import { busyboxTar } from "#test/busybox";
import { type Daemon, startDaemon } from "#test/daemon";
import { startRegistry } from "#test/registry";
import { faultsOf } from "./faults.ts";
import { digestOf, RogueRegistry, tarOf, types } from "./rogue.ts";

const seconds = Number(process.env.MINIDOCK_CROWD_SECONDS ?? 8);
const seed = Number(process.env.MINIDOCK_CROWD_SEED ?? 1);
const clientCount = 12;

/** What all clients work on. */
interface World {
  readonly daemon: Daemon;
  /** To be pulled. */
  readonly remote: readonly string[];
  /** What loads, commits and tags are called. */
  readonly local: readonly string[];
  readonly archive: Buffer;
  /** Where pushes go. */
  readonly registry: string;
}

interface Reply {
  readonly status: number;
  readonly text: string;
}

type Message = { readonly status?: string; readonly stream?: string; readonly error?: string };

const messagesOf = ({ text }: Reply): Message[] =>
  text
    .split("\r\n")
    .filter((line) => line !== "")
    .map((line) => JSON.parse(line));

/** One client of many: whatever the others do, it is told what the API's words promise. */
class Client {
  readonly #world: World;
  readonly #number: number;
  #random: number;

  constructor(world: World, number: number) {
    this.#world = world;
    this.#number = number;
    this.#random = seed * 7919 + number * 104_729 + 1;
  }

  async step(): Promise<void> {
    const { remote, local } = this.#world;
    const name = this.#oneOf([...remote, ...local]);
    const steps: readonly (() => Promise<unknown>)[] = [
      () => this.#pull(this.#oneOf(remote)),
      () => this.#pull(this.#oneOf(remote)),
      () => this.#leave("POST", pullPath(this.#oneOf(remote))),
      () => this.#leave("GET", `/images/${name}/get`),
      () => this.#expect("DELETE", `/images/${name}?force=${this.#below(2)}`, [200, 404, 409]),
      () => this.#expect("DELETE", `/images/${name}`, [200, 404, 409]),
      () => this.#prune(),
      () => this.#run(name),
      () => this.#run(name),
      () => this.#commit(name),
      () => this.#load(),
      () => this.#save(name),
      () => this.#push(),
      () => this.#expect("POST", `/images/${name}/tag?repo=local&tag=t${this.#below(4)}`, [201, 404]),
      () => this.#expect("GET", "/images/json?shared-size=1&all=1", [200]),
      () => this.#expect("GET", "/system/df", [200]),
    ];
    await this.#oneOf(steps)();
  }

  async #pull(name: string): Promise<void> {
    const last = messagesOf(await this.#expect("POST", pullPath(name), [200])).at(-1);
    assert.match(last?.status ?? "", /^Status: /, `pull of ${name}: ${last?.error}`);
  }

  /** A container that was made has its image, whatever happens to the name of that. */
  async #run(name: string): Promise<void> {
    const id = await this.#create(name, ["sh", "-c", "echo here >/made && cat /made"]);
    if (id === undefined) return;
    await this.#expect("POST", `/containers/${id}/start`, [204]);
    await this.#expect("POST", `/containers/${id}/wait`, [200]);
    const logs = await this.#expect("GET", `/containers/${id}/logs?stdout=1&stderr=1`, [200]);
    assert.match(logs.text, /here\n$/);
    await this.#expect("DELETE", `/containers/${id}`, [204]);
  }

  async #commit(name: string): Promise<void> {
    const id = await this.#create(name, ["true"]);
    if (id === undefined) return;
    // By force an image goes even from below a container.
    await this.#expect("POST", `/commit?container=${id}&repo=local&tag=c${this.#below(4)}`, [201, 404], "{}");
    await this.#expect("DELETE", `/containers/${id}`, [204]);
  }

  async #create(name: string, command: readonly string[]): Promise<string | undefined> {
    const body = JSON.stringify({ Image: name, Cmd: command, HostConfig: { NetworkMode: "none" } });
    const reply = await this.#expect("POST", "/containers/create", [201, 404], body);
    return reply.status === 201 ? JSON.parse(reply.text).Id : undefined;
  }

  async #load(): Promise<void> {
    const reply = await this.#expect("POST", "/images/load?quiet=1", [200], this.#world.archive);
    assert.equal(messagesOf(reply).at(-1)?.stream, "Loaded image: local:loaded\n", reply.text);
  }

  async #prune(): Promise<void> {
    const filters = JSON.stringify({ dangling: [this.#oneOf(["true", "false"])] });
    await this.#expect("POST", `/images/prune?filters=${encodeURIComponent(filters)}`, [200, 409]);
  }

  /** An archive that begins comes to its end, and each blob in it is what its name says. */
  async #save(name: string): Promise<void> {
    const { response } = this.#begin("GET", `/images/${name}/get`);
    const reply = await response;
    if (reply.statusCode !== 200) return assert.equal(reply.statusCode, 404, await text(reply));
    let count = 0;
    for await (const entry of reply.pipe(tar.extract())) {
      const bytes = await buffer(entry);
      const [, digest] = /^blobs\/sha256\/([0-9a-f]+)$/.exec(entry.header.name) ?? [];
      if (digest === undefined) continue;
      assert.equal(digestOf(bytes), `sha256:${digest}`);
      count++;
    }
    assert.ok(count >= 3, `only ${count} blobs`);
  }

  async #push(): Promise<void> {
    const name = `${this.#world.registry}/pushed`;
    const tag = `${this.#number}`;
    const from = this.#oneOf(this.#world.remote);
    const tagged = await this.#expect("POST", `/images/${from}/tag?repo=${name}&tag=${tag}`, [201, 404]);
    if (tagged.status === 404) return;
    const reply = await this.#expect("POST", `/images/${name}/push?tag=${tag}`, [200], undefined, {
      "x-registry-auth": "e30=",
    });
    // The name may be gone again.
    const error = messagesOf(reply).at(-1)?.error;
    if (error !== undefined) assert.match(error, /^(tag does not exist|An image does not exist locally)/);
  }

  /** A client that goes away in the middle. */
  async #leave(method: string, path: string): Promise<void> {
    const { sent, response } = this.#begin(method, path);
    response.then(
      (reply) => reply.on("error", () => undefined).resume(),
      () => undefined,
    );
    const { promise, resolve } = Promise.withResolvers<void>();
    sent.on("close", resolve);
    setTimeout(() => sent.destroy(), this.#below(300));
    await promise;
  }

  async #expect(
    method: string,
    path: string,
    allowed: readonly number[],
    body?: string | Buffer,
    headers: Readonly<Record<string, string>> = {},
  ): Promise<Reply> {
    const reply = await this.#begin(method, path, body, headers).response;
    const said = await text(reply);
    const status = reply.statusCode ?? 0;
    assert.ok(allowed.includes(status), `${method} ${path}: ${status} ${said}`);
    return { status, text: said };
  }

  #begin(method: string, path: string, body?: string | Buffer, headers: Readonly<Record<string, string>> = {}) {
    const { promise, resolve, reject } = Promise.withResolvers<IncomingMessage>();
    const json = typeof body === "string" ? { "content-type": "application/json" } : {};
    const socketPath = this.#world.daemon.socket;
    const sent = request({ socketPath, method, path, agent: false, headers: { ...json, ...headers } });
    sent.on("error", reject).on("response", resolve).end(body);
    return { sent, response: promise };
  }

  /** xorshift: the same in each run with the same seed. */
  #below(limit: number): number {
    let state = this.#random;
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    this.#random = state;
    return (state >>> 0) % limit;
  }

  #oneOf<T>(list: readonly [T, ...T[]] | readonly T[]): T {
    const chosen = list[this.#below(list.length)];
    if (chosen === undefined) throw new Error("nothing to choose from");
    return chosen;
  }
}

function pullPath(name: string): string {
  const colon = name.lastIndexOf(":");
  return `/images/create?fromImage=${name.slice(0, colon)}&tag=${name.slice(colon + 1)}`;
}

/** An image that runs, on a base that all share. */
function addRunnable(registry: RogueRegistry, tag: string, base: Buffer, own: Buffer): void {
  const tars = [base, tarOf("common", Buffer.alloc(100_000, "common")), tarOf(`only-${tag}`, own)];
  const layers = tars.map((bytes) => {
    const blob = gzipSync(bytes, { level: 1 });
    return { mediaType: types.layer, size: blob.length, digest: registry.addBlob(blob) };
  });
  const rootfs = { type: "layers", diff_ids: tars.map(digestOf) };
  const config = Buffer.from(JSON.stringify({ architecture: "amd64", os: "linux", config: {}, rootfs }));
  registry.addManifest(tag, {
    schemaVersion: 2,
    mediaType: types.manifest,
    config: { mediaType: types.config, size: config.length, digest: registry.addBlob(config) },
    layers,
  });
}

/** Every third blob comes slowly. */
function slowDown(registry: RogueRegistry): void {
  let count = 0;
  registry.hook = (asked, response) => {
    const [, digest] = /\/blobs\/(sha256:[0-9a-f]+)$/.exec(asked.url ?? "") ?? [];
    const blob = registry.blobs.get(digest ?? "");
    if (asked.method !== "GET" || asked.headers.range !== undefined || blob === undefined) return false;
    if (++count % 3 !== 0) return false;
    response.writeHead(200, { "content-length": blob.length });
    const step = Math.ceil(blob.length / 10);
    const send = (at: number): void => {
      if (at >= blob.length) return void response.end();
      response.write(blob.subarray(at, at + step));
      setTimeout(() => send(at + step), 10);
    };
    send(0);
    return true;
  };
}

test(`${clientCount} clients pull, load, run, commit, save, push, tag, remove and prune for ${seconds} s: no image in use is lost, nothing is left`, async () => {
  await using rogue = await RogueRegistry.start();
  await using registry = await startRegistry({ prefix: [] });
  await using daemon = await startDaemon({ network: "host", hasBusybox: false });
  const base = readFileSync(await busyboxTar());
  const tags = ["1", "2", "3"];
  for (const tag of tags) addRunnable(rogue, tag, base, Buffer.alloc(200_000, tag));
  slowDown(rogue);
  const archive = join(daemon.folder, "image.tar");
  await daemon.ok("import", await busyboxTar(), "local:loaded");
  await daemon.ok("save", "-o", archive, "local:loaded");
  const world: World = {
    daemon,
    remote: tags.map((tag) => `${rogue.address}/x:${tag}`),
    local: ["local:loaded", "local:t0", "local:t1", "local:c0", "local:c1", "local:c2"],
    archive: readFileSync(archive),
    registry: registry.address,
  };
  const until = performance.now() + seconds * 1000;
  let steps = 0;
  const failures: unknown[] = [];
  const work = async (client: Client): Promise<void> => {
    while (performance.now() < until && failures.length === 0) {
      await client.step().catch((error: unknown) => failures.push(error));
      steps++;
    }
  };
  await Promise.all(Array.from({ length: clientCount }, (_, number) => work(new Client(world, number))));
  assert.deepEqual(failures, []);
  assert.ok(steps >= clientCount);
  assert.equal(await daemon.ok("ps", "-aq"), "");
  await daemon.ok("image", "prune", "-af");
  assert.equal(await daemon.ok("images", "-aq"), "");
  assert.deepEqual(
    daemon.log.split("\n").filter((line) => /level=(warning|error|fatal)/.test(line)),
    [],
  );
  await daemon.stop();
  assert.deepEqual(await faultsOf(daemon.dataRoot), []);
  assert.deepEqual(readdirSync(join(daemon.dataRoot, "content/blobs/sha256")), []);
  assert.deepEqual(readdirSync(join(daemon.dataRoot, "snapshots")), ["empty"]);
});
