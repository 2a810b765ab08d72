/**
 * Go's regular expressions (RE2's syntax), which clients write in filters and log options: refused in Go's words, and otherwise
 * turned into one of JavaScript's that finds a match in the same texts. Groups do not capture.
 */
export class GoRegExpError extends Error {}

export function goRegExp(pattern: string): RegExp {
  return new RegExp(new Translation(pattern).translate(), "v");
}

const fault = (reason: string, expression: string): GoRegExpError =>
  new GoRegExpError(`error parsing regexp: ${reason}: \`${expression}\``);

interface Flags {
  readonly i: boolean;
  readonly m: boolean;
  readonly s: boolean;
  readonly U: boolean;
}

interface Group {
  /** Each a whole one that can be repeated, or "|". */
  readonly terms: string[];
  /** Those that hold again behind it. */
  readonly outerFlags: Flags;
}

const perlClasses: Readonly<Record<string, string>> = {
  d: "[0-9]",
  D: "[^0-9]",
  s: "[\\t\\n\\f\\r ]",
  S: "[^\\t\\n\\f\\r ]",
  w: "[0-9A-Za-z_]",
  W: "[^0-9A-Za-z_]",
};

const posixClasses: Readonly<Record<string, string>> = {
  alnum: "0-9A-Za-z",
  alpha: "A-Za-z",
  ascii: "\\x00-\\x7f",
  blank: "\\t ",
  cntrl: "\\x00-\\x1f\\x7f",
  digit: "0-9",
  graph: "\\x21-\\x7e",
  lower: "a-z",
  print: "\\x20-\\x7e",
  punct: "\\x21-\\x2f\\x3a-\\x40\\x5b-\\x60\\x7b-\\x7e",
  space: "\\t\\n\\v\\f\\r ",
  upper: "A-Z",
  word: "0-9A-Za-z_",
  xdigit: "0-9A-Fa-f",
};

const controls: Readonly<Record<string, number>> = { a: 7, f: 12, n: 10, r: 13, t: 9, v: 11 };
const anchors: Readonly<Record<string, string>> = { A: "^", z: "$", b: "\\b", B: "\\B" };
const mostRepeats = 1000;

class Translation {
  readonly #pattern: string;
  readonly #groups: Group[] = [];
  #rest: string;
  #flags: Flags = { i: false, m: false, s: false, U: false };
  #terms: string[] = [];

  constructor(pattern: string) {
    this.#pattern = pattern;
    this.#rest = pattern;
  }

  translate(): string {
    let lastRepeat = "";
    while (this.#rest !== "") {
      const before = this.#rest;
      const isRepeat = this.#repeat(lastRepeat);
      lastRepeat = isRepeat ? before : "";
      const term = isRepeat ? undefined : this.#next();
      if (term !== undefined) this.#terms.push(this.#folded(term));
    }
    if (this.#groups.length > 0) throw fault("missing closing )", this.#pattern);
    return this.#terms.join("");
  }

  /** What `pattern` matches at the front, which is passed over. */
  #take(pattern: RegExp): RegExpExecArray | undefined {
    const match = pattern.exec(this.#rest) ?? undefined;
    this.#rest = this.#rest.slice(match?.[0].length ?? 0);
    return match;
  }

  #before(start: string): string {
    return start.slice(0, start.length - this.#rest.length);
  }

  #repeat(lastRepeat: string): boolean {
    const start = this.#rest;
    const match = this.#take(/^(?:[*+?]|\{(0|[1-9]\d*)(,(0|[1-9]\d*)?)?\})/);
    if (match === undefined) return false;
    const [operator, least, , most = least] = match;
    if (Number(least) > mostRepeats || Number(most) > mostRepeats || Number(least) > Number(most)) {
      throw fault("invalid repeat count", operator);
    }
    this.#take(/^\?/);
    if (lastRepeat !== "") throw fault("invalid nested repetition operator", this.#before(lastRepeat));
    const term = this.#terms.pop() ?? "|";
    if (term === "|") throw fault("missing argument to repetition operator", this.#before(start));
    this.#terms.push(`(?:${term})${operator}`);
    return true;
  }

  /** The next term; undefined where groups and flags change. */
  #next(): string | undefined {
    const start = this.#rest;
    if (start.startsWith("(?")) return this.#perlGroup();
    if (start.startsWith("[")) return this.#class();
    if (start.startsWith("\\Q")) return this.#quoted();
    if (start.startsWith("\\")) return this.#escaped();
    const character = this.#character();
    switch (character) {
      case "(":
        return this.#open(this.#flags);
      case ")":
        return this.#close();
      case "|":
        this.#terms.push("|");
        return undefined;
      case "^":
        return this.#flags.m ? "(?<![^\\n])" : "^";
      case "$":
        return this.#flags.m ? "(?![^\\n])" : "$";
      case ".":
        return this.#flags.s ? "[^]" : "[^\\n]";
      default:
        return literal(character);
    }
  }

  #folded(term: string): string {
    return this.#flags.i ? `(?i:${term})` : `(?:${term})`;
  }

