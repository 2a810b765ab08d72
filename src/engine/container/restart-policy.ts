import type { RestartPolicy } from "#api-schema/container-config";

const firstDelayMs = 100;
const maxDelayMs = 60_000;
/** A run this long shows that the container works: the delay starts anew. */
const healthyRunMs = 10_000;

/** The growing pause between restarts (moby restartmanager): 100 ms, doubled each time, at most a minute. */
export class RestartBackoff {
  #delayMs = 0;

  next(runMs: number): number {
    if (runMs >= healthyRunMs) this.#delayMs = 0;
    this.#delayMs = this.#delayMs === 0 ? firstDelayMs : Math.min(this.#delayMs * 2, maxDelayMs);
    return this.#delayMs;
  }

  reset(): void {
    this.#delayMs = 0;
  }
}

export interface Ended {
  readonly exitCode: number;
  readonly restartCount: number;
  /** `docker stop` or `kill`, or the daemon is going down. */
  readonly isWanted: boolean;
}

export function shouldRestart(policy: RestartPolicy, ended: Ended): boolean {
  switch (policy.Name) {
    case "always":
      return !ended.isWanted;
    case "unless-stopped":
      return !ended.isWanted;
    case "on-failure": {
      const isLimited = policy.MaximumRetryCount > 0;
      return ended.exitCode !== 0 && !ended.isWanted && (!isLimited || ended.restartCount < policy.MaximumRetryCount);
    }
    default:
      return false;
  }
}
