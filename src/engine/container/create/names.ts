import { randomInt } from "node:crypto";
import { shortId } from "#base/ids";
import type { ContainerIndex } from "../container-index.ts";

const moods =
  "able amused bold brave breezy bright bubbly calm candid careful cheerful clever cosy curious daring dazzling eager easy elated fair famous festive fluent fond frank fresh friendly gentle glad golden graceful happy hardy hasty helpful honest hopeful humble jolly keen kind lively loyal lucid lucky mellow merry mighty modest neat nimble noble patient playful plucky polite proud quick quiet quirky rapid ready relaxed robust rosy serene sharp silent sleepy smart snappy spry steady stoic sturdy sunny swift tender thrifty tidy trusty upbeat vivid warm wise witty zealous".split(
    " ",
  );
/** People who made the ground that this engine stands on. */
const people =
  "allen babbage backus bartik borg boole brooks cerf cheriton church clark codd corbato cray curie diffie dijkstra engelbart euler floyd frege gauss goldberg gosling hamilton hamming hejlsberg hellman hoare hollerith hopper huffman iverson kahan kahn karp kay kernighan kilby knuth lamport leibniz liskov lovelace mccarthy mcilroy meitner metcalfe milner minsky moore naur neumann newell noether norris noyce nygaard ousterhout pascal perlis peterson pike postel rabin ramanujan ritchie rivest sammet shannon shamir simon stallman stroustrup sutherland tarjan thompson torvalds turing wall wilkes wirth yao zuse".split(
    " ",
  );

const tries = 6;

const pick = (words: readonly string[]): string => words[randomInt(words.length)] ?? "nameless";

/** Finds and holds a free name like `brave_hopper`; after six taken ones, the short id. */
export function reserveRandomName(index: ContainerIndex, id: string): string {
  for (let n = 0; n < tries; n++) {
    const name = `${pick(moods)}_${pick(people)}`;
    if (index.holderOf(name) !== undefined) continue;
    index.reserve(name, id);
    return name;
  }
  const name = shortId(id);
  index.reserve(name, id);
  return name;
}
