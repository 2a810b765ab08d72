/** One line of a progress stream (moby pkg/jsonmessage), keys in the order in which they are printed. */
export interface ProgressMessage {
  readonly stream?: string;
  readonly status?: string;
  readonly progressDetail?: { readonly current?: number; readonly total?: number };
  readonly progress?: string;
  readonly id?: string;
  readonly errorDetail?: { readonly code?: number; readonly message: string };
  readonly error?: string;
  readonly aux?: unknown;
}

/** Where the lines of one request go. A slow reader must not slow down the work: see `update`. */
export interface ProgressOutput {
  write(message: ProgressMessage): void;
  /** The client reads slower than we write: lines that only move a bar are left out. */
  readonly isCongested?: boolean;
}

/** A line of its own: `1: Pulling from library/busybox`. */
export const say = (output: ProgressOutput, status: string, id?: string): void =>
  output.write({ status, ...(id === undefined || id === "" ? {} : { id }) });

/** A new state of the item `id`: `Pulling fs layer`. */
export const update = (output: ProgressOutput, id: string, status: string): void =>
  output.write({ status, progressDetail: {}, id });

export const emitAux = (output: ProgressOutput, aux: unknown): void => output.write({ progressDetail: {}, aux });

/** How far the item `id` has come. */
export function advance(output: ProgressOutput, id: string, status: string, current: number, total: number): void {
  const isMoving = current !== total;
  if (isMoving && output.isCongested === true) return;
  output.write({
    status,
    progressDetail: { ...(current === 0 ? {} : { current }), ...(total === 0 ? {} : { total }) },
    ...bar(current, total),
    ...(id === "" ? {} : { id }),
  });
}

const minStepBytes = 512 * 1024;
const minPauseMs = 100;

/** Thins out the steps of one item as moby does: every percent or half megabyte, ten times a second at most. */
export class ProgressMeter {
  readonly #report: (current: number, total: number) => void;
  readonly #total: number;
  readonly #step: number;
  #current: number;
  #reported: number;
  #lastMs = Number.NEGATIVE_INFINITY;

  constructor(total: number, start: number, report: (current: number, total: number) => void) {
    this.#report = report;
    this.#total = total;
    this.#step = total > 0 ? Math.min(minStepBytes, Math.floor(total / 100)) : minStepBytes;
    this.#current = start;
    this.#reported = start;
  }

  add(bytes: number): void {
    this.set(this.#current + bytes);
  }

  set(current: number): void {
    this.#current = current;
    if (current - this.#reported <= this.#step && current !== this.#total) return;
    const now = performance.now();
    if (current !== this.#total && now - this.#lastMs < minPauseMs) return;
    this.#lastMs = now;
    this.#reported = current;
    this.#report(current, this.#total);
  }

  /** The bar is drawn full at the end, whatever was counted. */
  finish(): void {
    if (this.#total > 0 && this.#reported !== this.#total) this.#report(this.#total, this.#total);
  }
}

/** The drawing for clients that do not draw themselves: `[=====>     ]  1.2MB/3MB`. */
function bar(current: number, total: number): { progress?: string } {
  if (current <= 0 && total <= 0) return {};
  if (total <= 0) return { progress: humanSize(current).padStart(8) };
  const filled = Math.min(50, Math.floor(Math.trunc((current / total) * 100) / 2));
  const box = `[${"=".repeat(filled)}>${" ".repeat(50 - filled)}] `;
  const numbers = humanSize(current).padStart(8) + (current > total ? "" : `/${humanSize(total)}`);
  return { progress: box + numbers };
}

/** go-units HumanSize: four significant digits, decimal units. */
export function humanSize(bytes: number): string {
  const units = ["B", "kB", "MB", "GB", "TB", "PB", "EB"];
  let size = bytes;
  let unit = 0;
  while (size >= 1000 && unit < units.length - 1) {
    size /= 1000;
    unit++;
  }
  return `${significant(size)}${units[unit]}`;
}

/** Go's %.4g for what can come here: 0 ≤ n < 1000 (and 1000 when it rounds up, which Go prints as 1000). */
function significant(value: number): string {
  return String(Number(value.toPrecision(4)));
}
