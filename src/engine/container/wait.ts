import type { Container } from "./container.ts";
import type { WaitCondition, WaitResult } from "./options.ts";

/**
 * Registers at once, so that an exit right after this call is seen. The result comes when the condition is met; the client's
 * going away ends it with -1, as moby answers to nobody.
 */
export function waitForContainer(container: Container, condition: WaitCondition, signal: AbortSignal): Promise<WaitResult> {
  if (isMet(container, condition)) return Promise.resolve(container.waitResult());
  const met = condition === "removed" ? container.waitForRemoval() : container.waitForStop();
  const gone = new Promise<WaitResult>((resolve) => {
    signal.addEventListener("abort", () => resolve({ statusCode: -1, error: "context canceled" }), { once: true });
  });
  return Promise.race([met, gone]);
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
