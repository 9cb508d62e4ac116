import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { TOPICS } from '@memplane/contracts';
import { CompactedTopic } from '@memplane/event-log/kafka';
import { DaprPublisher } from '@memplane/runtime/dapr';
import { bytesLeft, eventually, formsOfText } from '@memplane/testkit';
import { StrongPlane, type TestAnswer } from '../strong/testing-strong-plane.ts';

const WAIT_MS = 60_000;

export const newSecret = (): string => `s${randomBytes(12).toString('hex')}`;
export const newEntity = (kind: string): string => `${kind}/${randomBytes(6).toString('hex')}`;

/**
 * A plane that seals `patient/*` and `case/*`, the latter strong as `ledger/*` is, and clears soon what
 * is erased.
 */
export class SealedPlane extends StrongPlane {
  startSealed(): Promise<void> {
    const sealed = (match: string, consistency: string) =>
      `  - {match: "${match}/*", consistency: ${consistency}, sealed: true}\n`;
    const zones =
      `zones:\n${sealed('patient', 'eventual')}${sealed('case', 'strong')}` +
      '  - {match: "ledger/*", consistency: strong}\n';
    const settings = async (dir: string) => {
      const keys = join(dir, 'master-keys');
      await writeFile(keys, `k1:${randomBytes(32).toString('base64')}\n`, { mode: 0o600 });
      return {
        MEMPLANE_SEALING_KEYS: keys,
        MEMPLANE_ETCD_ENDPOINTS: this.etcd,
        // One file of its write-ahead log, and some snapshots.
        MEMPLANE_ETCD_TURN_BYTES: String(72 * 1024 * 1024),
        MEMPLANE_ERASURE_POLL_MS: '200',
        MEMPLANE_ZONE_REGISTRATION_MS: '3000',
      };
    };
    return this.start(zones, settings, true);
  }

  get etcd(): string {
    return `127.0.0.1:${this.servers.etcdPorts[0]}`;
  }

  /** Appends by one of the instances, again where it was only not the moment. */
  async say(instance: number, entity: string, id: string, text: string): Promise<TestAnswer> {
    const memory = { id: 'm', text: `the violin of ${text}`, metadata: { about: text } };
    const body = { id, type: 'Said', entity, data: { text }, attributes: { said: text }, memory };
    return eventually(`${id} of ${entity} is appended`, WAIT_MS, async () => {
      const answer = await this.call('POST', `${this.ingests[instance]}/v1/events`, body);
      assert.ok(answer.status === 201 || answer['transient'] === true, JSON.stringify(answer));
      return answer.status === 201 ? answer : undefined;
    });
  }

  viewOf(entity: string, query = ''): Promise<TestAnswer> {
    return this.call('GET', `${this.views}/v1/entities/${entity}${query}`);
  }

  /** Checks what the view of an entity says, once it has what was appended. */
  async isSaid(entity: string, text: string, { token }: TestAnswer): Promise<void> {
    const view = await this.viewOf(entity, `?after=${token}&waitMs=20000`);
    assert.equal(view.status, 200, JSON.stringify(view));
    assert.deepEqual(view['attributes'], { said: text });
  }

  /** The newest message of an entity in `memory-views`, without its envelope. */
  async publishedOf(entity: string): Promise<unknown> {
    await using topic = await CompactedTopic.open({
      brokers: this.servers.brokers,
      topic: TOPICS.views,
    });
    let newest: unknown;
    for await (const records of topic?.records() ?? []) {
      for (const { key, value } of records) {
        if (key === entity) newest = (JSON.parse(value.toString()) as { data: unknown }).data;
      }
    }
    return newest;
  }

  /** Publishes a message of an entity as the materializer does. */
  async publish(entity: string, message: unknown): Promise<void> {
    assert.ok(this.viewsSidecar);
    const publisher = new DaprPublisher(this.viewsSidecar);
    await publisher.publish(TOPICS.views, [{ key: entity, value: message }], {
      timeoutMs: WAIT_MS,
    });
  }

  /** Where files have a text, in whatever form; what is compressed is opened. */
  filesWith(...texts: readonly string[]): string[] {
    const secrets = new Map(texts.map((text) => [text, formsOfText(text)]));
    return bytesLeft(this.servers.dir, secrets);
  }
}
