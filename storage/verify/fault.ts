import type { Digest, Id } from "#base/ids";
import type { ChainId } from "../layers/chain.ts";

/** One thing in a store that is not as the database says. */
export type Fault = { readonly problem: string } & (
  | { readonly kind: "database" }
  | { readonly kind: "blob"; readonly digest: Digest }
  | { readonly kind: "layer"; readonly chainId: ChainId }
  | { readonly kind: "image"; readonly id: Digest }
  /** The writable layer of a container. */
  | { readonly kind: "snapshot"; readonly containerId: Id }
  /** A file that no row knows; the next start of the engine removes it. */
  | { readonly kind: "orphan"; readonly path: string }
);

/** What it is about, for people. */
export function subjectOf(fault: Fault): string {
  switch (fault.kind) {
    case "database":
      return "database";
    case "blob":
      return `blob ${fault.digest}`;
    case "layer":
      return `layer ${fault.chainId}`;
    case "image":
      return `image ${fault.id}`;
    case "snapshot":
      return `container ${fault.containerId}`;
    case "orphan":
      return fault.path;
    default:
      return fault satisfies never;
  }
}
