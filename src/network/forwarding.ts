import { readFileSync, rmSync, writeFileSync } from "node:fs";
import { errnoOf } from "#base/errors";
import type { Family } from "./address.ts";
import type { Firewall } from "./firewall.ts";
import { writeSysctl } from "./namespaces.ts";

const sysctls: Readonly<Record<Family, readonly string[]>> = {
  4: ["net/ipv4/ip_forward"],
  6: ["net/ipv6/conf/default/forwarding", "net/ipv6/conf/all/forwarding"],
};

/**
 * The host forwards once there is a network to forward for. A host that did not before must not become a router between its
 * neighbours by that: the firewall closes what nobody asked for, where dockerd sets the policy of the FORWARD chain, which
 * is everybody's. Which families we have opened is kept in a file: it holds as long as the kernel runs, like the sysctl.
 */
export class Forwarding {
  readonly #file: string;
  readonly #firewall: Firewall;
  readonly #isOpen: boolean;
  readonly #opened: Set<Family>;

  /** `isOpen`: neighbours may pass nevertheless. */
  constructor(file: string, firewall: Firewall, { isOpen }: { readonly isOpen: boolean }) {
    this.#file = file;
    this.#firewall = firewall;
    this.#isOpen = isOpen;
    this.#opened = new Set(readFamilies(file));
    for (const family of this.#opened) this.#close(family);
  }

  ensure(family: Family): void {
    const missing = sysctls[family].filter((name) => !isOn(name));
    if (missing.length === 0) return;
    this.#close(family);
    this.#opened.add(family);
    writeFileSync(this.#file, [...this.#opened].join("\n"), { mode: 0o600 });
    for (const name of missing) writeSysctl(name, "1");
  }

  #close(family: Family): void {
    if (!this.#isOpen) this.#firewall.closeToStrangers(family);
  }

  /** At the end of the last network. With `isNeeded` others rely on it by now, and it stays. */
  release({ isNeeded }: { readonly isNeeded: boolean }): void {
    if (!isNeeded) for (const family of this.#opened) for (const name of sysctls[family]) writeSysctl(name, "0");
    this.#opened.clear();
    rmSync(this.#file, { force: true });
  }
}

const isOn = (name: string): boolean => readFileSync(`/proc/sys/${name}`, "utf8").startsWith("1");

function readFamilies(file: string): Family[] {
  try {
    const lines = readFileSync(file, "utf8").split("\n");
    return ([4, 6] as const).filter((family) => lines.includes(String(family)));
  } catch (error) {
    if (errnoOf(error) === "ENOENT") return [];
    throw error;
  }
}
