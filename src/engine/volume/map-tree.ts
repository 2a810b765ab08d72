import { closeSync } from "node:fs";
import { mapIds } from "#native";
import type { UserRemap } from "../user-remap.ts";

/** Lets a detached tree, which is consumed, show the files of the host with the ids that a container sees. Returns the tree. */
export function mapTree(tree: number, { inverse }: UserRemap): number {
  try {
    mapIds(tree, inverse);
    return tree;
  } catch (error) {
    closeSync(tree);
    throw error;
  }
}
