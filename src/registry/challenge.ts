/** One `WWW-Authenticate` header: what the server wants to see before it serves. */
export interface Challenge {
  /** Lower case. */
  readonly scheme: string;
  /** Keys in lower case. */
  readonly parameters: ReadonlyMap<string, string>;
}

/**
 * RFC 9110 §11.6.1 as docker/distribution reads it: one challenge a header line, `key=token` or `key="quoted"`
 * separated by commas. Reading stops at the first thing that does not fit; what came before it counts.
 */
export function parseChallenge(header: string): Challenge | undefined {
  const cursor = new Cursor(header);
  const scheme = cursor.token().toLowerCase();
  if (scheme === "") return undefined;
  const parameters = new Map<string, string>();
  cursor.skipSpace();
  do {
    cursor.skipSpace();
    const key = cursor.token().toLowerCase();
    if (key === "" || !cursor.take("=")) break;
    const value = cursor.tokenOrQuoted();
    if (value === "") break;
    parameters.set(key, value);
    cursor.skipSpace();
  } while (cursor.take(","));
  return { scheme, parameters };
}

/** The challenges of an answer; only a 401 carries any. */
export function parseChallenges(status: number, headers: readonly string[]): Challenge[] {
  if (status !== 401) return [];
  return headers.map(parseChallenge).filter((challenge) => challenge !== undefined);
}

/** RFC 6750 §3: why a bearer token was refused. */
export function findChallenge(
  status: number,
  headers: readonly string[],
): { readonly error: string; readonly description: string } | undefined {
  const refused = parseChallenges(status, headers).find(
    ({ scheme, parameters }) => scheme === "bearer" && parameters.has("error"),
  );
  if (refused === undefined) return undefined;
  const { parameters } = refused;
  return { error: parameters.get("error") ?? "", description: parameters.get("error_description") ?? "" };
}

class Cursor {
  readonly #text: string;
  #at = 0;

  constructor(text: string) {
    this.#text = text;
  }

  take(char: string): boolean {
    if (this.#text[this.#at] !== char) return false;
    this.#at++;
    return true;
  }

  skipSpace(): void {
    this.#match(/[ \t\r\n]*/y);
  }

  token(): string {
    return this.#match(/[!#$%&'*+\-.^_`|~0-9A-Za-z]*/y);
  }

  tokenOrQuoted(): string {
    if (this.#text[this.#at] !== '"') return this.token();
    const quoted = this.#match(/"(?:[^"\\]|\\.)*"/y);
    return quoted.slice(1, -1).replace(/\\(.)/g, "$1");
  }

  #match(pattern: RegExp): string {
    pattern.lastIndex = this.#at;
    const found = pattern.exec(this.#text)?.[0] ?? "";
    this.#at += found.length;
    return found;
  }
}
