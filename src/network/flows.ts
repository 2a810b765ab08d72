import type { Log } from "#base/log";
import type { Family } from "./address.ts";
import { ConntrackSocket } from "./netlink/conntrack.ts";

/**
 * Flows of datagrams that the kernel remembers. Their NAT is decided by the first one: who goes on sending, from before there
 * was a container or after it was replaced, would never get to the new one. What is asked for while the kernel is busy
 * with its walk through all of them is done by the next one together, and nobody waits for it.
 */
export class Flows implements Disposable {
  readonly #socket = new ConntrackSocket();
  readonly #log: Log;
  #pending = new Map<Family, Set<number>>();
  #isBusy = false;
  #isClosed = false;

  constructor(log: Log) {
    this.#log = log;
  }

  /** After a change of where these UDP ports of the host lead. */
  forget(family: Family, ports: readonly number[]): void {
    if (ports.length === 0) return;
    this.#pending.set(family, new Set([...(this.#pending.get(family) ?? []), ...ports]));
    if (!this.#isBusy) void this.#drain();
  }

  [Symbol.dispose](): void {
    this.#isClosed = true;
    if (!this.#isBusy) this.#socket[Symbol.dispose]();
  }

  async #drain(): Promise<void> {
    this.#isBusy = true;
    while (this.#pending.size > 0 && !this.#isClosed) {
      const pending = this.#pending;
      this.#pending = new Map();
      try {
        for (const [family, ports] of pending) await this.#socket.forgetDatagrams(family, ports);
      } catch (error) {
        this.#log.warn({ err: error }, "flows to published ports cannot be ended");
      }
    }
    this.#isBusy = false;
    if (this.#isClosed) this.#socket[Symbol.dispose]();
  }
}
