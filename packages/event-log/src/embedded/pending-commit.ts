import type { MemplaneError } from '@memplane/contracts';
import type { NewRecord } from '../port.ts';
import {
  encodeFooter,
  encodeFrameHeader,
  FOOTER_BYTES,
  type FrameGroup,
  frameHeaderBytes,
  RECORD_HEADER_BYTES,
} from './format.ts';
import { Stage } from './stage.ts';

interface Waiting {
  readonly offsets: number[];
  readonly resolve: (offsets: number[]) => void;
  readonly reject: (error: MemplaneError) => void;
}

/** What a waiting record is counted as, in bytes. */
export function waitingBytesOf(record: NewRecord): number {
  return RECORD_HEADER_BYTES + record.key.length + record.value.length;
}

/** The appends that share one frame and one sync. Its memory is used again for later ones. */
export class PendingCommit {
  readonly #stages: (Stage | undefined)[];
  #touched: Stage[] = [];
  #waiting: Waiting[] = [];
  #highestHlc = 0n;
  count = 0;
  /** When the oldest of its appends came, by the monotonic clock. */
  beganAtMs = 0;

  constructor(partitions: number) {
    this.#stages = new Array(partitions);
  }

  get isEmpty(): boolean {
    return this.#waiting.length === 0;
  }

  get highestHlc(): bigint {
    return this.#highestHlc;
  }

  get touched(): readonly Stage[] {
    return this.#touched;
  }

  get frameBytes(): number {
    let bytes = frameHeaderBytes(this.#touched.length) + FOOTER_BYTES;
    for (const stage of this.#touched) bytes += stage.used;
    return bytes;
  }

  /** Encodes the records; `nextOffsets` (per partition) is moved on. */
  add(records: readonly NewRecord[], nextOffsets: number[], nowMs: number): Promise<number[]> {
    if (this.isEmpty) this.beganAtMs = nowMs;
    const offsets = new Array<number>(records.length);
    for (let i = 0; i < records.length; i++) {
      const record = records[i] as NewRecord;
      const offset = nextOffsets[record.partition] ?? 0;
      this.#stageOf(record.partition).add(record, offset);
      nextOffsets[record.partition] = offset + 1;
      offsets[i] = offset;
      if (record.hlc > this.#highestHlc) this.#highestHlc = record.hlc;
    }
    this.count += records.length;
    return new Promise((resolve, reject) => this.#waiting.push({ offsets, resolve, reject }));
  }

  /** The frame to write at `position` of `segment`, in parts; completes the index entries. */
  seal(segment: number, position: number, commit: number, highestHlc: bigint): Uint8Array[] {
    const touched = this.#touched.sort((a, b) => a.partition - b.partition);
    const groups: FrameGroup[] = touched.map((stage) => ({
      partition: stage.partition,
      count: stage.count,
      firstOffset: stage.firstOffset,
      bytes: stage.used,
    }));
    const length = this.frameBytes;
    const header = encodeFrameHeader({ length, commit, count: this.count, highestHlc, groups });
    const parts: Uint8Array[] = [header];
    let at = position + header.length;
    for (const stage of touched) {
      stage.place(segment, at);
      parts.push(stage.bytes.subarray(0, stage.used));
      at += stage.used;
    }
    parts.push(encodeFooter(header));
    return parts;
  }

  resolveAll(): void {
    for (const waiting of this.#waiting) waiting.resolve(waiting.offsets);
  }

  rejectAll(error: MemplaneError): void {
    for (const waiting of this.#waiting) waiting.reject(error);
  }

  reset(): void {
    for (const stage of this.#touched) stage.reset();
    this.#touched = [];
    this.#waiting = [];
    this.#highestHlc = 0n;
    this.count = 0;
  }

  #stageOf(partition: number): Stage {
    let stage = this.#stages[partition];
    if (stage === undefined) {
      stage = new Stage(partition);
      this.#stages[partition] = stage;
    }
    if (stage.count === 0) this.#touched.push(stage);
    return stage;
  }
}
