import { type Column, findColumn } from "./columns.ts";
import { type BsdFormat, columnNames, isBsdFormat } from "./formats.ts";
import { PsError } from "./ps-error.ts";

/** What a ps command line asks to see. Which processes is not its choice here: the container's. */
export interface Listing {
  readonly columns: readonly Column[];
  readonly hasTitles: boolean;
  readonly isForest: boolean;
  /** Each thread in its process's place, or below it. */
  readonly threads: "none" | "instead" | "below";
}

/** SysV's letters that choose or change columns. */
const sysvModifiers = new Set("fFlyjLTMPc");
const sysvWord = /^-[AadeNwmHfFlyjLTMZPc]+(?:[oO].*)?$|^-[oO]/;
const bsdWord = /^-?[axwegrcnSTulsjvfhHmZM]*(?:[oO].*)?$/;

class Parser {
  readonly #words: string[];
  readonly #custom: Column[] = [];
  readonly #sysv = new Set<string>();
  #bsd: BsdFormat | undefined;
  #prefersBsd = false;
  #isForest = false;
  #hasTitles = true;
  #threadsBelow = false;
  #threadsAsProcesses = false;

  constructor(words: readonly string[]) {
    this.#words = [...words];
  }

  parse(): Listing {
    for (let word = this.#words.shift(); word !== undefined; word = this.#words.shift()) {
      if (word.startsWith("--")) this.#longOption(word.slice(2));
      else if (sysvWord.test(word)) this.#letters(word.slice(1), this.#sysvLetter);
      else if (bsdWord.test(word)) this.#letters(word.replace(/^-/, ""), this.#bsdLetter);
      else throw new PsError(`error: unsupported ${word.startsWith("-") ? "SysV option" : "option (BSD syntax)"}`);
    }
    const names = columnNames({ bsd: this.#bsd, sysv: this.#sysv, prefersBsd: this.#prefersBsd });
    return {
      columns: this.#custom.length > 0 ? this.#custom : names.map(columnOf),
      hasTitles: this.#hasTitles,
      isForest: this.#isForest,
      threads: this.#threads(),
    };
  }

  #threads(): Listing["threads"] {
    const conflict = (what: string) => new PsError(`error: thread flags conflict; can't use ${what}`);
    if (this.#sysv.has("L") && this.#sysv.has("T")) throw conflict("both -L and -T");
    if (this.#threadsBelow && this.#threadsAsProcesses) throw conflict("H with m or -m");
    if (this.#threadsBelow) return "below";
    return this.#threadsAsProcesses || this.#sysv.has("L") || this.#sysv.has("T") ? "instead" : "none";
  }

  /** `letter` takes the rest of its word or the next one as its value when it asks for it. */
  #letters(text: string, letter: (this: Parser, letter: string, value: () => string) => void): void {
    let isTaken = false;
    for (let i = 0; i < text.length && !isTaken; i++) {
      letter.call(this, text.charAt(i), () => {
        isTaken = true;
        return text.slice(i + 1) || (this.#words.shift() ?? "");
      });
    }
  }

  #sysvLetter(letter: string, value: () => string): void {
    if (sysvModifiers.has(letter)) this.#sysv.add(letter);
    else if (letter === "Z") this.#sysv.add("M");
    else if (letter === "H") this.#isForest = true;
    else if (letter === "m") this.#threadsBelow = true;
    else if (letter === "o") this.#custom.push(...parseFormat(value()));
    else if (letter === "O") this.#custom.push(...aroundDefault(value()));
  }

  #bsdLetter(letter: string, value: () => string): void {
    if (letter === "o") return void this.#custom.push(...parseFormat(value()));
    if (letter === "O") return void this.#custom.push(...aroundDefault(value()));
    if (isBsdFormat(letter)) {
      if (this.#bsd !== undefined && this.#bsd !== letter) throw new PsError("error: conflicting format options");
      this.#bsd = letter;
    } else if (letter === "f") this.#isForest = true;
    else if (letter === "h") this.#hasTitles = false;
    else if (letter === "H") this.#threadsAsProcesses = true;
    else if (letter === "m") this.#threadsBelow = true;
    else if (letter === "Z" || letter === "M") this.#sysv.add("M");
    this.#prefersBsd = true;
  }

  #longOption(text: string): void {
    const [name = "", value] = text.split("=", 2);
    if (name === "format") this.#custom.push(...parseFormat(value ?? this.#words.shift() ?? ""));
    else if (name === "sort") value ?? this.#words.shift();
    else if (name === "forest") this.#isForest = true;
    else if (["no-headers", "no-heading", "noheadings", "noheader"].includes(name)) this.#hasTitles = false;
    else if (!["headers", "headings", "cumulative"].includes(name)) throw new PsError("error: unknown gnu long option");
  }
}

export const parseArguments = (words: readonly string[]): Listing => new Parser(words).parse();

const address: Column = { title: "ADDR", text: () => "-" };

/** -O puts its columns behind the PID. */
const aroundDefault = (text: string): Column[] => [
  columnOf("pid"),
  ...parseFormat(text),
  ...["s", "tname", "time", "args"].map(columnOf),
];

/** `name`, `name:width` or `name=title`; a title reaches to the end of the word. */
function parseFormat(text: string): Column[] {
  const equals = text.indexOf("=");
  const names = (equals < 0 ? text : text.slice(0, equals)).split(/[, \t]/);
  const found = names.map(columnOf);
  const last = found.pop();
  if (last === undefined) return found;
  return [...found, equals < 0 ? last : { ...last, title: text.slice(equals + 1) }];
}

function columnOf(spec: string): Column {
  const [name = "", width] = spec.split(":", 2);
  const column = name === "ADDR" ? address : findColumn(name);
  if (column === undefined) throw new PsError(`error: unknown user-defined format specifier "${spec}"`);
  return width === undefined ? column : { ...column, width: Number.parseInt(width, 10) || 1 };
}
