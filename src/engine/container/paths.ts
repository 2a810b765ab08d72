import { join } from "node:path";
import type { ContainerContext } from "./context.ts";

type Roots = Pick<ContainerContext["defaults"], "dataRoot" | "execRoot">;

/** Log files, hosts, hostname and resolv.conf: what lives as long as the container. */
export const containerDirectory = (roots: Roots, id: string): string => join(roots.dataRoot, "containers", id);
export const checkpointDirectory = (roots: Roots, id: string): string =>
  join(containerDirectory(roots, id), "checkpoints");

/** config.json, shim.json, exit.json: what lives as long as one run. */
export const bundleDirectory = (roots: Roots, id: string): string => join(roots.execRoot, "containers", id);
/** Short, since a socket's path may have 107 bytes (unix(7)). */
export const shimSocket = (roots: Roots, id: string): string => join(roots.execRoot, "shims", id.slice(0, 24));
