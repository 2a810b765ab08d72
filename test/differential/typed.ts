import type { TSchema } from "#api-schema/go";
import { type GoStructField, type GoType, reflect } from "../../src/api/reflect.ts";
import { poolsOf } from "./pools.ts";
import type { Random } from "./random.ts";

/*
 * Bodies by the schema of what dockerd decodes: every field that it knows, at any depth, gets values that mean something,
 * the limits of its Go type, what is beyond them, and values of other types.
 */

type GoStruct = Extract<GoType, { kind: "struct" }>;

/** How many fields of each struct are set, on average. */
const fieldsSet = 2;
const chanceOfPool = 0.75;
const chanceOfOtherType = 0.08;

const otherTypes = [null, true, 0, -1, 1.5, "x", "", [], [1], [null], {}, { a: 1 }, { a: null }];
const words = ["", "x", "a b", "a:b", "a=b", "/x", "é<&>\u2028", "x".repeat(300)];

/** What else a container could be given here would change the host, or make a request wait. */
const onlyFromPool = new Set(["CgroupParent", "StopTimeout", "RestartPolicy"]);

export function randomBody(random: Random, schema: TSchema, given: Readonly<Record<string, unknown>> = {}): unknown {
  const type = reflect(schema);
  if (type.kind !== "struct") throw new Error(`${type.name} is no struct`);
  return { ...struct(random, type), ...given };
}

function struct(random: Random, type: GoStruct): Record<string, unknown> {
  const pools = poolsOf(type.name);
  const chosen = random.some(type.fields, fieldsSet / type.fields.length);
  return Object.fromEntries(chosen.map((field) => [field.key, fieldValue(random, field, pools[field.key])]));
}

function fieldValue(random: Random, field: GoStructField, pool: readonly unknown[] | undefined): unknown {
  if (pool !== undefined && (onlyFromPool.has(field.key) || random.isLucky(chanceOfPool))) return random.pick(pool);
  return value(random, field.type);
}

function value(random: Random, type: GoType): unknown {
  if (random.isLucky(chanceOfOtherType)) return random.pick(otherTypes);
  switch (type.kind) {
    case "string":
    case "time":
      return random.pick(words);
    case "bool":
      return random.pick([true, false]);
    case "float":
    case "any":
      return random.pick(otherTypes);
    case "integer":
      return random.pick(integersAround(type.min, type.max));
    case "ptr":
      return value(random, type.item);
    case "strslice":
      return random.pick([...words, words, [], [null, "x"]]);
    case "slice":
    case "tuple":
      return Array.from({ length: random.pick([0, 1, 1, 2, 3]) }, () => value(random, type.item));
    case "map":
      return Object.fromEntries(random.some(words, 0.2).map((word) => [word, value(random, type.item)]));
    case "struct":
      return struct(random, type);
    default:
      return type satisfies never;
  }
}

/** JavaScript's numbers end before Go's do. */
const integersAround = (min: bigint, max: bigint): readonly unknown[] =>
  [0n, 1n, -1n, 7n, 4096n, 2n ** 53n + 1n, min, min - 1n, max, max + 1n].map(exact).concat(1.5, rawJson("1e2"));

const rawJson = (text: string): unknown => JSON.rawJSON(text);
const exact = (value: bigint): unknown => rawJson(String(value));
