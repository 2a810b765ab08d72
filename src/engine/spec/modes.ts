/** The words of --network, --ipc, --pid and their like (moby api/types/container/hostconfig.go). */

/** What stands behind `container:`, which may be empty; undefined for any other mode. */
export function containerOf(mode: string): string | undefined {
  return mode.startsWith("container:") ? mode.slice("container:".length) : undefined;
}

export const isContainerMode = (mode: string): boolean => containerOf(mode) !== undefined;

const ipcModes = ["", "none", "private", "host", "shareable"];
export const isIpcMode = (mode: string): boolean => ipcModes.includes(mode) || isContainerMode(mode);

export const isPidMode = (mode: string): boolean => mode === "" || mode === "host" || Boolean(containerOf(mode));
export const isUtsMode = (mode: string): boolean => mode === "" || mode === "host";
export const isCgroupnsMode = (mode: string): boolean => ["", "private", "host"].includes(mode);

/** A network stack of the container's own, "none" included. */
export const hasOwnNetworkStack = (mode: string): boolean => mode !== "host" && !isContainerMode(mode);

/** Linux knows one isolation, and its name in any case. */
export const isDefaultIsolation = (isolation: string): boolean => ["", "default"].includes(isolation.toLowerCase());
