import { constants } from "node:os";
import { EngineError } from "#base/errors";

const names = new Set([
  ...Object.keys(constants.signals).map((name) => name.replace(/^SIG/, "")),
  "CLD",
  "UNUSED",
  "RTMIN",
  "RTMAX",
]);

/** A number from 1 to 64, or a name with or without SIG, `RTMIN+3` too (moby/sys/signal, ParseSignal). */
export function checkSignal(text: string): void {
  const fail = () => new EngineError("invalidParameter", `invalid signal: ${text}`);
  if (/^[+-]?\d+$/.test(text)) {
    if (Number(text) === 0) throw fail();
    return;
  }
  const name = text.toUpperCase().replace(/^SIG/, "");
  const isRealTime = /^RTMIN\+([1-9]|1[0-5])$|^RTMAX-([1-9]|1[0-4])$/.test(name);
  if (!names.has(name) && !isRealTime) throw fail();
}
