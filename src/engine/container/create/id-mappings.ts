/**
 * `idmap=uids=1000-0-1;gids=1000-0-1` in the mode of `-v`, as crun and podman spell it: an extension. Of each range the first
 * id of the files, the first id that the container sees, and how many; ranges are joined by "#". Other ids are nobody's there.
 */
import type { IdMapping, IdMappings } from "#base/id-mappings";

export const isIdmapWord = (word: string): boolean => parseWord(word) !== undefined;

/** Of a whole mode, "rw,idmap=…". */
export const idMappingsOf = (mode: string): IdMappings | undefined => {
  const word = mode.split(",").find(isIdmapWord);
  return word === undefined ? undefined : parseWord(word);
};

/** Both lists are needed: containers have no user namespace that could say the rest. */
function parseWord(word: string): IdMappings | undefined {
  const lists = /^idmap=(uids|gids)=([^;]+);(uids|gids)=([^;]+)$/.exec(word);
  if (lists === null) return undefined;
  const [, first = "", ranges = "", second = "", others = ""] = lists;
  const found = new Map([
    [first, parseRanges(ranges)],
    [second, parseRanges(others)],
  ]);
  const [uids, gids] = [found.get("uids"), found.get("gids")];
  return uids === undefined || gids === undefined ? undefined : { uids, gids };
}

function parseRanges(text: string): IdMapping[] | undefined {
  const ranges = text.split("#").map(parseRange);
  return ranges.every((range) => range !== undefined) ? ranges : undefined;
}

const mostIds = 2 ** 32 - 1;

function parseRange(text: string): IdMapping | undefined {
  const numbers = /^(\d+)-(\d+)-([1-9]\d*)$/.exec(text)?.slice(1).map(Number);
  if (numbers === undefined || numbers.some((number) => number > mostIds)) return undefined;
  const [containerID = 0, hostID = 0, size = 0] = numbers;
  return { containerID, hostID, size };
}
