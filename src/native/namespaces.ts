import { bind, check } from "./call.ts";

export const CLONE_NEWTIME = 0x00000080;
export const CLONE_NEWNS = 0x00020000;
export const CLONE_NEWCGROUP = 0x02000000;
export const CLONE_NEWUTS = 0x04000000;
export const CLONE_NEWIPC = 0x08000000;
export const CLONE_NEWUSER = 0x10000000;
export const CLONE_NEWPID = 0x20000000;
export const CLONE_NEWNET = 0x40000000;

const sysSetns = bind("setns", "int", ["int", "int"]);
/**
 * Moves the calling thread, and only it, into the namespace of `fd`. Between this and the setns back nothing may be
 * awaited: other work of the thread would run in there too.
 */
export function setns(fd: number, type: number): void {
  check(sysSetns(fd, type), "setns");
}

const sysUnshare = bind("unshare", "int", ["int"]);
/** The calling thread only. Mount and user namespaces fail with EINVAL: node has several threads (unshare(2)). */
export function unshare(flags: number): void {
  check(sysUnshare(flags), "unshare");
}
