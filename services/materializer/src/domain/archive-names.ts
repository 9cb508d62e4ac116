/**
 * Names in the blob store. Numbers have leading zeroes, so that names sort as they do; manifests
 * are named by (owner epoch, offset), and the highest counts.
 */
export interface SegmentName {
  readonly name: string;
  readonly firstOffset: number;
  readonly lastOffset: number;
  /** Of the owner that wrote it. */
  readonly ownerEpoch: number;
}

export interface ManifestName {
  readonly name: string;
  readonly ownerEpoch: number;
  readonly offset: number;
}

const OFFSET_DIGITS = 16;
const EPOCH_DIGITS = 10;

/** @param kind `archive` or `snapshots` */
function folder(kind: string, logId: string, partition: number): string {
  return `${kind}/${logId}/${String(partition).padStart(4, '0')}`;
}

export function segmentFolder(logId: string, partition: number): string {
  return `${folder('archive', logId, partition)}/segments/`;
}

export function segmentName(
  logId: string,
  partition: number,
  range: { readonly firstOffset: number; readonly lastOffset: number },
  ownerEpoch: number,
): string {
  const { firstOffset, lastOffset } = range;
  const parts = [digits(firstOffset), digits(lastOffset), epochDigits(ownerEpoch)];
  return `${segmentFolder(logId, partition)}${parts.join('-')}`;
}

export function parseSegmentName(name: string): SegmentName | undefined {
  const match = /\/(\d{16})-(\d{16})-(\d{10})$/.exec(name);
  if (match === null) return undefined;
  const [firstOffset = 0, lastOffset = 0, ownerEpoch = 0] = match.slice(1).map(Number);
  return { name, firstOffset, lastOffset, ownerEpoch };
}

export type ManifestKind = 'archive' | 'snapshots';

export function manifestFolder(kind: ManifestKind, logId: string, partition: number): string {
  return `${folder(kind, logId, partition)}/manifests/`;
}

export function manifestName(
  kind: ManifestKind,
  logId: string,
  partition: number,
  position: { readonly ownerEpoch: number; readonly offset: number },
): string {
  const { ownerEpoch, offset } = position;
  const base = manifestFolder(kind, logId, partition);
  return `${base}${epochDigits(ownerEpoch)}-${digits(offset)}`;
}

export function parseManifestName(name: string): ManifestName | undefined {
  const match = /\/(\d{10})-(\d{16})$/.exec(name);
  if (match === null) return undefined;
  return { name, ownerEpoch: Number(match[1]), offset: Number(match[2]) };
}

export function snapshotName(
  logId: string,
  partition: number,
  position: { readonly ownerEpoch: number; readonly offset: number },
): string {
  const { ownerEpoch, offset } = position;
  const base = folder('snapshots', logId, partition);
  return `${base}/states/${epochDigits(ownerEpoch)}-${digits(offset)}`;
}

function digits(offset: number): string {
  return String(offset).padStart(OFFSET_DIGITS, '0');
}

function epochDigits(epoch: number): string {
  return String(epoch).padStart(EPOCH_DIGITS, '0');
}
