import { createHash } from "node:crypto";
import { parseDigest, sha256Digest } from "#base/ids";
import { chainIdsOf } from "../layers/chain.ts";
import type { LayerTable } from "../layers/table.ts";
import type { ImageRecord } from "../records/image-record.ts";

export interface DocumentRow {
  readonly kind: string;
  readonly id: string;
  readonly document: string;
}

/** Those that have an id of their own have that of the row. */
export function isDocument({ id, document }: DocumentRow): boolean {
  try {
    const value: unknown = JSON.parse(document);
    if (typeof value !== "object" || value === null) return false;
    return !("id" in value) || value.id === id;
  } catch {
    return false;
  }
}

/** What is wrong with the row of an image, in words: its config says what all else must be. */
export function imageProblem(image: ImageRecord, layers: LayerTable): string | undefined {
  const found = configDigest(image.configJson);
  if (found !== image.id) return `its config has the digest ${found}`;
  const chainIds = chainIdsOf(diffIdsOf(image.configJson));
  const isWhole = chainIds.every((chainId) => layers.find(chainId) !== undefined);
  if (!isWhole || (chainIds.at(-1) ?? null) !== image.topChainId) return "its layers are not those of its config";
  const sizeBytes = imageSizeBytes(image.configJson, layers);
  return sizeBytes === image.sizeBytes ? undefined : `its size is ${sizeBytes} and not ${image.sizeBytes} bytes`;
}

export const imageSizeBytes = (configJson: string, layers: LayerTable): number =>
  chainIdsOf(diffIdsOf(configJson)).reduce((sum, chainId) => sum + (layers.find(chainId)?.sizeBytes ?? 0), 0);

export const configDigest = (configJson: string): string =>
  sha256Digest(createHash("sha256").update(configJson).digest("hex"));

/** The bytes are those of the image's id, and were understood when the image came. */
function diffIdsOf(configJson: string) {
  const { rootfs } = JSON.parse(configJson);
  const list: unknown = rootfs?.diff_ids ?? [];
  return Array.isArray(list) ? list.map((diffId) => parseDigest(String(diffId))) : [];
}
