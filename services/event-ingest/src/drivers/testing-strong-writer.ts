/** Counts up in a strong store, and tells each number once it is durable, until it is killed. */
import { RocksStrong } from './rocks-strong.ts';

const KEY = 'default.counter';
const store = await RocksStrong.open(process.argv[2] ?? '');
let version = (await store.get(KEY))?.version;
let count = Number((await store.get(KEY))?.value ?? 0);
for (;;) {
  const next = String(++count);
  const outcome =
    version === undefined
      ? await store.create(KEY, next)
      : await store.compareAndSet(KEY, next, version);
  if (outcome.kind !== 'written') throw new Error(`not written: ${outcome.kind}`);
  version = outcome.version;
  process.stdout.write(`${next}\n`);
}
