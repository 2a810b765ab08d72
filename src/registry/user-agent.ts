/** A registry sees who asked the engine, too (moby dockerversion.DockerUserAgent). */
export const userAgentFor = (own: string, client = ""): string =>
  client === "" ? own : `${own} UpstreamClient(${client.replace(/[;()\\]/g, "\\$&")})`;
