import { type Column, findColumn } from "./columns.ts";

/** What a ps command line asks to see. Which processes is not its choice here: the container's. */
export interface Listing {
  readonly columns: readonly Column[];
  readonly hasTitles: boolean;
  readonly isForest: boolean;
}

/** procps said no; the message is the first line it would have printed. */
export class PsError extends Error {}

/** The formats that a letter stands for. */
const formats = {
  default: "pid tname time ucmd",
  full: "uid_hack pid ppid c stime tname time cmd",
  extraFull: "uid_hack pid ppid c sz rss psr stime tname time cmd",
  long: "f s uid pid ppid c opri ni ADDR sz wchan tname time ucmd",
  longWithoutAddress: "s uid pid ppid c opri ni rss sz wchan tname time ucmd",
  jobs: "pid pgid sid tname time ucmd",
  bsdDefault: "pid tname stat bsdtime args",
  user: "user pid pcpu pmem vsz rss tname stat bsdstart bsdtime args",
  bsdLong: "f uid pid ppid priority ni vsz rss wchan stat tname bsdtime args",
  bsdJobs: "ppid pid pgid sid tname tpgid stat uid bsdtime args",
} as const;
type Format = keyof typeof formats;

class Parser {
  readonly #words: string[];
  readonly #custom: Column[] = [];
  #format: Format = "default";
  #isForest = false;
  #hasTitles = true;
  #isWithoutAddress = false;

  constructor(words: readonly string[]) {
    this.#words = [...words];
  }

  parse(): Listing {
    for (let word = this.#words.shift(); word !== undefined; word = this.#words.shift()) {
      if (word.startsWith("--")) this.#long(word.slice(2));
      else if (word === "-aux" || word === "-axu") this.#letters("aux", this.#bsd);
      else if (word.startsWith("-")) this.#letters(word.slice(1), this.#sysv);
      else this.#letters(word, this.#bsd);
    }
    if (this.#isWithoutAddress && this.#format !== "long") {
      throw new PsError("error: modifier -y without format -l makes no sense");
    }
    const format = this.#isWithoutAddress ? "longWithoutAddress" : this.#format;
    const columns = this.#custom.length > 0 ? this.#custom : formats[format].split(" ").map(columnOf);
    return { columns, hasTitles: this.#hasTitles, isForest: this.#isForest };
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

  #sysv(letter: string, value: () => string): void {
    switch (letter) {
      case "A":
      case "a":
      case "d":
      case "e":
      case "w":
      case "N":
        return;
      case "f":
        if (this.#format !== "extraFull") this.#format = "full";
        return;
      case "F":
        this.#format = "extraFull";
        return;
      case "l":
        this.#format = "long";
        return;
      case "y":
        this.#isWithoutAddress = true;
        return;
      case "j":
        this.#format = "jobs";
        return;
      case "H":
        this.#isForest = true;
        return;
      case "o":
        this.#custom.push(...parseFormat(value()));
        return;
      case "O":
        this.#custom.push(...["pid", "s", "tname", "time", "args"].map(columnOf));
        this.#custom.splice(1, 0, ...parseFormat(value()));
        return;
      default:
        throw new PsError("error: unsupported SysV option");
    }
  }

  #bsd(letter: string, value: () => string): void {
    switch (letter) {
      case "a":
      case "x":
      case "w":
      case "e":
      case "g":
      case "r":
      case "c":
      case "n":
        if (this.#format === "default") this.#format = "bsdDefault";
        return;
      case "u":
        this.#format = "user";
        return;
      case "l":
        this.#format = "bsdLong";
        return;
      case "j":
        this.#format = "bsdJobs";
        return;
      case "f":
        this.#isForest = true;
        if (this.#format === "default") this.#format = "bsdDefault";
        return;
      case "h":
        this.#hasTitles = false;
        return;
      case "o":
        this.#custom.push(...parseFormat(value()));
        return;
      default:
        throw new PsError("error: unsupported option (BSD syntax)");
    }
  }

  #long(text: string): void {
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
