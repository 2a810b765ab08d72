/** Durations of work done again and again, and what can be said about them. */
export interface Figures {
  readonly medianMs: number;
  readonly p99Ms: number;
  readonly runs: number;
}

interface Work {
  readonly reset: () => Promise<void> | undefined;
  readonly work: () => Promise<void>;
}

/** The first runs warm caches and are not counted, nor is `reset`, which makes things for each run what they were. */
export async function measure(runs: number, { reset, work }: Work): Promise<Figures> {
  const warmups = Math.max(1, Math.floor(runs / 10));
  const durations: number[] = [];
  for (let i = 0; i < runs + warmups; i++) {
    await reset();
    const start = performance.now();
    await work();
    if (i >= warmups) durations.push(performance.now() - start);
  }
  durations.sort((a, b) => a - b);
  const at = (part: number) => durations[Math.min(durations.length - 1, Math.floor(durations.length * part))] ?? 0;
  return { medianMs: round(at(0.5)), p99Ms: round(at(0.99)), runs };
}

export const round = (value: number): number => Math.round(value * 100) / 100;
