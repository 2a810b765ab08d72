import type { Random } from "./random.ts";

/** What clients, editors and attackers do to a JSON text. Go takes some of it. */
const texts: readonly ((text: string) => string)[] = [
  () => "",
  () => "null",
  () => "{}",
  () => "x",
  () => "[".repeat(20_000),
  (text) => `\ufeff${text}`,
  (text) => `\n ${text}\n`,
  (text) => `${text} x`,
  (text) => `${text}${text}`,
  (text) => text.slice(0, -1),
  (text) => text.replaceAll('"', "'"),
  (text) => text.replace(/"(\w+)":/, (key) => `${key}null,${key}`),
  (text) => text.replace(/^\{/, '{"nope":{"deep":[1,{}]},'),
  (text) => text.replace(/^\{/, '{"Image":"nosuch","Image":null,'),
  (text) => text.replace(/:-?\d+(?=[,}])/, ":1e400"),
  (text) => text.replace(/:-?\d+(?=[,}])/, ":012"),
  (text) => text.replaceAll(/"(\w+)":/g, (key) => key.toLowerCase()),
  (text) => text.replaceAll(/"(\w+)":/g, (key) => key.toUpperCase()),
  (text) => text.replace(/:"/, ':"\\ud800 '),
  (text) => text.replace(/:"/, ':"\\x'),
  (text) => text.replace(/:"/, ':"\t'),
];

const contentTypes = ["text/plain", "", "application/json; x", "application/json; charset=utf-8", "APPLICATION/JSON"];

export interface Sent {
  readonly body: string;
  readonly headers: Readonly<Record<string, string>>;
}

export function sent(random: Random, body: unknown): Sent {
  const text = typeof body === "string" ? body : JSON.stringify(body);
  return {
    body: random.isLucky(0.08) ? random.pick(texts)(text) : text,
    headers: { "Content-Type": random.isLucky(0.03) ? random.pick(contentTypes) : "application/json" },
  };
}
