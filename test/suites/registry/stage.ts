import { createHash, randomBytes } from "node:crypto";
import { HttpClient } from "#test/http";
import { type RogueListener, RogueRegistry } from "../../e2e/images/rogue.ts";

/** What a client sees of one request that may stream. */
export interface Seen {
  readonly status: number;
  /** Lines without an id, in their order. */
  readonly said: readonly string[];
  /** The states of each layer. */
  readonly layers: Readonly<Record<string, readonly string[]>>;
}

/** One engine and the registries of one case. What a case returns is compared between engines. */
export class Stage implements AsyncDisposable {
  readonly http: HttpClient;
  readonly #registries: RogueRegistry[] = [];
  readonly #name: string;
  /** A repository that no earlier run has left anything of. */
  readonly word: string;

  constructor(socket: string, name: string) {
    this.http = new HttpClient(socket);
    this.#name = `${name} ${runId}`;
    this.word = `r${runId}${createHash("md5").update(name).digest("hex").slice(0, 6)}`;
  }

  async registry(listener: RogueListener = {}, port = 0): Promise<RogueRegistry> {
    const registry = await RogueRegistry.start(port, listener);
    this.#registries.push(registry);
    return registry;
  }

  /** Bytes that no other case and no other run has; `length` makes them noise, of the same seed in both engines. */
  content(label = "", length = 0): Buffer {
    const seed = Buffer.from(`${this.#name} ${label}\n`);
    return length === 0 ? seed : Buffer.concat([seed, noise(length - seed.length)]);
  }

  async pull(name: string, query: Readonly<Record<string, string>> = {}, headers: Record<string, string> = {}) {
    const search = new URLSearchParams({ fromImage: name, ...query });
    return this.seen("POST", `/images/create?${search}`, headers);
  }

  /** `X-Registry-Auth` must be there for a push. */
  async push(name: string, headers: Record<string, string> = {}): Promise<Seen> {
    const [, repository = "", tag] = /^(.*?)(?::([^:/]+))?$/.exec(name) ?? [];
    const query = tag === undefined ? "" : `?tag=${tag}`;
    return this.seen("POST", `/images/${repository}/push${query}`, { "X-Registry-Auth": auth({}), ...headers });
  }

  /** An image that the engine compresses by itself when it pushes it. */
  async import(name: string, layer: Buffer): Promise<void> {
    const [, repo = "", tag = ""] = /^(.*):([^:/]+)$/.exec(name) ?? [];
    await this.http.send("POST", `/images/create?${new URLSearchParams({ fromSrc: "-", repo, tag })}`, { body: layer });
  }

  async tag(name: string, target: string): Promise<void> {
    const [, repo = "", tag = ""] = /^(.*):([^:/]+)$/.exec(target) ?? [];
    await this.http.post(`/images/${name}/tag?${new URLSearchParams({ repo, tag })}`);
  }

  async id(name: string): Promise<string> {
    const reply = await this.http.get(`/images/${name}/json`);
    const body = reply.json() as { Id?: string; message?: string };
    return body.Id ?? body.message ?? "";
  }

  async json(path: string, headers: Record<string, string> = {}): Promise<readonly [number, unknown]> {
    const reply = await this.http.get(path, { headers });
    return [reply.status, reply.text === "" ? "" : reply.json()];
  }

  async seen(method: string, path: string, headers: Record<string, string>): Promise<Seen> {
    const reply = await this.http.send(method, path, { headers });
    const said: string[] = [];
    const layers: Record<string, string[]> = {};
    for (const line of reply.text.split(/\r?\n/).filter((text) => text !== "")) {
      const message = JSON.parse(line) as Record<string, unknown>;
      const { id, status, error, aux, message: refusal, progress } = message;
      const isLayer = typeof id === "string" && /^[0-9a-f]{12}$/.test(id);
      if (isLayer && progress === undefined) layers[id] = [...(layers[id] ?? []), String(status)];
      else if (!isLayer)
        said.push(
          refusal !== undefined
            ? `refused: ${refusal}`
            : error !== undefined
              ? `error: ${error}`
              : aux !== undefined
                ? `aux: ${JSON.stringify(aux)}`
                : id === undefined
                  ? String(status)
                  : `${id}: ${status}`,
        );
    }
    // Of what fails, how far the other layers had come is chance.
    const isFailed = said.some((line) => /^(error|refused): /.test(line));
    const told = Object.entries(layers).map(([id, list]) => [id, brief(list)] as const);
    const kept = told.filter(([, list]) => !isFailed || list.some((state) => state.startsWith("Retrying")));
    return {
      status: reply.status,
      said,
      layers: Object.fromEntries(
        kept.map(([id, list]) => [id, isFailed ? list.filter((state) => state.startsWith("Retrying")) : list]),
      ),
    };
  }

  /** What is not the same for two runs: ports. */
  plain(value: unknown): string {
    const names = this.#registries.map((one, index) => [one.address, `R${index}`] as const);
    // Docker Hub's own cannot be reached here; how that is told depends on the machine.
    const text = names.reduce(
      (all, [address, name]) => all.replaceAll(address, name).replaceAll(encodeURIComponent(address), name),
      JSON.stringify(value, null, 1) ?? "undefined",
    );
    return text
      .replaceAll(this.word, "W")
      .replace(/127\.0\.0\.1:\d+->/g, "L->")
      .replace(/[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[0-9a-f]{4}-[0-9a-f]{12}/g, "UUID");
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const registry of this.#registries) await registry[Symbol.asyncDispose]();
  }
}

/** A count-down is one state. */
function brief(states: readonly string[]): string[] {
  return states
    .filter((state) => !/^Retrying in (\d+) seconds?$/.test(state) || /^Retrying in (5|10|15|20) /.test(state))
    .filter((state) => !["Waiting", "Verifying Checksum", "Downloading", "Extracting", "Pushing"].includes(state))
    .filter((state, i, all) => all[i - 1] !== state);
}

const runId = Date.now().toString(36);

export const auth = (value: unknown): string =>
  Buffer.from(JSON.stringify(value)).toString("base64").replaceAll("+", "-").replaceAll("/", "_");

const noises = new Map<number, Buffer>();
function noise(length: number): Buffer {
  const known = noises.get(length) ?? randomBytes(length);
  noises.set(length, known);
  return known;
}
