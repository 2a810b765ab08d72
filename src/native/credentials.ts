import { bind, check } from "./call.ts";

const sysSetfsuid = bind("setfsuid", "int", ["uint"]);
const sysSetfsgid = bind("setfsgid", "int", ["uint"]);
const sysCapget = bind("capget", "int", ["void *", "void *"]);
const sysCapset = bind("capset", "int", ["void *", "void *"]);

/** _LINUX_CAPABILITY_VERSION_3 (capget(2)); 0: the calling thread. */
const capabilityHeader = () => new Uint8Array(new Uint32Array([0x20080522, 0]).buffer);

/**
 * What `work` makes belongs to `owner`; it keeps the capabilities of root, which setfsuid(2) would take. The calling thread only,
 * and `work` must not await: where a file system knows no id of root's, as in a user namespace, nothing else can be made there.
 */
export function asOwner<T>(owner: { readonly uid: number; readonly gid: number }, work: () => T): T {
  const [header, capabilities] = [capabilityHeader(), new Uint8Array(24)];
  check(sysCapget(header, capabilities), "capget");
  sysSetfsgid(owner.gid);
  sysSetfsuid(owner.uid);
  try {
    check(sysCapset(capabilityHeader(), capabilities), "capset");
    return work();
  } finally {
    sysSetfsuid(0);
    sysSetfsgid(0);
  }
}
