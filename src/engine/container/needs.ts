import { linksOf } from "../network/links/legacy-links.ts";
import { containerOf } from "../spec/modes.ts";
import type { Container } from "./container.ts";
import type { ContainerContext } from "./context.ts";

/** Whose namespaces a container joins, and who it has links to: they must run before it. */
export function needsOf({ index }: ContainerContext, { record }: Container): Container[] {
  const { NetworkMode, IpcMode, PidMode } = record.hostConfig;
  const joined = [NetworkMode, IpcMode, PidMode].map(containerOf);
  const linked = linksOf(record, (reference) => index.find(reference)?.record).map(({ child }) => child.id);
  return [...joined, ...linked].flatMap((reference) => (reference && index.find(reference)) || []);
}
