import { EngineError } from "#base/errors";
import type { Listing } from "./arguments.ts";
import type { Column } from "./columns.ts";
import type { Machine, Process } from "./process.ts";

export interface ContainerTop {
  readonly Processes: string[][];
  readonly Titles: string[];
}

export interface ThreadedProcess extends Process {
  /** Read only where they are asked for. */
  readonly tasks?: readonly Process[];
}

/** Goes through the text that ps would have printed: a blank inside a column moves what follows it, as it does for dockerd. */
export function format(listing: Listing, processes: readonly ThreadedProcess[], machine: Machine): ContainerTop {
  const { columns, threads } = listing;
  const titles = listing.hasTitles ? fieldsOf(columns.map(({ title }) => title).join(" ")) : [];
  const pidIndex = titles.indexOf("PID");
  if (pidIndex < 0) throw new EngineError("system", "Couldn't find PID field in ps output");
  const row = (process: Process, branch: string, part?: Column["only"]) => {
    const cells = columns.map((column) => cell(column, process, machine, branch, part));
    return fieldsOf(cells.join(" "));
  };
  const rows = (listing.isForest ? forest(processes) : processes.map((process) => ({ process, branch: "" }))).flatMap(
    ({ process, branch }) => {
      const { tasks = [] } = process;
      if (threads === "instead") return tasks.map((task) => row(task, branch));
      if (threads === "none") return [row(process, branch)];
      return [row(process, branch, "process"), ...tasks.map((task) => row(task, "", "thread"))];
    },
  );
  return { Titles: titles, Processes: rows.map((fields) => checked(fields, pidIndex, titles.length - 1)) };
}

/** What is beyond the last title belongs to it. */
function checked(fields: readonly string[], pidIndex: number, last: number): string[] {
  const pid = fields[pidIndex] ?? "";
  if (pid !== "-" && !/^[+-]?\d+$/.test(pid)) {
    throw new EngineError("system", `Unexpected pid '${pid}': strconv.Atoi: parsing "${pid}": invalid syntax`);
  }
  return [...fields.slice(0, last), fields.slice(last).join(" ")];
}

const fieldsOf = (line: string): string[] => line.split(/[\t\n\f\r ]+/).filter((field) => field !== "");

const commandTitles = new Set(["CMD", "COMMAND"]);

function cell(column: Column, process: Process, machine: Machine, branch: string, part: Column["only"]): string {
  if (part !== undefined && column.only !== undefined && column.only !== part) return "-";
  const text = column.text(process, machine);
  const shown = commandTitles.has(column.title) ? branch + text : text;
  return column.width !== undefined && shown.length > column.width ? `${shown.slice(0, column.width - 1)}+` : shown;
}

interface Row {
  readonly process: ThreadedProcess;
  readonly branch: string;
}

/** Children below their parents, as `ps f` shows them. */
function forest(processes: readonly ThreadedProcess[]): Row[] {
  const pids = new Set(processes.map(({ pid }) => pid));
  const below = (parent: number, branch: string): Row[] =>
    processes
      .filter(({ ppid }) => ppid === parent)
      .flatMap((process) => [{ process, branch }, ...below(process.pid, "\\_ ")]);
  return processes
    .filter(({ ppid }) => !pids.has(ppid))
    .flatMap((process) => [{ process, branch: "" }, ...below(process.pid, "\\_ ")]);
}
