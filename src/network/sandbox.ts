import { closeSync, openSync, readFileSync } from "node:fs";
import { errnoText } from "#base/errno-text";
import { errnoOf } from "#base/errors";
import { type Id, newId, shortId } from "#base/ids";
import type { Log } from "#base/log";
import { type Address, isSame } from "./address.ts";
import { bringUp, Inside, openWithLoopback, setUpLoopback } from "./inside.ts";
import { Namespaces, tryWriteSysctl, writeSysctl } from "./namespaces.ts";
import { RouteBatch, RouteSocket } from "./netlink/route.ts";
import { type ChildLink, isChildKind } from "./parents.ts";
import { type BridgePort, type DefaultRoute, formatMac, type Plug, portName } from "./plug.ts";

/** A namespace with its loopback up and, when it comes from the pool, an unplugged eth0 whose endpoint id is chosen. */
export interface Sandbox {
  readonly id: Id;
  /** Path of the namespace. */
  readonly key: string;
  /** Path of the user namespace that it belongs to, if that is not the host's. */
  readonly userNamespace?: string;
  /** The endpoint that eth0 was made for; undefined once it is used or where there is none. */
  readyEndpointId: Id | undefined;
}

interface Ready {
  readonly sandbox: Sandbox;
  readonly endpointId: Id;
  readonly portIndex: number;
  readonly inside: Inside;
}

const firstInterface = "eth0";
export interface SandboxesOptions {
  /** Where the namespaces get their names: `<exec-root>/netns`. */
  readonly directory: string;
  /** Marks our interfaces among others' (ifalias): unique per daemon on this host. */
  readonly tag: string;
  readonly poolSize: number;
  readonly log: Log;
}

/**
 * The sandboxes of this daemon. Making one takes the kernel a millisecond or two, so some are kept ready; taking one,
 * plugging it in and giving it its address is a few tenths. Removing one is left to the kernel: the port goes down and
 * the name goes away at once, the devices follow when the namespace dies, and nobody waits for it.
 */
export class Sandboxes implements Disposable {
  readonly namespaces: Namespaces;
  readonly #route = new RouteSocket();
  readonly #options: SandboxesOptions;
  readonly #ready: Ready[] = [];
  /** Of sandboxes between `take` and `settle`: what the pool has looked up and opened is not done again. */
  readonly #fresh = new Map<string, Ready>();
  readonly #bridgeIndexes = new Map<string, number>();
  #refill: NodeJS.Timeout | undefined;
  #isClosed = false;

  constructor(options: SandboxesOptions) {
    this.#options = options;
    this.namespaces = new Namespaces(options.directory);
  }

  /** A sandbox for a container with an interface. `settle` or `remove` must follow. */
  take(): Sandbox {
    const ready = this.#ready.shift() ?? this.#prepare();
    this.#fresh.set(ready.sandbox.key, ready);
    this.#scheduleRefill(20);
    return ready.sandbox;
  }

  /** Its interfaces are as they shall be: gives back what was kept at hand for that. */
  settle(key: string): void {
    this.#fresh.get(key)?.inside[Symbol.dispose]();
    this.#fresh.delete(key);
  }

  /** A sandbox with nothing but its loopback. */
  takeEmpty(): Sandbox {
    const id = newId();
    this.namespaces.create(shortId(id), setUpLoopback);
    return { id, key: this.keyOf(id), readyEndpointId: undefined };
  }

  /** One that somebody else has made at its key. */
  adoptEmpty(id: Id): Sandbox {
    this.namespaces.enter(this.keyOf(id), setUpLoopback);
    return { id, key: this.keyOf(id), readyEndpointId: undefined };
  }

  keyOf(id: string): string {
    return this.namespaces.pathOf(shortId(id));
  }

  /** Fills the pool, one sandbox per turn of the event loop. */
  warmUp(): void {
    this.#scheduleRefill(0);
  }

