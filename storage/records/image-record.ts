import type { Digest } from "#base/ids";
import type { ChainId } from "../layers/chain.ts";

/** An image as the engine knows it. Its id is the digest of its config, as in moby's store. */
export interface ImageRecord {
  readonly id: Digest;
  /** The exact bytes of the config blob. */
  readonly configJson: string;
  /** The image it was built or committed from on this engine. */
  readonly parent: Digest | null;
  readonly createdAt: string | null;
  readonly lastTaggedAt: string | null;
  /** Sum of its layers. */
  readonly sizeBytes: number;
  /** null for an image without layers. While the row lives, so does the layer. */
  readonly topChainId: ChainId | null;
  readonly isBuiltLocally: boolean;
  /** Of a pulled image: the manifest that it came by. While the row lives, so does that blob. */
  readonly manifestDigest: Digest | null;
}
