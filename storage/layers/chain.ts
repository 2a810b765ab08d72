import { createHash } from "node:crypto";
import { type Digest, parseDigest, sha256Digest } from "#base/ids";

declare const brand: unique symbol;
/** The digest of a stack of layers, named by its top one (OCI image spec, config.md#layer-chainid). */
export type ChainId = Digest & { readonly [brand]: "ChainId" };

export const parseChainId = (text: string): ChainId => parseDigest(text) as ChainId;

/** The chainID of the layer `diffId` on top of `parent`. */
export function chainIdOf(parent: ChainId | undefined, diffId: Digest): ChainId {
  if (parent === undefined) return parseChainId(diffId);
  return parseChainId(sha256Digest(createHash("sha256").update(`${parent} ${diffId}`).digest("hex")));
}

/** The chainIDs of a stack, bottom first. */
export function chainIdsOf(diffIds: readonly Digest[]): ChainId[] {
  const chain: ChainId[] = [];
  for (const diffId of diffIds) chain.push(chainIdOf(chain.at(-1), diffId));
  return chain;
}
