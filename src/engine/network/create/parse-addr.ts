import { isIPv6 } from "node:net";
import { goQuote } from "#base/strconv";

/** What Go's netip.ParseAddr says of a text that is no address; undefined: it is one. Of IPv6 it would say more. */
export function addressProblem(text: string): string | undefined {
  const problem = problemOf(text);
  return problem === undefined ? undefined : `ParseAddr(${goQuote(text)}): ${problem}`;
}

function problemOf(text: string): string | undefined {
  const sign = /[.:%]/.exec(text)?.[0];
  if (sign === ".") return problemOfIpv4(text);
  if (sign === "%") return "missing IPv6 address";
  if (sign === undefined || !isIPv6(text.replace(/%.*$/s, ""))) return "unable to parse IP";
  return text.endsWith("%") ? "zone must be a non-empty string" : undefined;
}

function problemOfIpv4(text: string): string | undefined {
  const at = (index: number) => ` (at ${goQuote(text.slice(index))})`;
  let [fields, digits] = [1, ""];
  for (const [index, character] of [...text].entries()) {
    if (/\d/.test(character)) {
      if (digits === "0") return "IPv4 field has octet with leading zero";
      digits += character;
      if (Number(digits) > 255) return "IPv4 field has value >255";
      continue;
    }
    if (character !== ".") return `unexpected character${at(index)}`;
    if (digits === "" || index === text.length - 1) return `IPv4 field must have at least one digit${at(index)}`;
    if (fields === 4) return "IPv4 address too long";
    fields++;
    digits = "";
  }
  return fields < 4 ? "IPv4 address too short" : undefined;
}
