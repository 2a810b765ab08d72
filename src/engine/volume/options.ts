/** Options of the local driver: what it mounts (moby volume/local). */
import { EngineError } from "#base/errors";
import {
  type MountCall,
  MS_BIND,
  MS_NOATIME,
  MS_NODEV,
  MS_NOEXEC,
  MS_NOSUID,
  MS_RDONLY,
  MS_REC,
  MS_RELATIME,
  MS_STRICTATIME,
} from "#native";

export type DriverOptions = Readonly<Record<string, string>>;

const known = ["type", "o", "device", "size"];
const needs: readonly (readonly [option: string, others: readonly string[]])[] = [
  ["device", ["type"]],
  ["type", ["device"]],
  ["o", ["device", "type"]],
];

/** Throws 400 in dockerd's words. */
export function checkDriverOptions(options: DriverOptions): void {
  const refuse = (message: string): never => {
    throw new EngineError("invalidParameter", message);
  };
  for (const option of Object.keys(options)) {
    if (!known.includes(option)) refuse(`invalid option: ${JSON.stringify(option)}`);
  }
  if (options.size !== undefined) refuse("quota size requested but no quota support");
  for (const [option, others] of needs) {
    if (options[option] === undefined) continue;
    const missing = others.find((other) => options[other] === undefined);
    if (missing !== undefined) refuse(`missing required option: ${JSON.stringify(missing)}`);
  }
}

/** Whether the volume is a mount of its own, and not just a folder. */
export const isMounted = (options: DriverOptions | null): options is DriverOptions =>
  Boolean(options?.type) || Boolean(options?.device);

const flagWords: Readonly<Record<string, { readonly flag: number; readonly isCleared?: true }>> = {
  defaults: { flag: 0 },
  ro: { flag: MS_RDONLY },
  rw: { flag: MS_RDONLY, isCleared: true },
  suid: { flag: MS_NOSUID, isCleared: true },
  nosuid: { flag: MS_NOSUID },
  dev: { flag: MS_NODEV, isCleared: true },
  nodev: { flag: MS_NODEV },
  exec: { flag: MS_NOEXEC, isCleared: true },
  noexec: { flag: MS_NOEXEC },
  atime: { flag: MS_NOATIME, isCleared: true },
  noatime: { flag: MS_NOATIME },
  relatime: { flag: MS_RELATIME },
  norelatime: { flag: MS_RELATIME, isCleared: true },
  strictatime: { flag: MS_STRICTATIME },
  bind: { flag: MS_BIND },
  rbind: { flag: MS_BIND | MS_REC },
};

/** fstab's words → mount(2): what is no flag goes to the file system. */
export function mountCallOf(options: DriverOptions, target: string): MountCall {
  let flags = 0;
  const data: string[] = [];
  for (const word of (options.o ?? "").split(",").filter((part) => part !== "")) {
    const known = flagWords[word];
    if (known === undefined) data.push(word);
    else flags = known.isCleared ? flags & ~known.flag : flags | known.flag;
  }
  return { source: options.device ?? "", target, type: options.type ?? "", flags, options: data.join(",") };
}

/** Error texts must not carry what `o=password=…` said. */
export const withoutPassword = (text: string): string => text.replace(/password=[^,]*/g, "password=********");
