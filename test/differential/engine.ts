import { setTimeout as delay } from "node:timers/promises";
import { HttpClient } from "#test/http";
import { type Normal, normalOf, textOf } from "./normal.ts";
import type { FuzzRequest } from "./requests.ts";

const patienceMs = 30_000;

const broken = (error: Error): Normal => ({ status: 0, type: "", body: error.message });

/** One of the engines that get the same requests. */
export class FuzzedEngine {
  readonly #http: HttpClient;
  constructor(socket: string) {
    this.#http = new HttpClient(socket);
  }

  /** Of what this engine made last; the other's is called otherwise. */
  readonly #newest = { container: "none", exec: "none" };

  async answer({ method, path, body, headers }: FuzzRequest): Promise<Normal> {
    const own = (text: string) =>
      text.replaceAll(/\{(container|exec)\}/g, (_, kind: "container" | "exec") => this.#newest[kind]);
    const options = { headers, ...(body === undefined ? {} : { body: own(body) }) };
    const reply = this.#http.send(method, own(path), options).then((answer) => {
      if (method === "POST" && answer.status === 201) this.#remember(path, answer.text);
      return normalOf(answer);
    }, broken);
    const late = new AbortController();
    const silence = delay(patienceMs, undefined, { signal: late.signal }).then(() => ({
      status: 0,
      type: "",
      body: "no answer",
    }));
    try {
      return await Promise.race([reply, silence]);
    } finally {
      late.abort();
    }
  }

  #remember(path: string, answer: string): void {
    const [, kind] = /\/(container)s\/create\b|\/(exec)$/.exec(path)?.filter((part) => part !== undefined) ?? [];
    if (kind === "container" || kind === "exec") this.#newest[kind] = (JSON.parse(answer) as { Id: string }).Id;
  }

  /** Removes all containers: those of hundreds of requests make every list long. */
  async sweep(): Promise<void> {
    const list = (await this.#http.get("/containers/json?all=1")).json() as { Id: string }[];
    for (const { Id } of list) await this.#http.send("DELETE", `/containers/${Id}?force=1&v=1`);
  }

  /** Name → state: what short commands, kills and removals lead to. */
  async states(): Promise<string> {
    const list = (await this.#http.get("/containers/json?all=1")).json() as { Names: string[]; State: string }[];
    return list
      .map(({ Names, State }) => textOf(`${Names[0]} ${State}`))
      .sort()
      .join("\n");
  }
}

/** Waits until both engines' containers are in the same states, as a client that looks a moment later would find them. */
export async function settle(engines: readonly FuzzedEngine[]): Promise<string[]> {
  for (let attempt = 0; ; attempt++) {
    const states = await Promise.all(engines.map((engine) => engine.states()));
    if (attempt === 40 || states.every((state) => state === states[0])) return states;
    await delay(50);
  }
}
