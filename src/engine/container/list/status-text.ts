/** "Up 2 minutes (healthy)": the STATUS of `docker ps` (moby container/state.go, docker/go-units). */
import { zeroTime } from "#base/clock";
import type { ContainerState } from "#storage";

export function statusText(state: ContainerState, now: bigint): string {
  switch (state.status) {
    case "running":
      return `Up ${since(state.startedAt, now)}${healthText(state.health)}`;
    case "paused":
      return `Up ${since(state.startedAt, now)} (Paused)`;
    case "restarting":
      return `Restarting (${state.exitCode}) ${since(state.finishedAt, now)} ago`;
    case "removing":
      return "Removal In Progress";
    case "dead":
      return "Dead";
    case "created":
      return "Created";
    case "exited":
      return state.finishedAt === zeroTime ? "" : `Exited (${state.exitCode}) ${since(state.finishedAt, now)} ago`;
    default:
      return state.status satisfies never;
  }
}

function healthText(health: ContainerState["health"]): string {
  if (health === null || health.status === "none") return "";
  return health.status === "starting" ? " (health: starting)" : ` (${health.status})`;
}

const nsPerSecond = 1_000_000_000n;
const since = (time: string, now: bigint): string => humanDuration(Number((now - parseTime(time)) / nsPerSecond));

/** RFC 3339 in UTC → nanoseconds since 1970. */
export function parseTime(text: string): bigint {
  const [whole = "", fraction = ""] = text.replace(/Z$/, "").split(".");
  return BigInt(Date.parse(`${whole}Z`)) * 1_000_000n + BigInt(fraction.padEnd(9, "0"));
}

/** Of times in UTC these are ordered as the times are, however many digits their seconds have. */
export const sortableTime = (text: string): string => text.slice(0, -1);

/** Seconds since 1970, what is less cut off. */
export const wholeSeconds = (text: string): number =>
  Date.parse(`${text.slice(0, "2006-01-02T15:04:05".length)}Z`) / 1000;

const perHour = 3600;

export function humanDuration(seconds: number): string {
  const minutes = Math.trunc(seconds / 60);
  const hours = Math.trunc(seconds / perHour + 0.5);
  if (seconds < 1) return "Less than a second";
  if (seconds === 1) return "1 second";
  if (seconds < 60) return `${seconds} seconds`;
  if (minutes === 1) return "About a minute";
  if (minutes < 60) return `${minutes} minutes`;
  if (hours === 1) return "About an hour";
  if (hours < 48) return `${hours} hours`;
  const days = Math.trunc(hours / 24);
  if (hours < 24 * 7 * 2) return `${days} days`;
  if (hours < 24 * 30 * 2) return `${Math.trunc(days / 7)} weeks`;
  if (hours < 24 * 365 * 2) return `${Math.trunc(days / 30)} months`;
  return `${Math.trunc(Math.trunc(seconds / perHour) / 24 / 365)} years`;
}