  /** Makes the interface (or uses the one that is ready), plugs it into its bridge and brings it up with its addresses. */
  plug(sandbox: Sandbox, plug: Plug): void {
    if (plug.link.kind === "bridge") this.#plugIntoBridge(sandbox, plug, plug.link);
    else this.#addChild(sandbox.key, plug.name, plug.link);
    const hasIpv6 = plug.addresses.some(({ address }) => address.family === 6);
    const sysctls = hasIpv6 ? [[`net/ipv6/conf/${plug.name}/disable_ipv6`, "0"] as const] : [];
    this.#writeSysctls(sandbox.key, sysctls);
    try {
      this.#inside(sandbox.key, (inside) => bringUp(inside, plug));
      this.#writeSysctls(sandbox.key, plug.sysctls);
    } catch (error) {
      throw setUpError(plug, error);
    }
  }

  /** Sets the default routes of a sandbox; with `isChange` those of before go first. */
  setDefaultRoutes(key: string, routes: readonly DefaultRoute[], isChange: boolean): void {
    this.#inside(key, (inside) => {
      const stale = new RouteBatch().deleteDefaultRoute(4).deleteDefaultRoute(6);
      if (isChange) inside.route.tryEach(stale, "delete default routes");
      const batch = new RouteBatch();
      for (const { name, family, gateway } of routes) batch.setDefaultRoute(inside.indexOf(name), family, gateway);
      inside.route.apply(batch, "set default routes");
    });
  }

  /** After a crash in the middle of a change: what hangs from a link of the host without an endpoint goes, missing routes come back. */
  mend(key: string, names: readonly string[], routes: readonly DefaultRoute[]): void {
    this.#inside(key, (inside) => {
      const batch = new RouteBatch();
      for (const { index, name, kind, isParentElsewhere } of inside.route.listLinks()) {
        if (isChildKind(kind) && isParentElsewhere && !names.includes(name)) batch.deleteLink({ index });
      }
      for (const { name, family, gateway } of routes) batch.addDefaultRoute(inside.indexOf(name), family, gateway);
      inside.route.tryEach(batch, "mend a sandbox");
    });
  }

  /** The name inside of the interface that has an address. */
  findInterface(key: string, address: Address): string | undefined {
    return this.namespaces.enter(key, () => {
      using inner = new RouteSocket();
      return inner
        .listLinks()
        .find(({ index }) => inner.listAddresses(index).some((own) => isSame(own.address, address)))?.name;
    });
  }

  /** Takes interfaces down that have no port on the host: their addresses may be given away again. */
  silence(key: string, names: readonly string[]): void {
    const batch = new RouteBatch();
    for (const name of names) batch.setLink({ name }, { isUp: false });
    this.#inside(key, (inside) => inside.route.tryEach(batch, "take interfaces down"));
  }

  /** Deletes an interface that has no port on the host. */
  async removeChild(key: string, name: string): Promise<void> {
    using inside = this.namespaces.enter(key, () => new RouteSocket());
    inside.tryEach(new RouteBatch().setLink({ name }, { isUp: false }), "take an interface down");
    await inside.deleteInBackground(name);
  }

  /** Cuts an endpoint off at once; its devices are deleted in the background. */
  async unplug(endpointId: string): Promise<void> {
    this.cutOff([endpointId]);
    await RouteSocket.deleteLink(portName(endpointId));
  }

  /** Takes the ports down: from now on the addresses behind them answer nobody and may be given away again. */
  cutOff(endpointIds: readonly string[]): void {
    const batch = new RouteBatch();
    for (const id of endpointIds) batch.setLink({ name: portName(id) }, { isUp: false });
    this.#route.tryEach(batch, "take ports down");
  }

  /** Removes a sandbox and what is plugged into it. Idempotent. */
  remove(id: string, endpointIds: readonly string[]): void {
    this.settle(this.keyOf(id));
    this.cutOff(endpointIds);
    this.namespaces.remove(shortId(id));
    // A process that joined it (`--network container:x`) keeps the namespace, and its devices with it.
    if (endpointIds.length > 0 && !this.#isClosed) setTimeout(() => void this.#sweep(endpointIds), 1000).unref();
  }

  /** Removes namespaces and ports that are ours and that no running container has: a restart's leftovers, a shutdown's rest. */
  async reconcile(sandboxIds: ReadonlySet<string>, endpointIds: ReadonlySet<string>): Promise<void> {
    const known = new Set([...sandboxIds, ...this.#ready.map(({ sandbox }) => sandbox.id)].map(shortId));
    for (const name of this.namespaces.list()) if (!known.has(name)) this.namespaces.remove(name);
    const ports = new Set([...endpointIds, ...this.#ready.map(({ endpointId }) => endpointId)].map(portName));
    const strays = this.#route
      .listLinks()
      .filter(({ alias, kind, name }) => alias === this.#options.tag && kind === "veth" && !ports.has(name));
    for (const { name } of strays) await this.#delete(name);
  }

  /** Empties the pool, for good. */
  drain(): void {
    this.#isClosed = true;
    clearTimeout(this.#refill);
    for (const { sandbox, endpointId, inside } of this.#ready.splice(0)) {
      inside[Symbol.dispose]();
      this.remove(sandbox.id, [endpointId]);
    }
  }

  [Symbol.dispose](): void {
    this.drain();
    this.#route[Symbol.dispose]();
    this.namespaces[Symbol.dispose]();
  }

  #scheduleRefill(delayMs: number): void {
    if (this.#isClosed || this.#refill !== undefined || this.#ready.length >= this.#options.poolSize) return;
    // Behind the replies that the containers of this turn still owe.
    this.#refill = setTimeout(() => {
      this.#refill = undefined;
      try {
        this.#ready.push(this.#prepare());
        this.#scheduleRefill(1);
      } catch (error) {
        this.#options.log.warn({ err: error }, "no network namespace can be made ready");
      }
    }, delayMs).unref();
  }

  #prepare(): Ready {
    const id = newId();
    const key = this.keyOf(id);
    const inside = this.namespaces.create(shortId(id), openWithLoopback);
    const endpointId = this.newEndpointId();
    try {
      this.#addVeth(key, endpointId, firstInterface);
      inside.indexOf(firstInterface);
      const portIndex = this.#route.getLink(portName(endpointId)).index;
      return { sandbox: { id, key, readyEndpointId: endpointId }, endpointId, portIndex, inside };
    } catch (error) {
      inside[Symbol.dispose]();
      this.namespaces.remove(shortId(id));
      throw error;
    }
  }

  /** One whose port name is free. */
  newEndpointId(): Id {
    for (;;) {
      const id = newId();
      if (this.#route.findLink(portName(id)) === undefined) return id;
    }
  }

  #inside<T>(key: string, work: (inside: Inside) => T): T {
    const fresh = this.#fresh.get(key);
    if (fresh !== undefined) return work(fresh.inside);
    return this.namespaces.enter(key, () => {
      using inside = new Inside();
      return work(inside);
    });
  }

  #writeSysctls(key: string, sysctls: readonly (readonly [name: string, value: string])[]): void {
    if (sysctls.length === 0) return;
    this.namespaces.enter(key, () => {
      for (const [name, value] of sysctls) writeSysctl(name, value);
    });
  }

  /** The host's side: the port into its bridge, and up. */
  #plugIntoBridge(sandbox: Sandbox, plug: Plug, { bridge, isIsolated }: BridgePort): void {
    const isReady = sandbox.readyEndpointId === plug.endpointId && plug.name === firstInterface;
    if (isReady) sandbox.readyEndpointId = undefined;
    else this.#addVeth(sandbox.key, plug.endpointId, plug.name);
    const knownIndex = isReady ? this.#fresh.get(sandbox.key)?.portIndex : undefined;
    const port = { index: knownIndex ?? this.#route.getLink(portName(plug.endpointId)).index };
    // With br_netfilter a container that asks for itself by the host's address is sent back on its own port.
    const isHairpin = isBridgeFiltered();
    const mtu = plug.mtu === undefined ? {} : { mtu: plug.mtu };
    const attempt = (master: number) => {
      const batch = new RouteBatch().setLink(port, { master, ...mtu });
      if (isIsolated || isHairpin) batch.setPort(port.index, { isIsolated, isHairpin });
      this.#route.apply(batch.setLink(port, { isUp: true }), `plug ${plug.name} into ${bridge}`);
    };
    const known = this.#bridgeIndexes.get(bridge);
    try {
      if (known !== undefined) {
        attempt(known);
        return;
      }
    } catch {
      // The bridge may have been made anew under another number: what is really wrong shows below.
      this.#bridgeIndexes.delete(bridge);
    }
    const { index } = this.#route.getLink(bridge);
    attempt(index);
    this.#bridgeIndexes.set(bridge, index);
  }

  #addChild(key: string, name: string, { parent, ...child }: ChildLink): void {
    const namespaceFd = openSync(key, "r");
    try {
      const parentIndex = this.#route.getLink(parent).index;
      this.#route.apply(new RouteBatch().addChild({ ...child, name, parentIndex, namespaceFd }), `add ${name}`);
    } catch (error) {
      const reason = errnoText(errnoOf(error) ?? "");
      throw new Error(`failed to create the ${child.kind} port: ${reason}`, { cause: error });
    } finally {
      closeSync(namespaceFd);
    }
    this.namespaces.enter(key, () => {
      tryWriteSysctl(`net/ipv6/conf/${name}/disable_ipv6`, "1");
      // Neighbours beyond the host learn at once who has the address now.
      tryWriteSysctl(`net/ipv4/conf/${name}/arp_notify`, "1");
      tryWriteSysctl(`net/ipv6/conf/${name}/ndisc_notify`, "1");
    });
  }

  #addVeth(key: string, endpointId: string, name: string): void {
    const namespaceFd = openSync(key, "r");
    const veth = { name: portName(endpointId), alias: this.#options.tag, peer: { name, namespaceFd } };
    try {
      this.#route.apply(new RouteBatch().addVeth(veth), `add ${veth.name}`);
    } catch (error) {
      const reason = `error renaming interface "${veth.name}" to "${name}": ${errnoText(errnoOf(error) ?? "")}`;
      throw new Error(`failed to add interface ${veth.name} to sandbox: ${reason}`, { cause: error });
    } finally {
      closeSync(namespaceFd);
    }
    // Like dockerd's: no IPv6 on an interface until its network has it.
    this.namespaces.enter(key, () => tryWriteSysctl(`net/ipv6/conf/${name}/disable_ipv6`, "1"));
  }

  async #sweep(endpointIds: readonly string[]): Promise<void> {
    for (const id of endpointIds) {
      if (this.#isClosed) return;
      if (this.#route.findLink(portName(id))?.alias === this.#options.tag) await this.#delete(portName(id));
    }
  }

  /** The namespace may have taken the device with it in the meantime. */
  async #delete(name: string): Promise<void> {
    try {
      await RouteSocket.deleteLink(name);
    } catch (error) {
      if (errnoOf(error) === "ENODEV") return;
      this.#options.log.warn({ err: error, name }, "an interface could not be deleted");
    }
  }
}

/** Whether bridged packets pass the host's IP firewall (br_netfilter). */
function isBridgeFiltered(): boolean {
  try {
    return readFileSync("/proc/sys/net/bridge/bridge-nf-call-iptables", "utf8").startsWith("1");
  } catch (error) {
    if (errnoOf(error) === "ENOENT") return false;
    throw error;
  }
}

/** In the words of dockerd, where an interface has its port's name until it is set up. */
function setUpError({ endpointId, mac, sysctls }: Plug, error: unknown): unknown {
  const port = portName(endpointId);
  const failed = (reason: string) =>
    new Error(`failed to add interface ${port} to sandbox: ${reason}`, { cause: error });
  const code = errnoOf(error);
  if (code === "EADDRNOTAVAIL" && mac !== undefined) {
    return failed(`error setting interface "${port}" MAC to "${formatMac(mac)}": ${errnoText(code)}`);
  }
  const [[sysctl] = [""]] = sysctls;
  const path = `/proc/sys/${sysctl}`;
  if (code === "ENOENT") return failed(`${path} is not a sysctl file`);
  if (code !== "EINVAL" || sysctl === "") return error;
  return failed(`unable to write to '${path}': write ${path}: ${errnoText(code)}`);
}
