/** The worker's entry: beside this file in the sources, beside the bundle (dist/minidockd.js) when there is one. */
export function workerUrl(): URL {
  const isSource = import.meta.url.endsWith(".ts");
  return new URL(isSource ? "./storage-worker.ts" : "./storage-worker.js", import.meta.url);
}
