import { randomInt } from "node:crypto";
import { must, run } from "./command.ts";

/** Where a daemon and a registry of a test live: a network namespace of their own, or the machine's. */
export interface NetworkPlace extends AsyncDisposable {
  /** Goes before a command line to run it there. */
  readonly prefix: readonly string[];
  readonly name: string;
  /** What a daemon must be told to keep to its own addresses here. */
  readonly daemonFlags: readonly string[];
  /** Nothing but loopback was here before the daemon came. */
  readonly isIsolated: boolean;
}

const pool = (second: number): string[] => ["--default-address-pool", `base=10.${second}.128.0/17,size=24`];

/** A fresh namespace with loopback up: no bridge, rule or port of a test meets another's. */
export async function isolatedNetwork(): Promise<NetworkPlace> {
  const name = `mdt-${randomInt(2 ** 40).toString(36)}`;
  await must(["ip", "netns", "add", name]);
  await must(["ip", "-n", name, "link", "set", "lo", "up"]);
  return {
    name,
    isIsolated: true,
    daemonFlags: ["--bip", "10.90.0.1/24", ...pool(90)],
    // Not `ip netns exec`: that one hides the cgroups behind a /sys of its own.
    prefix: ["nsenter", `--net=/run/netns/${name}`, "--"],
    [Symbol.asyncDispose]: async () => void (await must(["ip", "netns", "del", name])),
  };
}

/** The machine's own, for tests that need the world outside: with a bridge and addresses that nobody else has. */
export async function hostNetwork(): Promise<NetworkPlace> {
  const name = `mdt${randomInt(2 ** 40).toString(36)}`;
  const routes = await must(["ip", "route", "show"]);
  const free = Array.from({ length: 64 }, (_, i) => 64 + i).filter((second) => !routes.includes(`10.${second}.`));
  const subnet = free[randomInt(free.length)] ?? 99;
  await must(["ip", "link", "add", name, "type", "bridge"]);
  await must(["ip", "address", "add", `10.${subnet}.0.1/24`, "dev", name]);
  await must(["ip", "link", "set", name, "up"]);
  return {
    name,
    isIsolated: false,
    daemonFlags: ["--bridge", name, ...pool(subnet)],
    prefix: [],
    [Symbol.asyncDispose]: async () => void (await must(["ip", "link", "del", name])),
  };
}

/** TCP ports that nobody listens on there, at this moment. */
export async function freePort(place: Pick<NetworkPlace, "prefix">): Promise<number> {
  const { stdout } = await run([...place.prefix, "ss", "-Htln"]);
  const taken = new Set(stdout.match(/:(\d+)\s/g)?.map((text) => Number.parseInt(text.slice(1), 10)));
  for (;;) {
    const port = randomInt(20_000, 32_000);
    if (!taken.has(port)) return port;
  }
}
