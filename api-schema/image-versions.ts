/** How answers about images differ for older API versions (moby api/server/router/image/image_routes.go). */
import type { ImageInspect, ImageSummary } from "#api-schema/image";
import { isOlder } from "#api-schema/versions";

export function imageSummaryFor(version: string, newest: ImageSummary): ImageSummary {
  const summary = usedImageFor(version, newest);
  if (!isOlder(version, "1.43")) {
    summary.RepoTags ??= [];
    summary.RepoDigests ??= [];
  } else if (newest.RepoTags === null && newest.RepoDigests === null) {
    summary.RepoTags = ["<none>:<none>"];
    summary.RepoDigests = ["<none>@<none>"];
  }
  if (isOlder(version, "1.51")) summary.Containers = -1;
  return summary;
}

/** The same in `GET /system/df`, where names that are not there stay null. */
export function usedImageFor(version: string, newest: ImageSummary): ImageSummary {
  return isOlder(version, "1.44") ? { ...newest, VirtualSize: newest.Size } : { ...newest };
}

const zeroTime = "0001-01-01T00:00:00Z";

export function imageInspectFor(version: string, newest: ImageInspect): ImageInspect {
  const image = { ...newest };
  if (isOlder(version, "1.44")) {
    image.VirtualSize = newest.Size;
    image.Created = newest.Created || zeroTime;
  }
  if (!isOlder(version, "1.45")) {
    image.Container = "";
    image.ContainerConfig = null;
  }
  return image;
}

/** Fields of an image's config that meant nothing, and went with 1.50. */
export const legacyConfigFields = {
  AttachStderr: false,
  AttachStdin: false,
  AttachStdout: false,
  Domainname: "",
  Hostname: "",
  Image: "",
  OpenStdin: false,
  StdinOnce: false,
  Tty: false,
};
