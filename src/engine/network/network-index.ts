import { EngineError } from "#base/errors";
import type { DocumentTable } from "#storage";
import { noSuchNetwork } from "./errors.ts";
import { Network } from "./network.ts";
import type { NetworkRecord } from "./record.ts";

/** All networks: in memory to look at, in the database to keep. */
export class NetworkIndex {
  readonly #table: DocumentTable<NetworkRecord>;
  readonly #networks = new Map<string, Network>();

  constructor(table: DocumentTable<NetworkRecord>) {
    this.#table = table;
    const records = table.list().sort((a, b) => Number(a.created > b.created) - Number(a.created < b.created));
    for (const record of records) this.#networks.set(record.id, new Network(record));
  }

  /** In the order in which they were made. */
  list(): Network[] {
    return [...this.#networks.values()];
  }

  findByName(name: string): Network | undefined {
    return this.list().find((network) => network.name === name);
  }

  /** By full id, by name, or by a part of the id that only one network begins with; in this order. */
  get(ref: string): Network {
    const network = this.#networks.get(ref) ?? this.findByName(ref);
    if (network !== undefined) return network;
    const matches = ref === "" ? [] : this.list().filter(({ id }) => id.startsWith(ref));
    const [match] = matches;
    if (match === undefined) throw noSuchNetwork(ref);
    if (matches.length === 1) return match;
    throw new EngineError(
      "invalidParameter",
      `network ${ref} is ambiguous (${matches.length} matches found based on ID prefix)`,
    );
  }

  find(ref: string): Network | undefined {
    try {
      return this.get(ref);
    } catch (error) {
      if (error instanceof EngineError) return undefined;
      throw error;
    }
  }

  insert(record: NetworkRecord): Network {
    const network = new Network(record);
    this.#table.insert(record.id, record);
    this.#networks.set(record.id, network);
    return network;
  }

  delete(network: Network): void {
    this.#table.delete(network.id);
    this.#networks.delete(network.id);
  }
}
