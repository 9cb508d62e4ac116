import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { describe, test } from 'node:test';
import {
  type AsyncApi,
  apiBreaks,
  codeBreaks,
  type OpenApi,
  topicBreaks,
} from './contract-breaks.ts';

// Callers of the released version must not stumble over this one: docs/reference against what is kept
// of that version (`node tests/compatibility/make.ts`).
const here = (...names: string[]) => path.join(import.meta.dirname, ...names);
const contracts = here('released', 'contracts');
const reference = here('..', '..', 'docs', 'reference');
const read = (folder: string, name: string) => readFileSync(path.join(folder, name), 'utf8');
const apis = readdirSync(contracts).filter((name) => name.startsWith('openapi-'));

describe('the contracts keep what was released', () => {
  test('nothing is gone or asks for more, but for what was agreed', () => {
    assert.equal(apis.length, 4);
    const found = apis.flatMap((name) => {
      const [released, current] = [contracts, reference].map((it) => JSON.parse(read(it, name)));
      return apiBreaks(released, current);
    });
    const topics = [contracts, reference].map((it) => JSON.parse(read(it, 'asyncapi.json')));
    found.push(...topicBreaks(topics[0], topics[1]));
    const [before = '', now = ''] = [contracts, reference].map((it) => read(it, 'errors.md'));
    assert.ok((before.match(/^\| `/gm) ?? []).length > 30);
    found.push(...codeBreaks(before, now));
    const agreed: Record<string, string> = JSON.parse(read(here(), 'agreed-breaks.json'));
    assert.deepEqual(found.sort(), Object.keys(agreed).sort());
  });

  /** Plants a break into a copy of a document and says what is found. */
  const planted = (name: string, plant: (api: Draft) => void): string => {
    const released: OpenApi = JSON.parse(read(reference, name));
    const current: Draft = JSON.parse(read(reference, name));
    plant(current);
    return apiBreaks(released, current).join('\n');
  };
  const ingest = 'openapi-event-ingest.json';
  const crdt = 'openapi-crdt-sync.json';

  test('a path, a method or a parameter that is gone is found', () => {
    const path = planted(ingest, ({ paths }) => delete paths['/v1/events']);
    assert.match(path, /^POST \/v1\/events: the operation is gone$/);
    const parameter = planted(crdt, ({ paths }) => {
      const get = paths['/v1/counters/{name}'].get;
      get.parameters = get.parameters.filter((it: Draft) => it.name !== 'read');
    });
    assert.match(parameter, /^GET \/v1\/counters\/\{name\} query read: the parameter is gone$/);
  });

  test('what is newly required, narrower or not told any more is found', () => {
    const event = (change: (schema: Draft) => void) =>
      planted(ingest, ({ components }) => change(components.schemas.EventToAppend));
    assert.match(
      event((it) => it.required.push('source')),
      /\.source: the field is required now/,
    );
    assert.match(
      event((it) => delete it.properties.causationId),
      /\.causationId: the field is gone/,
    );
    assert.match(
      event((it) => {
        it.properties.type.maxLength = 20;
      }),
      /\.type: maxLength is lower/,
    );
    assert.match(
      event((it) => {
        it.properties.type.type = 'integer';
      }),
      /\.type: the type was string, is integer/,
    );
    const answer = planted(
      ingest,
      ({ components }) => delete components.schemas.AppendAnswer.properties.token,
    );
    assert.match(answer, /POST \/v1\/events 201\.token: the field is gone/);
    const read = planted(crdt, ({ paths }) => {
      const parameter = paths['/v1/counters/{name}'].get.parameters.find(
        (it: Draft) => it.name === 'read',
      );
      parameter.schema.enum = ['local'];
    });
    assert.match(read, /query read: quorum is not taken any more/);
  });

  test('a topic, a field of its messages or a code that is gone is found', () => {
    const released: AsyncApi = JSON.parse(read(reference, 'asyncapi.json'));
    const current: Draft = structuredClone(released);
    delete current.channels['memory-alerts'];
    delete current.components.messages['memory-views'].payload.$defs.ViewFeedLine.properties
      .partition;
    const found = topicBreaks(released, current).join('\n');
    assert.match(found, /memory-alerts: the topic is gone/);
    assert.match(found, /^memory-views\.partition: the field is gone$/m);
    const errors = read(reference, 'errors.md');
    const other = errors
      .replace('| `id_reused` | 409', '| `id_reused` | 400')
      .replace(/\| `overloaded` .*\n/, '');
    assert.deepEqual(
      codeBreaks(errors, other),
      [
        'overloaded: was 429 | transient, is gone',
        'id_reused: was 409 | permanent, is 400 | permanent',
      ].sort(
        (a, b) => errors.indexOf(a.split(':')[0] ?? '') - errors.indexOf(b.split(':')[0] ?? ''),
      ),
    );
  });

  test('more is no break: new fields of answers, new optional inputs, new operations', () => {
    const found = planted(ingest, ({ paths, components }) => {
      paths['/v1/more'] = paths['/v1/events'];
      components.schemas.AppendAnswer.properties.more = { type: 'string' };
      components.schemas.EventToAppend.properties.more = { type: 'string' };
    });
    assert.equal(found, '');
  });
});

/** A document that is changed for a test, whatever is in it. */
// biome-ignore lint/suspicious/noExplicitAny: any place of a JSON document may be changed.
type Draft = any;
