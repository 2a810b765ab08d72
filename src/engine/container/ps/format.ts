import { EngineError } from "#base/errors";
import type { Listing } from "./arguments.ts";
import type { Column } from "./columns.ts";
import type { Machine, Process } from "./process.ts";

export interface ContainerTop {
  readonly Processes: string[][];
  readonly Titles: string[];
}

/** Goes through the text that ps would have printed: a blank inside a column moves what follows it, as it does for dockerd. */
export function format(listing: Listing, processes: readonly Process[], machine: Machine): ContainerTop {
  const titles = listing.hasTitles ? fieldsOf(listing.columns.map(({ title }) => title).join(" ")) : [];
  const pidIndex = titles.indexOf("PID");
  if (pidIndex < 0) throw new EngineError("system", "Couldn't find PID field in ps output");
  const rows = listing.isForest ? forest(processes) : processes.map((process) => ({ process, branch: "" }));
  return {
    Titles: titles,
    Processes: rows.map(({ process, branch }) => {
      const fields = fieldsOf(listing.columns.map((column) => cell(column, process, machine, branch)).join(" "));
      const pid = fields[pidIndex] ?? "";
      if (!/^[+-]?\d+$/.test(pid)) {
        throw new EngineError("system", `Unexpected pid '${pid}': strconv.Atoi: parsing "${pid}": invalid syntax`);
      }
      const last = titles.length - 1;
      return [...fields.slice(0, last), fields.slice(last).join(" ")];
    }),
  };
}

const fieldsOf = (line: string): string[] => line.split(/[\t\n\f\r ]+/).filter((field) => field !== "");

const commandTitles = new Set(["CMD", "COMMAND"]);

function cell(column: Column, process: Process, machine: Machine, branch: string): string {
  const text = column.text(process, machine);
  const shown = commandTitles.has(column.title) ? branch + text : text;
  return column.width !== undefined && shown.length > column.width ? `${shown.slice(0, column.width - 1)}+` : shown;
}

interface Row {
  readonly process: Process;
  readonly branch: string;
}

/** Children below their parents, as `ps f` shows them. */
function forest(processes: readonly Process[]): Row[] {
  const pids = new Set(processes.map(({ pid }) => pid));
  const below = (parent: number, branch: string): Row[] =>
    processes
      .filter(({ ppid }) => ppid === parent)
      .flatMap((process) => [{ process, branch }, ...below(process.pid, "\\_ ")]);
  return processes
    .filter(({ ppid }) => !pids.has(ppid))
    .flatMap((process) => [{ process, branch: "" }, ...below(process.pid, "\\_ ")]);
}
