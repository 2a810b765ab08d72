import { EngineError } from "#base/errors";
import { atoi, goQuote, int64, numberProblem, uint32 } from "#base/strconv";

/** The query words of a request, read as Go's net/url and moby's httputils read them. */
export class Query {
  readonly #words = new Map<string, string[]>();

  /** Of several texts the first to have a word decides. */
  constructor(...texts: readonly string[]) {
    for (const pair of texts.flatMap((text) => text.split("&"))) {
      if (pair === "") continue;
      if (pair.includes(";")) throw new EngineError("invalidParameter", "invalid semicolon separator in query");
      const cut = pair.indexOf("=");
      const key = unescaped(cut < 0 ? pair : pair.slice(0, cut));
      const values = this.#words.get(key) ?? [];
      values.push(cut < 0 ? "" : unescaped(pair.slice(cut + 1)));
      this.#words.set(key, values);
    }
  }

  has(key: string): boolean {
    return this.#words.has(key);
  }

  /** The first value; "" when the word is absent. */
  get(key: string): string {
    return this.#words.get(key)?.[0] ?? "";
  }

  getAll(key: string): string[] {
    return this.#words.get(key) ?? [];
  }

  /** httputils.BoolValue: everything is true but the few words for no. */
  bool(key: string, fallback = false): boolean {
    if (!this.has(key)) return fallback;
    return !["", "0", "no", "false", "none"].includes(this.get(key).trim().toLowerCase());
  }

  /** httputils.Int64ValueOrZero. */
  intOrZero(key: string): number {
    const text = this.get(key);
    return numberProblem(text, int64) === undefined ? Number(text) : 0;
  }

  /** strconv.Atoi, whose error moby passes on as it is: status 500. Undefined when absent or empty. */
  int(key: string): number | undefined {
    const text = this.get(key);
    if (text === "") return undefined;
    return atoi(text);
  }

  /** httputils.Uint32Value, for the height and width of a terminal. */
  uint32(key: string, what: string): number {
    const text = this.get(key);
    const problem = text.startsWith("+") ? "invalid syntax" : numberProblem(text, uint32);
    if (problem === undefined) return Number(text);
    throw new EngineError("invalidParameter", `invalid ${what} ${goQuote(text)}: ${problem}`);
  }
}

/** `seconds[.nanoseconds]` as the CLI sends points in time, in nanoseconds; undefined when empty. */
export function timestamp(text: string): bigint | undefined {
  if (text === "") return undefined;
  const cut = text.indexOf(".");
  const seconds = parseInt64(cut < 0 ? text : text.slice(0, cut));
  if (cut < 0) return seconds * 1_000_000_000n;
  const fraction = text.slice(cut + 1);
  // moby scales by the number of digits, and drops those beyond the ninth.
  const value = parseInt64(fraction);
  const digits = fraction.length;
  const nanoseconds = digits > 9 ? value / 10n ** BigInt(digits - 9) : value * 10n ** BigInt(9 - digits);
  return seconds * 1_000_000_000n + nanoseconds;
}

function parseInt64(text: string): bigint {
  const problem = numberProblem(text, int64);
  if (problem !== undefined) throw new EngineError("system", `strconv.ParseInt: parsing ${goQuote(text)}: ${problem}`);
  return BigInt(text.replace(/^\+/, ""));
}

function unescaped(text: string): string {
  const bad = /%(?![0-9a-fA-F]{2}).{0,2}/s.exec(text);
  if (bad !== null) throw new EngineError("invalidParameter", `invalid URL escape ${goQuote(bad[0])}`);
  const spaced = text.replaceAll("+", " ");
  if (!spaced.includes("%")) return spaced;
  try {
    return decodeURIComponent(spaced);
  } catch {
    // Escapes that are no UTF-8: Go keeps the bytes, JavaScript has no such strings.
    return Buffer.from(
      spaced.replace(/%([0-9a-fA-F]{2})/g, (_, hex: string) => String.fromCharCode(Number.parseInt(hex, 16))),
      "latin1",
    ).toString("utf8");
  }
}
