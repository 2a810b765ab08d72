import { closeSync, openSync } from "node:fs";
import { MNT_DETACH, mount, umount2 } from "#native";

/** FUSE whose server reads no request: whoever looks into the folder waits until `[Symbol.dispose]`. */
export function stuckFileSystem(target: string): Disposable {
  const fd = openSync("/dev/fuse", "r+");
  const options = `fd=${fd},rootmode=40000,user_id=0,group_id=0`;
  mount({ source: "stuck", target, type: "fuse", flags: 0, options });
  return {
    [Symbol.dispose]: () => {
      closeSync(fd);
      umount2(target, MNT_DETACH);
    },
  };
}
