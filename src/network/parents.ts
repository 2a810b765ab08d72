import { errnoText } from "#base/errno-text";
import { errnoOf } from "#base/errors";
import { RouteBatch, RouteSocket } from "./netlink/route.ts";

/** A macvlan or ipvlan: an interface in a sandbox that shares a link of the host. Modes and flags are the kernel's numbers. */
export interface ChildLink {
  readonly kind: "macvlan" | "ipvlan";
  readonly parent: string;
  readonly mode: number;
  /** Of an ipvlan. */
  readonly flag?: number;
}

export const isChildKind = (kind: string): kind is ChildLink["kind"] => kind === "macvlan" || kind === "ipvlan";

const madeKinds = ["vlan", "dummy"];

/** Links of the host that macvlan and ipvlan networks hang from. */
export class ParentLinks implements Disposable {
  readonly #route = new RouteSocket();
  readonly #tag: string;

  /** The tag (ifalias) marks the links that we made: unique per daemon on this host. */
  constructor(tag: string) {
    this.#tag = tag;
  }

  exists(name: string): boolean {
    return this.#route.findLink(name) !== undefined;
  }

  /** The names of those that we made. */
  listOwn(): string[] {
    const own = this.#route.listLinks().filter(({ kind, alias }) => madeKinds.includes(kind) && alias === this.#tag);
    return own.map(({ name }) => name);
  }

  addDummy(name: string): void {
    this.#add(new RouteBatch().addDummy(name, this.#tag), name);
  }

  addVlan(name: string, parent: string, id: number): void {
    this.#add(
      new RouteBatch().addVlan({ name, alias: this.#tag, parentIndex: this.#route.getLink(parent).index, id }),
      name,
    );
  }

  /** Only one that we made. */
  async removeOwn(name: string): Promise<void> {
    if (this.#route.findLink(name)?.alias === this.#tag) await RouteSocket.deleteLink(name);
  }

  [Symbol.dispose](): void {
    this.#route[Symbol.dispose]();
  }

  #add(batch: RouteBatch, name: string): void {
    try {
      this.#route.apply(batch.setLink({ name }, { isUp: true }), `add ${name}`);
    } catch (error) {
      throw Object.assign(new Error(errnoText(errnoOf(error) ?? ""), { cause: error }), { code: errnoOf(error) });
    }
  }
}
