import { RouteBatch, RouteSocket } from "./netlink/route.ts";
import type { Plug } from "./plug.ts";

/** rtnetlink inside a sandbox, and the numbers of the interfaces there. */
export class Inside implements Disposable {
  readonly route = new RouteSocket();
  readonly #indexes = new Map<string, number>();

  indexOf(name: string): number {
    const index = this.#indexes.get(name) ?? this.route.getLink(name).index;
    this.#indexes.set(name, index);
    return index;
  }

  [Symbol.dispose](): void {
    this.route[Symbol.dispose]();
  }
}

export function setUpLoopback(): void {
  openWithLoopback()[Symbol.dispose]();
}

/** Runs inside a new sandbox. */
export function openWithLoopback(): Inside {
  const inside = new Inside();
  inside.route.apply(new RouteBatch().setLink({ name: "lo" }, { isUp: true }), "loopback up");
  return inside;
}

export function bringUp(inside: Inside, plug: Plug): void {
  const index = inside.indexOf(plug.name);
  const mtu = plug.mtu === undefined ? {} : { mtu: plug.mtu };
  const mac = plug.mac === undefined ? {} : { mac: plug.mac };
  const batch = new RouteBatch().setLink({ index }, { ...mac, ...mtu });
  for (const { address, prefix } of plug.addresses) batch.addAddress(index, address, prefix);
  inside.route.apply(batch.setLink({ index }, { isUp: true }), `bring ${plug.name} up`);
}
