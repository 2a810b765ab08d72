import { errnoOf } from "#base/errors";
import { MNT_DETACH, umount2 } from "#native";

/** All that is mounted there. */
export function unmountAll(target: string): void {
  try {
    for (;;) umount2(target, MNT_DETACH);
  } catch (error) {
    // EINVAL: nothing is mounted there.
    if (errnoOf(error) !== "EINVAL" && errnoOf(error) !== "ENOENT") throw error;
  }
}
