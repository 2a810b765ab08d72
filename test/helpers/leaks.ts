import { readdirSync, readFileSync, rmdirSync } from "node:fs";
import { basename, join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { must } from "./command.ts";
import type { Daemon } from "./daemon.ts";

/** What a stopped daemon without containers must not leave on the machine. Only its own things are looked at. */
export class Residue {
  readonly #daemon: Daemon;
  constructor(daemon: Daemon) {
    this.#daemon = daemon;
  }

  /** The kernel takes a namespace and its interfaces down in its own time: what is on its way out gets two seconds. */
  async remaining(): Promise<string[]> {
    const deadline = performance.now() + 2000;
    for (;;) {
      const left = await this.find();
      if (left.length === 0 || performance.now() > deadline) return left;
      await delay(50);
    }
  }

  async find(): Promise<string[]> {
    return [...this.#mounts(), ...this.#processes(), ...this.#cgroups(), ...(await this.#network())];
  }

  #mounts(): string[] {
    const lines = readFileSync("/proc/self/mountinfo", "utf8").split("\n");
    return lines.filter((line) => line.includes(this.#daemon.folder)).map((line) => `mount: ${line}`);
  }

  /** Daemon, shims, launchers and forwarders all have the folder somewhere in their arguments. */
  #processes(): string[] {
    return readdirSync("/proc").flatMap((pid) => {
      if (!/^\d+$/.test(pid) || pid === String(process.pid)) return [];
      const command = readCommand(pid);
      return command.includes(this.#daemon.folder) ? [`process ${pid}: ${command}`] : [];
    });
  }

  /** The parent itself is the daemon's to keep, and ours to remove. */
  #cgroups(): string[] {
    const name = basename(this.#daemon.cgroupParent);
    return ["", ...readdirSync("/sys/fs/cgroup")].flatMap((hierarchy) => {
      const folder = join("/sys/fs/cgroup", hierarchy, name);
      const children = subfolders(folder);
      if (children?.length === 0) rmdirSync(folder);
      return (children ?? []).map((child) => `cgroup: ${join(folder, child)}`);
    });
  }

  async #network(): Promise<string[]> {
    const { network } = this.#daemon;
    const links = (await must([...network.prefix, "ip", "-o", "link"])).split("\n");
    if (!network.isIsolated) {
      const rules = (await must(["nft", "list", "ruleset"])).split("\n");
      return [
        ...links.filter((line) => line.includes(`master ${network.name}`)),
        ...rules.filter((line) => line.includes(`"${network.name}"`)),
      ];
    }
    const strangers = links.filter((line) => !/^\d+: (lo|tunl0|sit0|ip6tnl0|gre0|gretap0|erspan0)[:@]/.test(line));
    const tables = (await must([...network.prefix, "nft", "list", "tables"])).split("\n").filter((line) => line !== "");
    return [...strangers.map((line) => `link: ${line}`), ...tables.map((table) => `firewall: ${table}`)];
  }
}

function readCommand(pid: string): string {
  try {
    return readFileSync(`/proc/${pid}/cmdline`, "utf8").replaceAll("\0", " ");
  } catch {
    return ""; // It has ended.
  }
}

/** undefined: there is no such cgroup. */
function subfolders(folder: string): string[] | undefined {
  try {
    const entries = readdirSync(folder, { withFileTypes: true });
    return entries.filter((entry) => entry.isDirectory()).map((entry) => entry.name);
  } catch {
    return undefined;
  }
}
