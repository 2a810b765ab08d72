/** What a volume may be called, and who may keep it (moby volume/local, volume/drivers). */
import { EngineError } from "#base/errors";
import { goQuote } from "#base/strconv";

export const localDriver = "local";

const namePattern = /^[a-zA-Z0-9][a-zA-Z0-9_.-]+$/;

/** There are no plugins: any other driver is one that cannot be found. */
export function checkDriver(name: string, driver: string): void {
  if (driver === "" || driver === localDriver) return;
  const message = `create ${name}: error looking up volume plugin ${driver}: plugin ${goQuote(driver)} not found`;
  throw new EngineError("notFound", message);
}

export const isVolumeName = (name: string): boolean => namePattern.test(name);

export function checkName(name: string): void {
  if (name.length === 1) {
    throw new Error("volume name is too short, names should be at least two alphanumeric characters");
  }
  if (isVolumeName(name)) return;
  const rule = 'only "[a-zA-Z0-9][a-zA-Z0-9_.-]" are allowed';
  throw new Error(
    `${goQuote(name)} includes invalid characters for a local volume name, ${rule}. If you intended to pass a host directory, use absolute path`,
  );
}
