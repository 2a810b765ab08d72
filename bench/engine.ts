import { must } from "#test/command";
import { HttpClient } from "#test/http";

/** One engine under the stopwatch, ours or dockerd: the same work, through the same doors. */
export class Engine {
  readonly name: string;
  readonly host: string;
  /** Goes before a command that is to see the engine's network. */
  readonly prefix: readonly string[];
  readonly #http: HttpClient;
  readonly #environment: Record<string, string>;

  constructor(name: string, host: string, place: { readonly prefix: readonly string[]; readonly cliConfig: string }) {
    this.name = name;
    this.host = host;
    this.prefix = place.prefix;
    this.#http = new HttpClient(host.replace(/^unix:\/\//, ""));
    this.#environment = { DOCKER_HOST: host, DOCKER_CONFIG: place.cliConfig };
  }

  docker(...argv: string[]): Promise<string> {
    return must(["docker", ...argv], { env: this.#environment, timeoutMs: 900_000 });
  }

  /** A line for sh in which `docker` is this engine's. */
  shell(line: string): Promise<string> {
    return must(["sh", "-c", line], { env: this.#environment, timeoutMs: 900_000 });
  }

  /** Create, start, wait, remove: one container's life without the CLI's own weight. */
  async lifeByApi({ portCount = 0 } = {}): Promise<void> {
    const id = await this.create({ portCount });
    await this.start(id);
    await this.#call("POST", `/containers/${id}/wait`);
    await this.remove(id);
  }

  /** A container that ends at once, with so many ports published from 30000 on. */
  async create({ name = "", portCount = 0 } = {}): Promise<string> {
    const ports = Array.from({ length: portCount }, (_, i) => i + 1);
    const ofEach = <T>(what: (port: number) => T) =>
      Object.fromEntries(ports.map((port) => [`${port}/tcp`, what(port)]));
    const { Id } = (await this.#call("POST", `/containers/create?name=${name}`, {
      Image: "busybox",
      Cmd: ["true"],
      ExposedPorts: ofEach(() => ({})),
      HostConfig: {
        PortBindings: ofEach((port) => [{ HostPort: String(30_000 + port) }]),
      },
    })) as { Id: string };
    return Id;
  }

  async start(container: string): Promise<void> {
    await this.#call("POST", `/containers/${container}/start`);
  }

  async remove(container: string): Promise<void> {
    await this.#call("DELETE", `/containers/${container}?force=1`);
  }

  async execByApi(container: string): Promise<void> {
    const created = await this.#call("POST", `/containers/${container}/exec`, { Cmd: ["true"], AttachStdout: true });
    const { Id } = created as { Id: string };
    await this.#call("POST", `/exec/${Id}/start`, { Detach: false });
  }

  async connect(network: string, container: string): Promise<void> {
    await this.#call("POST", `/networks/${network}/connect`, { Container: container });
  }

  async disconnect(network: string, container: string): Promise<void> {
    await this.#call("POST", `/networks/${network}/disconnect`, { Container: container });
  }

  async list(): Promise<void> {
    await this.#call("GET", "/containers/json?all=1");
  }

  async images(): Promise<void> {
    await this.#call("GET", "/images/json");
  }

  /** A new image of what the container `name` is. */
  async commitOf(name: string, reference: string): Promise<void> {
    const [repo = "", tag = ""] = reference.split(":");
    await this.#call("POST", `/commit?container=${name}&repo=${repo}&tag=${tag}&comment=${tag}`, {});
  }

  /** The answer as JSON where it is JSON. */
  async #call(method: string, path: string, body?: object): Promise<unknown> {
    const reply = await this.#http.send(method, path, body === undefined ? {} : { body });
    if (reply.status >= 400) throw new Error(`${this.name}: ${method} ${path}: ${reply.status} ${reply.text}`);
    return String(reply.headers["content-type"]).startsWith("application/json") ? reply.json() : undefined;
  }
}
