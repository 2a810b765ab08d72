/** The two contracts with systemd: sockets that it opened for us, and telling it when we are ready. */
import { closeSync } from "node:fs";
import { EngineError } from "#base/errors";
import { AF_UNIX, SOCK_DGRAM, sendto, socket, unixAddress } from "#native";

type Environment = Record<string, string | undefined>;

/** sd_listen_fds(3): the first one. */
const firstFd = 3;

/**
 * The descriptors behind `fd://`: all of them, or with a number that one alone (moby daemon/listeners). The variables are
 * taken out of the environment: they are meant for this process.
 */
export function takeActivatedSockets(environment: Environment): (host: string) => number[] {
  const { LISTEN_PID: pid, LISTEN_FDS: count } = environment;
  for (const name of ["LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES"]) delete environment[name];
  const length = pid === String(process.pid) ? Number(count) : 0;
  const all = Array.from({ length: Number.isSafeInteger(length) ? length : 0 }, (_, index) => firstFd + index);
  return (host) => select(all, host);
}

function select(all: readonly number[], host: string): number[] {
  refuseIf(all.length === 0, "no sockets found via socket activation: make sure the service was started by systemd");
  if (host === "" || host === "*") return [...all];
  refuseIf(!/^[+-]?\d+$/.test(host), `failed to parse systemd fd address: should be a number: ${host}`);
  const chosen = Number(host);
  refuseIf(chosen > (all.at(-1) ?? 0), "too few socket activated files passed in by systemd");
  refuseIf(chosen < firstFd, `failed to listen on systemd activated file: fd ${chosen}`);
  for (const fd of all) if (fd !== chosen) closeSync(fd);
  return [chosen];
}

function refuseIf(isWrong: boolean, message: string): void {
  if (isWrong) throw new EngineError("invalidParameter", message);
}

/** sd_notify(3), for units of `Type=notify`. Nobody asked: nothing happens. */
export function notifySystemd(environment: Environment, state: "READY=1" | "STOPPING=1"): void {
  const path = environment.NOTIFY_SOCKET ?? "";
  if (path === "") return;
  const fd = socket(AF_UNIX, SOCK_DGRAM);
  try {
    sendto(fd, Buffer.from(state), 0, unixAddress(path));
  } finally {
    closeSync(fd);
  }
}
