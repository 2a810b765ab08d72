/** fstab's words, as the local driver's option `o` and as mount(2) take them (moby/sys/mount). */
import {
  MS_BIND,
  MS_DIRSYNC,
  MS_MANDLOCK,
  MS_NOATIME,
  MS_NODEV,
  MS_NODIRATIME,
  MS_NOEXEC,
  MS_NOSUID,
  MS_PRIVATE,
  MS_RDONLY,
  MS_REC,
  MS_RELATIME,
  MS_REMOUNT,
  MS_SHARED,
  MS_SLAVE,
  MS_STRICTATIME,
  MS_SYNCHRONOUS,
  MS_UNBINDABLE,
} from "#native";

const setting: ReadonlyMap<string, number> = new Map([
  ["ro", MS_RDONLY],
  ["nosuid", MS_NOSUID],
  ["nodev", MS_NODEV],
  ["noexec", MS_NOEXEC],
  ["sync", MS_SYNCHRONOUS],
  ["dirsync", MS_DIRSYNC],
  ["remount", MS_REMOUNT],
  ["mand", MS_MANDLOCK],
  ["noatime", MS_NOATIME],
  ["nodiratime", MS_NODIRATIME],
  ["relatime", MS_RELATIME],
  ["strictatime", MS_STRICTATIME],
  ["bind", MS_BIND],
  ["rbind", MS_BIND | MS_REC],
  ["unbindable", MS_UNBINDABLE],
  ["runbindable", MS_UNBINDABLE | MS_REC],
  ["private", MS_PRIVATE],
  ["rprivate", MS_PRIVATE | MS_REC],
  ["shared", MS_SHARED],
  ["rshared", MS_SHARED | MS_REC],
  ["slave", MS_SLAVE],
  ["rslave", MS_SLAVE | MS_REC],
]);

const clearing: ReadonlyMap<string, number> = new Map([
  ["rw", MS_RDONLY],
  ["suid", MS_NOSUID],
  ["dev", MS_NODEV],
  ["exec", MS_NOEXEC],
  ["async", MS_SYNCHRONOUS],
  ["nomand", MS_MANDLOCK],
  ["atime", MS_NOATIME],
  ["diratime", MS_NODIRATIME],
  ["norelatime", MS_RELATIME],
  ["nostrictatime", MS_STRICTATIME],
]);

const propagationFlags = MS_SHARED | MS_PRIVATE | MS_SLAVE | MS_UNBINDABLE;
const readOnlyBind = MS_BIND | MS_RDONLY;

/** One call of mount(2): each does one thing, and what a bind shall be besides takes further calls. */
export interface MountStep {
  readonly name: "mount" | "remount" | "remount-ro";
  readonly flags: number;
  /** For the file system: what is no flag. */
  readonly data: string;
}

export function mountSteps(words: string): MountStep[] {
  let flags = 0;
  const data: string[] = [];
  for (const word of words.split(",")) {
    if (setting.has(word)) flags |= setting.get(word) ?? 0;
    else if (clearing.has(word)) flags &= ~(clearing.get(word) ?? 0);
    else if (word !== "" && word !== "defaults") data.push(word);
  }
  const plain = flags & ~propagationFlags;
  const steps: MountStep[] = [{ name: "mount", flags: plain, data: data.join(",") }];
  const propagation = flags & (propagationFlags | MS_REC);
  if ((flags & propagationFlags) !== 0) steps.push({ name: "remount", flags: propagation, data: "" });
  if ((plain & readOnlyBind) === readOnlyBind) steps.push({ name: "remount-ro", flags: plain | MS_REMOUNT, data: "" });
  return steps;
}
