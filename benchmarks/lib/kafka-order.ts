import type { NewRecord } from '@memplane/event-log';
import { openKafkaReader } from '@memplane/event-log/kafka';
import type { ServerProcess } from '@memplane/stack';
import type { KafkaClient } from './kafka-clients.ts';

export interface Verdict {
  readonly client: string;
  readonly acknowledged: number;
  readonly refused: number;
  /** Acknowledged, and not in the log. */
  readonly lost: number;
  readonly twice: number;
  /** Behind a record that was sent later. */
  readonly 'out of order': number;
}

const PARTITIONS = 4;
/** Sends under way per partition, each begun before the last one has ended. */
const OVERLAP = 4;

function numbered(partition: number, n: number): NewRecord {
  const hlc = BigInt(Date.now()) << 16n;
  const digest = Buffer.alloc(16);
  const value = Buffer.from(`{"n":${n}}`);
  const key = `p${partition}/${n}`;
  return { partition, key, value, hlc, idDigest: digest, contentDigest: digest };
}

/** What a client made of a topic while the broker was killed and came back. */
class Ledger {
  readonly #client: KafkaClient;
  readonly #acknowledged = new Set<string>();
  #refused = 0;
  #isStopping = false;

  constructor(client: KafkaClient) {
    this.#client = client;
  }

  async run(): Promise<void> {
    await Promise.all(Array.from({ length: PARTITIONS }, (_, p) => this.#partition(p)));
  }

  stop(): void {
    this.#isStopping = true;
  }

  async verdict(brokers: readonly string[], topic: string): Promise<Verdict> {
    const reader = await openKafkaReader({ brokers, topic, partitionsInitial: PARTITIONS });
    const seen = new Set<string>();
    let twice = 0;
    let unordered = 0;
    for (let partition = 0; partition < PARTITIONS; partition++) {
      const { end } = await reader.bounds(partition);
      let highest = -1;
      for (let next = 0; next < end; ) {
        const records = await reader.read(partition, next, { maxBytes: 1024 * 1024 });
        for (const { key, offset } of records) {
          next = offset + 1;
          const n = Number(key.split('/')[1]);
          if (seen.has(key)) twice++;
          else if (n < highest) unordered++;
          seen.add(key);
          highest = Math.max(highest, n);
        }
      }
    }
    await reader.close();
    const lost = [...this.#acknowledged].filter((key) => !seen.has(key)).length;
    return {
      client: this.#client.name,
      acknowledged: this.#acknowledged.size,
      refused: this.#refused,
      lost,
      twice,
      'out of order': unordered,
    };
  }

  async #partition(partition: number): Promise<void> {
    const underWay = new Set<Promise<void>>();
    for (let n = 0; !this.#isStopping; n++) {
      const record = numbered(partition, n);
      const sent: Promise<void> = this.#client
        .send([record])
        .then(
          () => void this.#acknowledged.add(record.key),
          () => void this.#refused++,
        )
        .finally(() => underWay.delete(sent));
      underWay.add(sent);
      if (underWay.size >= OVERLAP) await Promise.race(underWay);
      await new Promise((resolve) => setTimeout(resolve, 2));
    }
    await Promise.all(underWay);
  }
}

/** All clients send, each to its topic, while the broker is killed and started again. */
export async function killAmidSends(
  broker: ServerProcess,
  brokers: readonly string[],
  clients: ReadonlyMap<string, KafkaClient>,
  kills: number,
): Promise<Verdict[]> {
  const ledgers = [...clients].map(([topic, client]) => ({ topic, ledger: new Ledger(client) }));
  const runs = ledgers.map(({ ledger }) => ledger.run());
  const pause = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));
  for (let i = 0; i < kills; i++) {
    await pause(2_000);
    await broker.kill();
    await pause(500);
    await broker.start();
    await pause(3_000);
  }
  for (const { ledger } of ledgers) ledger.stop();
  await Promise.race([Promise.all(runs), pause(60_000)]);
  return Promise.all(ledgers.map(({ topic, ledger }) => ledger.verdict(brokers, topic)));
}

export const ORDER_PARTITIONS = PARTITIONS;
