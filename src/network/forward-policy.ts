import { errnoOf } from "#base/errors";
import type { Family } from "./address.ts";
import * as nft from "./netlink/nft-expressions.ts";
import { NftBatch, NftSocket } from "./netlink/nftables.ts";

/**
 * iptables' FORWARD chain is everybody's. Where its policy is to drop (dockerd sets it so, and many administrators), packets of
 * our networks need a rule there: what one base chain drops no other one saves. So each bridge gets two at the chain's end,
 * behind everything that others have said, in the form that iptables understands; what may pass is decided by our own table.
 * docs/decisions/0011-rules-in-iptables-forward.md
 */
export class ForwardPolicy implements Disposable {
  readonly #socket = new NftSocket();
  readonly #tag: string;
  readonly #families: readonly Family[];

  /** The tag marks our rules: unique per daemon on this host. */
  constructor(tag: string, families: readonly Family[]) {
    this.#tag = tag;
    this.#families = families;
  }

  /** Brings our rules in line with the chain's policy and these bridges. Returns how many transactions that took. */
  ensure(bridges: readonly string[]): number {
    return this.#families.filter((family) => this.#ensureIn(family, bridges)).length;
  }

  [Symbol.dispose](): void {
    this.#socket[Symbol.dispose]();
  }

  #ensureIn(family: Family, bridges: readonly string[]): boolean {
    const protocol = family === 4 ? nft.NFPROTO_IPV4 : nft.NFPROTO_IPV6;
    const isNeeded = bridges.length > 0 && this.#socket.isDropping(protocol, table, chain);
    const wanted = new Map(isNeeded ? bridges.flatMap((bridge) => rulesOf(this.#tag, bridge)) : []);
    const batch = new NftBatch(table, protocol);
    for (const rule of this.#listOwn(protocol)) if (!wanted.delete(rule.comment)) batch.deleteRule(chain, rule);
    for (const [comment, expressions] of wanted) batch.addRule(chain, expressions, comment);
    if (batch.isEmpty) return false;
    try {
      this.#socket.commit(batch, "let our networks through iptables' FORWARD chain");
    } catch (error) {
      // Its owner changed it at the same moment: the next look finds out.
      if (errnoOf(error) !== "ENOENT") throw error;
    }
    return true;
  }

  #listOwn(protocol: number) {
    try {
      const rules = this.#socket.listRules(protocol, table, chain);
      return rules.filter(({ comment }) => comment.startsWith(`${this.#tag} `));
    } catch (error) {
      if (errnoOf(error) === "ENOENT") return [];
      throw error;
    }
  }
}

const table = "filter";
const chain = "FORWARD";

const rulesOf = (tag: string, bridge: string): (readonly [comment: string, expressions: nft.Expression[]])[] =>
  (["iifname", "oifname"] as const).map((key) => [
    `${tag} ${key} ${bridge}`,
    [nft.loadMeta(key, nft.registers.first), nft.equals(nft.registers.first, name(bridge)), nft.counter, nft.accept],
  ]);

/** As iptables writes one: with its end, and no longer. */
const name = (bridge: string): Uint8Array => Buffer.from(`${bridge}\0`);
