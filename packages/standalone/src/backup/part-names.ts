import { MANIFEST_NAME } from './manifest.ts';

/** How parts of a backup are called. Numbers have leading zeroes, so that names sort as they do. */
export const PART_NAMES = {
  events: (partition: number, first: number, last: number) =>
    `log/${digits(partition, 4)}/${digits(first, 16)}-${digits(last, 16)}.segment`,
  shard: (partition: number) => `views/${digits(partition, 4)}.snapshot`,
  crdts: (instance: number) => `crdt/states${ofInstance(instance)}.ndjson.zst`,
  vectors: (instance: number) => `vectors/computed${ofInstance(instance)}.ndjson.zst`,
  strong: 'strong/records.ndjson.zst',
} as const;

const OURS =
  /^(?:log\/\d{4}\/\d{16}-\d{16}\.segment|views\/\d{4}\.snapshot|crdt\/states(?:-\d+)?\.ndjson\.zst|vectors\/computed(?:-\d+)?\.ndjson\.zst|strong\/records\.ndjson\.zst)$/;

/** Whether a backup that was cut may have left it. */
export function isPartName(name: string): boolean {
  return OURS.test(name) || name === MANIFEST_NAME;
}

/** The first one, of a plane in one process the only one, goes without a number. */
function ofInstance(instance: number): string {
  return instance === 0 ? '' : `-${instance + 1}`;
}

function digits(value: number, count: number): string {
  return String(value).padStart(count, '0');
}
