import type { Container } from "./container.ts";
import type { WaitCondition, WaitResult } from "./options.ts";

/** Registers at once, so that an exit right after this call is seen. */
export function waitForContainer(
  container: Container,
  condition: WaitCondition,
  signal: AbortSignal,
): Promise<WaitResult> {
  if (isMet(container, condition)) return Promise.resolve(container.waitResult());
  return condition === "removed" ? container.waitForRemoval(signal) : container.waitForStop(signal);
}

function isMet(container: Container, condition: WaitCondition): boolean {
  switch (condition) {
    case "":
    case "not-running":
      return !container.isRunning;
    case "removed":
      return container.isRemoved;
    case "next-exit":
      return false;
    default:
      throw new Error(`unknown wait condition ${condition satisfies never}`);
  }
}