  #character(): string {
    return this.#take(/^./sv)?.[0] ?? "";
  }

  #open(inner: Flags): undefined {
    this.#groups.push({ terms: this.#terms, outerFlags: this.#flags });
    this.#flags = inner;
    this.#terms = [];
  }

  #close(): undefined {
    const group = this.#groups.pop();
    if (group === undefined) throw fault("unexpected )", this.#pattern);
    group.terms.push(`(?:${this.#terms.join("")})`);
    this.#terms = group.terms;
    this.#flags = group.outerFlags;
  }

  #perlGroup(): undefined {
    const start = this.#rest;
    const named = this.#take(/^\(\?P?<(?=.)(?:([^>]*)>)?/s);
    if (named !== undefined) {
      if (named[1] === undefined) throw fault("invalid named capture", start);
      if (!/^\w+$/.test(named[1])) throw fault("invalid named capture", named[0]);
      return this.#open(this.#flags);
    }
    const [seen = "", on = "", off, end] = this.#take(/^\(\?([imsU]*)(-[imsU]*)?([:)])?/) ?? [];
    if (end === undefined || off === "-")
      throw fault("invalid or unsupported Perl syntax", seen + (end === undefined ? this.#character() : ""));
    const flags = Object.fromEntries(
      [...on].map((flag) => [flag, true]).concat([...(off ?? "")].map((flag) => [flag, false])),
    );
    const inner = { ...this.#flags, ...flags };
    if (end === ":") this.#open(inner);
    else this.#flags = inner;
  }

  /** All but the last character, which is the one to be repeated, are added here. */
  #quoted(): string | undefined {
    const [, text = ""] = this.#take(/^\\Q(.*?)(?:\\E|$)/s) ?? [];
    const terms = Array.from(text, (character) => this.#folded(literal(character)));
    const last = terms.pop();
    this.#terms.push(...terms);
    return last;
  }

  #escaped(): string {
    const start = this.#rest;
    const anchor = this.#take(/^\\([AzbB])/)?.[1];
    if (anchor !== undefined) return anchors[anchor] ?? "";
    if (start.startsWith("\\C")) throw fault("invalid escape sequence", "\\C");
    return this.#classEscape() ?? codePoint(this.#escape());
  }

  /** `\pL`, `\d` and the like. */
  #classEscape(): string | undefined {
    const perl = this.#take(/^\\([dDsSwW])/)?.[1];
    if (perl !== undefined) return perlClasses[perl];
    const start = this.#rest;
    const [sequence, sign, letter, name = letter] = this.#take(/^\\([pP])(?:\{([^\}]*)\}|([^\{]))/v) ?? [];
    if (sequence === undefined || name === undefined) {
      if (/^\\[pP](?:\{|$)/.test(start)) throw fault("invalid character class range", start);
      return undefined;
    }
    const isNegated = (sign === "P") !== name.startsWith("^");
    const table = name.replace(/^\^/, "");
    if (table === "Any") return isNegated ? "[]" : "[^]";
    const property = /^[A-Z][a-z]?$/.test(table) ? table : `Script=${table}`;
    try {
      return new RegExp(`\\${isNegated ? "P" : "p"}{${property}}`, "v").source;
    } catch {
      throw fault("invalid character class range", sequence);
    }
  }

  /** The code point of `\n`, `\x41` and the like. */
  #escape(): number {
    const start = this.#rest;
    const [, octal, short, long, other = ""] =
      this.#take(/^\\(?:(0[0-7]{0,2}|[1-7][0-7]{1,2})|x([0-9a-fA-F]{2})|x\{([0-9a-fA-F]+)\}|(.?))/sv) ?? [];
    const number = octal === undefined ? Number.parseInt(short ?? long ?? "", 16) : Number.parseInt(octal, 8);
    if (number <= 0x10ffff) return number;
    if (other === "x") this.#take(/^(?:\{[0-9a-f]*.?|.{0,2})/is);
    if (start === "\\") throw fault("trailing backslash at end of expression", "");
    const control = controls[other];
    if (control !== undefined) return control;
    if (/^[\x00-\x7f]$/.test(other) && !/[0-9A-Za-z]/.test(other)) return other.charCodeAt(0);
    throw fault("invalid escape sequence", this.#before(start));
  }

  #class(): string {
    const start = this.#rest;
    const isNegated = this.#take(/^\[(\^?)/)?.[1] === "^";
    const items: string[] = [];
    for (let isFirst = true; isFirst || !this.#rest.startsWith("]"); isFirst = false) {
      items.push(this.#posixClass() ?? this.#classEscape() ?? this.#range(start));
    }
    this.#rest = this.#rest.slice(1);
    return `[${isNegated ? "^" : ""}${items.join("")}]`;
  }

  #posixClass(): string | undefined {
    const [whole, sign, name = ""] = this.#take(/^\[:(\^?)(.*?):\]/s) ?? [];
    if (whole === undefined) return undefined;
    const members = Object.hasOwn(posixClasses, name) ? posixClasses[name] : undefined;
    if (members === undefined) throw fault("invalid character class range", whole);
    return `[${sign}${members}]`;
  }

  #range(wholeClass: string): string {
    const start = this.#rest;
    const low = this.#classCharacter(wholeClass);
    if (this.#take(/^-(?=[^\]])/) === undefined) return codePoint(low);
    const high = this.#classCharacter(wholeClass);
    if (high < low) throw fault("invalid character class range", this.#before(start));
    return `${codePoint(low)}-${codePoint(high)}`;
  }

  #classCharacter(wholeClass: string): number {
    if (this.#rest === "") throw fault("missing closing ]", wholeClass);
    return this.#rest.startsWith("\\") ? this.#escape() : (this.#character().codePointAt(0) ?? 0);
  }
}

const codePoint = (point: number): string => `\\u{${point.toString(16)}}`;
const literal = (character: string): string => codePoint(character.codePointAt(0) ?? 0);
