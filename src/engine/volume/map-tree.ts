import { closeSync, openSync } from "node:fs";
import { AT_EMPTY_PATH, MOUNT_ATTR_IDMAP, mountSetattr } from "#native";
import type { UserRemap } from "../user-remap.ts";

/** Lets a detached tree, which is consumed, show the files of the host with the ids that a container sees. Returns the tree. */
export function mapTree(tree: number, { inverse }: UserRemap): number {
  const userNamespaceFd = openSync(inverse, "r");
  try {
    mountSetattr(tree, "", AT_EMPTY_PATH, { set: MOUNT_ATTR_IDMAP, userNamespaceFd });
    return tree;
  } catch (error) {
    closeSync(tree);
    throw error;
  } finally {
    closeSync(userNamespaceFd);
  }
}
