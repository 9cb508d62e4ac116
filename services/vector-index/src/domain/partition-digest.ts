import { memoryRow } from './memory-row.ts';
import type { EventLine } from './ports.ts';
import { rowDigest } from './row-digest.ts';

/** What the index must hold of a partition, worked out from its lines alone. */
export class PartitionDigest {
  rows = 0;
  #digest = 0n;

  add(line: EventLine): void {
    if (line.applied === false || memoryRow(line.event) === undefined) return;
    this.rows++;
    this.#digest = BigInt.asUintN(64, this.#digest + rowDigest(line));
  }

  /** As `GET /v1/index` tells it: 16 hex digits. */
  get hex(): string {
    return this.#digest.toString(16).padStart(16, '0');
  }
}
