/** Command lines as Go's pflag reads them, with its words for what is wrong. Knows nothing of any particular program. */

export interface FlagSpec {
  readonly name: string;
  /** One letter. */
  readonly shorthand?: string;
  /** Shown in the help; "" is a flag that takes no value ("--debug", "--debug=false"). */
  readonly valueName: string;
  readonly help: string;
  readonly isHidden?: boolean;
  /** Throws what the error says after the colon. */
  readonly check?: (text: string) => void;
}

export interface ParsedFlags {
  /** Flag name → its values in the order given. Flags that were not given are absent. */
  readonly values: ReadonlyMap<string, readonly string[]>;
  readonly rest: readonly string[];
}

export class FlagError extends Error {}

export function parseFlags(argv: readonly string[], specs: readonly FlagSpec[]): ParsedFlags {
  const parser = new FlagParser(argv, specs);
  return parser.parse();
}

class FlagParser {
  readonly #argv: string[];
  readonly #byName: ReadonlyMap<string, FlagSpec>;
  readonly #byLetter: ReadonlyMap<string, FlagSpec>;
  readonly #values = new Map<string, string[]>();

  constructor(argv: readonly string[], specs: readonly FlagSpec[]) {
    this.#argv = [...argv];
    this.#byName = new Map(specs.map((spec) => [spec.name, spec]));
    this.#byLetter = new Map(specs.flatMap((spec) => (spec.shorthand === undefined ? [] : [[spec.shorthand, spec]])));
  }

  parse(): ParsedFlags {
    const rest: string[] = [];
    for (let word = this.#argv.shift(); word !== undefined; word = this.#argv.shift()) {
      if (word === "--") {
        rest.push(...this.#argv.splice(0));
      } else if (word.startsWith("--")) this.#long(word);
      else if (word.startsWith("-") && word !== "-") this.#short(word);
      else rest.push(word);
    }
    return { values: this.#values, rest };
  }

  #long(word: string): void {
    const equals = word.indexOf("=");
    const name = equals < 0 ? word.slice(2) : word.slice(2, equals);
    if (name === "" || name.startsWith("-")) throw new FlagError(`bad flag syntax: ${word}`);
    const spec = this.#byName.get(name);
    if (spec === undefined) throw new FlagError(`unknown flag: --${name}`);
    if (equals >= 0) this.#add(spec, word.slice(equals + 1));
    else if (spec.valueName === "") this.#add(spec, "true");
    else this.#add(spec, this.#next(`--${name}`));
  }

  #short(word: string): void {
    for (let at = 1; at < word.length; at++) {
      const letter = word.charAt(at);
      const spec = this.#byLetter.get(letter);
      if (spec === undefined) throw new FlagError(`unknown shorthand flag: '${letter}' in ${word}`);
      const tail = word.slice(at + 1);
      if (spec.valueName === "" && !tail.startsWith("=")) {
        this.#add(spec, "true");
        continue;
      }
      const value = tail === "" ? this.#next(`'${letter}' in ${word}`) : tail.replace(/^=/, "");
      this.#add(spec, value);
      return;
    }
  }

  #next(flag: string): string {
    const value = this.#argv.shift();
    if (value === undefined) throw new FlagError(`flag needs an argument: ${flag}`);
    return value;
  }

  #add(spec: FlagSpec, value: string): void {
    try {
      spec.check?.(value);
    } catch (error) {
      const names = spec.shorthand === undefined ? `--${spec.name}` : `-${spec.shorthand}, --${spec.name}`;
      const reason = error instanceof Error ? error.message : String(error);
      throw new FlagError(`invalid argument ${JSON.stringify(value)} for "${names}" flag: ${reason}`);
    }
    this.#values.set(spec.name, [...(this.#values.get(spec.name) ?? []), value]);
  }
}

/** The options, one a line, as `--help` shows them. */
export function describeFlags(specs: readonly FlagSpec[]): string {
  const rows = specs
    .filter(({ isHidden }) => isHidden !== true)
    .toSorted((a, b) => (a.name < b.name ? -1 : 1))
    .map(({ shorthand, name, valueName, help }) => {
      const letter = shorthand === undefined ? "    " : `-${shorthand}, `;
      return [`  ${letter}--${name}${valueName === "" ? "" : ` ${valueName}`}`, help] as const;
    });
  const width = Math.max(...rows.map(([flag]) => flag.length)) + 3;
  return rows.map(([flag, help]) => `${flag.padEnd(width)}${help}\n`).join("");
}
