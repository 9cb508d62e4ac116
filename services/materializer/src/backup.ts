/** What a backup of a plane, and its restoration, need of the views without the service. */
export { decodeSegment, encodeSegment } from './domain/archive-format.ts';
export { SegmentBody } from './domain/segment-body.ts';
export { adoptSnapshot, checkSnapshot, type SnapshotToAdopt } from './drivers/adopt-snapshot.ts';
