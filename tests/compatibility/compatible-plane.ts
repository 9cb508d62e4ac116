import { writeFileSync } from 'node:fs';
import path from 'node:path';
import { DIMENSIONS } from './story.ts';

/** A real, small model, so that there are vectors that the plane has computed itself. */
const MODEL = path.resolve(
  import.meta.dirname,
  '../../services/vector-index/src/testing/onnx-model',
);

/** Settings under which a short story fills archive, snapshots, strong store and index. */
export function planeSettings(folder: string): Record<string, string> {
  const zones = path.join(folder, 'zones.yaml');
  writeFileSync(zones, 'zones: [{match: "session/*", consistency: strong}]\n');
  return {
    MEMPLANE_ZONES: zones,
    MEMPLANE_EMBEDDER_ONNX_DIR: MODEL,
    MEMPLANE_EMBEDDING_DIMENSIONS: String(DIMENSIONS),
    MEMPLANE_PARTITIONS: '3',
    MEMPLANE_ARCHIVE_INTERVAL_MS: '200',
    MEMPLANE_ARCHIVE_TICK_MS: '50',
    MEMPLANE_SHARD_SNAPSHOT_EVENTS_MIN: '5',
    MEMPLANE_SHARD_SNAPSHOT_INTERVAL_MS: '200',
  };
}
