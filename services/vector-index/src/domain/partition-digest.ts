import { memoryRow } from './memory-row.ts';
import type { EventLine } from './ports.ts';
import { rowDigest } from './row-digest.ts';

/** What the index must hold of a partition, worked out from lines of its own records alone. */
export class PartitionDigest {
  rows = 0;
  #digest = 0n;

  /** @param home where the record is in the log, see `homeOf` */
  add(line: EventLine, home = line.partition): void {
    if (line.applied === false || memoryRow(line.event) === undefined) return;
    this.rows++;
    this.#digest = BigInt.asUintN(64, this.#digest + rowDigest(line, home));
  }

  /** As `GET /v1/index` tells it: 16 hex digits. */
  get hex(): string {
    return this.#digest.toString(16).padStart(16, '0');
  }
}
