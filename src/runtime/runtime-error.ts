import { constants } from "node:os";

/**
 * A failure that the shim or the OCI runtime told as data. The engine builds Docker's sentence and the exit code 125,
 * 126 or 127 from these fields; `message` is for logs.
 */
export class RuntimeError extends Error {
  /** `exec`, `cwd`, `mount`, … as `fault_stage_name` in runtime-native/common has them; `runtime` if nothing more is known. */
  readonly stage: string;
  /** 0 where no system call failed, or the runtime does not tell (runc). */
  readonly errno: number;
  /** What the runtime said, word for word. */
  readonly runtimeMessage: string;

  constructor(failure: { stage: string; errno: number; message: string }) {
    super(`${failure.stage}: ${failure.message}`);
    this.name = "RuntimeError";
    this.stage = failure.stage;
    this.errno = failure.errno;
    this.runtimeMessage = failure.message;
  }

  /** Nobody supervises the container any more, or this daemon does not see who. */
  get isShimGone(): boolean {
    return this.stage === "shim" && !this.isSilent;
  }

  /** Nothing is known: neither that it failed nor that it did not. */
  get isSilent(): boolean {
    return this.errno === constants.errno.ETIMEDOUT;
  }

  /** The process that it was about is gone. */
  get isGone(): boolean {
    return this.errno === constants.errno.ESRCH;
  }
}
