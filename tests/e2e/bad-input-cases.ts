import type { PlaneService } from '@memplane/testkit';

/** One request that has to be refused: with this status and code, naming this field. */
export interface BadRequest {
  readonly what: string;
  readonly service: PlaneService;
  readonly method: string;
  readonly path: string;
  readonly body?: unknown;
  readonly headers?: Readonly<Record<string, string>>;
  readonly status: number | readonly number[];
  readonly code: string | RegExp;
  /** What `field` of the problem has to be; absent where no field can be named. */
  readonly field?: string | RegExp;
}

const good = { id: 'good', type: 'T', entity: 'bad/1' };
const raw = (text: string) => Buffer.from(text);
const nested = (depth: number) => `${'['.repeat(depth)}1${']'.repeat(depth)}`;

function append(
  what: string,
  body: unknown,
  code: string | RegExp,
  field: string | RegExp,
  status: number | readonly number[] = 400,
  headers?: Readonly<Record<string, string>>,
): BadRequest {
  const base = { what, service: 'event-ingest', method: 'POST', path: '/v1/events' } as const;
  return { ...base, body, code, field, status, ...(headers ? { headers } : {}) };
}

/** A bad event: alone it is `body…`, within an array the problem names its index. */
function badEvent(what: string, change: Record<string, unknown>, field: string): BadRequest[] {
  const place = new RegExp(`${field.replaceAll('.', '\\.')}`);
  const event = { ...good, ...change };
  return [
    append(what, event, /^invalid_/, place),
    append(
      `${what}, third of an array`,
      [good, { ...good, id: 'g2' }, event],
      /^invalid_/,
      /\[2\]/,
    ),
  ];
}

const SYNTAX: BadRequest[] = [
  append('an empty body', raw(''), 'invalid_json', 'body'),
  append('half an object', raw('{"type":'), 'invalid_json', 'body'),
  append('two documents', raw('{} {}'), 'invalid_json', 'body'),
  append('a comment', raw('/* no */ {}'), 'invalid_json', 'body'),
  append('single quotes', raw("{'type':'T'}"), 'invalid_json', 'body'),
  append('NaN', raw('{"type":"T","entity":"a/b","data":NaN}'), 'invalid_json', 'body'),
  append('Infinity', raw('{"type":"T","entity":"a/b","data":-Infinity}'), 'invalid_json', 'body'),
  append('1e999', raw('{"type":"T","entity":"a/b","data":1e999}'), 'invalid_json', /data/),
  append('a leading zero', raw('{"type":"T","entity":"a/b","data":01}'), 'invalid_json', 'body'),
  append('a raw newline in a text', raw('{"type":"T\n","entity":"a/b"}'), 'invalid_json', 'body'),
  append(
    'a UTF-16 body',
    Buffer.from('{"type":"T"}', 'utf16le'),
    /invalid_(json|encoding)/,
    'body',
  ),
  append(
    'invalid UTF-8',
    Buffer.from('7b2274797065223a22ff22 7d'.replace(' ', ''), 'hex'),
    'invalid_encoding',
    'body',
  ),
  append(
    'an overlong slash',
    Buffer.concat([raw('{"type":"'), Buffer.from([0xc0, 0xaf]), raw('"}')]),
    'invalid_encoding',
    'body',
  ),
  append(
    'a CESU surrogate',
    Buffer.concat([raw('{"type":"'), Buffer.from([0xed, 0xa0, 0x80]), raw('"}')]),
    'invalid_encoding',
    'body',
  ),
  append(
    'a lone surrogate',
    raw('{"type":"T","entity":"a/b","data":"\\ud800"}'),
    'invalid_encoding',
    /data/,
  ),
  append(
    'a lone surrogate as key',
    raw('{"type":"T","entity":"a/b","data":{"\\udc00":1}}'),
    'invalid_encoding',
    /data/,
  ),
  append('65 levels', raw(`{"type":"T","entity":"a/b","data":${nested(64)}}`), 'too_deep', 'body'),
  append('100,000 levels', raw(nested(100_000)), 'too_deep', 'body'),
  append(
    '__proto__ in attributes',
    raw('{"type":"T","entity":"a/b","attributes":{"__proto__":{"x":1}}}'),
    'forbidden_key',
    /attributes/,
  ),
  append(
    '__proto__ deep in data',
    raw('{"type":"T","entity":"a/b","data":[{"a":{"__proto__":1}}]}'),
    'forbidden_key',
    /data/,
  ),
  append(
    '__proto__ written with an escape',
    raw('{"type":"T","entity":"a/b","data":{"\\u005f_proto__":1}}'),
    'forbidden_key',
    /data/,
  ),
  append(
    '__proto__ as a field',
    raw('{"type":"T","entity":"a/b","__proto__":1}'),
    /forbidden_key|invalid/,
    /__proto__/,
  ),
];

const TYPES: BadRequest[] = [
  append('a text as body', '"text"', /^invalid_/, /body/),
  append('a number as body', '17', /^invalid_/, /body/),
  append('null as body', 'null', /^invalid_/, /body/),
  append('an array in an array', [[good]], /^invalid_/, /\[0\]/),
  ...badEvent('no type', { type: undefined }, 'type'),
  ...badEvent('no entity', { entity: undefined }, 'entity'),
  ...badEvent('a number as type', { type: 5 }, 'type'),
  ...badEvent('an empty type', { type: '' }, 'type'),
  ...badEvent('a long type', { type: 'x'.repeat(129) }, 'type'),
  ...badEvent('a type of 129 bytes', { type: `${'é'.repeat(64)}x` }, 'type'),
  ...badEvent('an empty id', { id: '' }, 'id'),
  ...badEvent('a long id', { id: 'i'.repeat(129) }, 'id'),
  ...badEvent('a number as id', { id: 7 }, 'id'),
  ...badEvent('no kind', { entity: 'alone' }, 'entity'),
  ...badEvent('three segments', { entity: 'a/b/c' }, 'entity'),
  ...badEvent('an empty segment', { entity: 'a/' }, 'entity'),
  ...badEvent('dots', { entity: 'a/..' }, 'entity'),
  ...badEvent('one dot', { entity: './b' }, 'entity'),
  ...badEvent('a space', { entity: 'a/b c' }, 'entity'),
  ...badEvent('a percent', { entity: 'a/b%2Fc' }, 'entity'),
  ...badEvent('a zero byte', { entity: 'a/b\u0000' }, 'entity'),
  ...badEvent('a letter beyond ASCII', { entity: 'a/ü' }, 'entity'),
  ...badEvent('a long entity', { entity: `a/${'b'.repeat(255)}` }, 'entity'),
  ...badEvent('a time that is none', { time: 'yesterday' }, 'time'),
  ...badEvent('the 30th of February', { time: '2024-02-30T00:00:00Z' }, 'time'),
  ...badEvent('a time without a zone', { time: '2024-02-03T00:00:00' }, 'time'),
  ...badEvent('a number as time', { time: 1_700_000_000 }, 'time'),
  ...badEvent('attributes as array', { attributes: [1] }, 'attributes'),
  ...badEvent('attributes as null', { attributes: null }, 'attributes'),
  ...badEvent('an unknown field', { colour: 'blue' }, 'colour'),
  ...badEvent('a memory without id', { memory: { text: 'x' } }, 'memory'),
  ...badEvent('a memory with an unknown field', { memory: { id: 'm', texts: 'x' } }, 'memory'),
  ...badEvent('a number as text', { memory: { id: 'm', text: 3 } }, 'memory.text'),
  ...badEvent('metadata as text', { memory: { id: 'm', metadata: 'x' } }, 'memory.metadata'),
  ...badEvent('forgotten: false', { memory: { id: 'm', forgotten: false } }, 'memory'),
  ...badEvent(
    'forgotten with a text',
    { memory: { id: 'm', forgotten: true, text: 'x' } },
    'memory',
  ),
  ...badEvent('a ttl of 0', { memory: { id: 'm', ttl: 0 } }, 'memory.ttl'),
  ...badEvent('a ttl of 1.5', { memory: { id: 'm', ttl: 1.5 } }, 'memory.ttl'),
  ...badEvent(
    'an embedding without model',
    { memory: { id: 'm', embedding: { values: [1] } } },
    'memory.embedding',
  ),
  ...badEvent(
    'an embedding of texts',
    { memory: { id: 'm', embedding: { model: 'm', values: ['1'] } } },
    'memory.embedding.values',
  ),
  ...badEvent(
    'an embedding that is no base64',
    { memory: { id: 'm', embedding: { model: 'm', values: '!!!!' } } },
    'memory.embedding.values',
  ),
  ...badEvent(
    'an empty embedding',
    { memory: { id: 'm', embedding: { model: 'm', values: [] } } },
    'memory.embedding.values',
  ),
  append(
    '3 dimensions of 768',
    { ...good, memory: { id: 'm', embedding: { model: 'm', values: [1, 2, 3] } } },
    'wrong_dimensions',
    /memory\.embedding/,
  ),
  append(
    'NaN in base64',
    { ...good, memory: { id: 'm', embedding: { model: 'm', values: floats(768, NaN) } } },
    /^(invalid_event|wrong_dimensions)$/,
    /memory\.embedding/,
  ),
  append(
    'infinite floats in base64',
    { ...good, memory: { id: 'm', embedding: { model: 'm', values: floats(768, Infinity) } } },
    /^(invalid_event|wrong_dimensions)$/,
    /memory\.embedding/,
  ),
  append(
    'a number beyond float32',
    {
      ...good,
      memory: { id: 'm', embedding: { model: 'm', values: [1e300, ...Array(767).fill(0)] } },
    },
    /^invalid_event$/,
    /memory\.embedding/,
  ),
  append(
    '5 bytes of floats',
    { ...good, memory: { id: 'm', embedding: { model: 'm', values: 'AAAAAAA=' } } },
    /^(invalid_event|wrong_dimensions)$/,
    /memory\.embedding/,
  ),
  append(
    'expectedSequence on an eventual entity',
    { ...good, expectedSequence: 3 },
    'zone_not_strong',
    /expectedSequence/,
  ),
];

/** 768 little-endian float32 in base64, the first of them bad. */
export function floats(dimensions: number, first: number): string {
  const values = new Float32Array(dimensions).fill(0.1);
  values[0] = first;
  return Buffer.from(values.buffer).toString('base64');
}

const SIZES: BadRequest[] = [
  append(
    '1,001 events',
    Array.from({ length: 1_001 }, (_, i) => ({ ...good, id: `s${i}` })),
    /^(invalid_|body_too_large)/,
    /body/,
    [400, 413],
  ),
  append(
    'data of 300 KiB',
    { ...good, data: 'x'.repeat(300 * 1024) },
    /^(event_too_large|invalid_event)$/,
    /data/,
    [400, 413],
  ),
  append(
    'an event of 600 KiB',
    { ...good, attributes: { x: 'x'.repeat(600 * 1024) } },
    'event_too_large',
    /body/,
    413,
  ),
  append('a body of 9 MiB', raw(`"${'x'.repeat(9 * 1024 * 1024)}"`), 'body_too_large', 'body', 413),
  append(
    'a memory text of 100 KiB',
    { ...good, memory: { id: 'm', text: 'x'.repeat(100 * 1024) } },
    /^(invalid_|event_too_large)/,
    /memory\.text/,
    [400, 413],
  ),
];

const HEADERS: BadRequest[] = [
  append('text/plain', raw(JSON.stringify(good)), 'unsupported_media_type', 'content-type', 415, {
    'content-type': 'text/plain',
  }),
  append('a form', raw('type=T&entity=a/b'), 'unsupported_media_type', 'content-type', 415, {
    'content-type': 'application/x-www-form-urlencoded',
  }),
  append(
    'JSON that is not json',
    raw(JSON.stringify(good)),
    'unsupported_media_type',
    'content-type',
    415,
    { 'content-type': 'application/jsonp' },
  ),
];

function materializer(
  what: string,
  method: string,
  path: string,
  code: string | RegExp,
  field: string | RegExp,
  body?: unknown,
  status: number | readonly number[] = 400,
): BadRequest {
  const base = { what, service: 'materializer', method, path, code, field, status } as const;
  return body === undefined ? base : { ...base, body };
}

const query = (what: string, body: unknown, code: string | RegExp, field: string | RegExp) =>
  materializer(what, 'POST', '/v1/query', code, field, body);
const asOf = (text: string, code: string | RegExp = 'invalid_as_of') =>
  materializer(
    `asOf ${text}`,
    'GET',
    `/v1/entities/ok/1?asOf=${encodeURIComponent(text)}`,
    code,
    /asOf/,
  );

const READS: BadRequest[] = [
  ...['mpt_junk', 'mpt_', `mpt_${'A'.repeat(60)}`, 'junk', 'mpt_%%%'].map((token) =>
    materializer(
      `after ${token}`,
      'GET',
      `/v1/entities/ok/1?after=${encodeURIComponent(token)}`,
      /^invalid_(token|request)$/,
      /after/,
    ),
  ),
  materializer(
    'a token of 20,000 letters',
    'GET',
    `/v1/entities/ok/1?after=mpt_${'A'.repeat(12_000)}`,
    /^invalid_(token|request)$/,
    /after/,
  ),
  asOf('offset:x'),
  asOf('offset:-5'),
  asOf('offset:1.2.3'),
  asOf('offset:99999999999999999999'),
  asOf('offset:999999'),
  asOf('time:soon'),
  asOf('time:2024-13-01T00:00:00Z'),
  asOf('token:junk', 'invalid_token'),
  asOf('mpt_junk', 'invalid_token'),
  asOf('event:'),
  materializer(
    'waitMs of letters',
    'GET',
    '/v1/entities/ok/1?waitMs=long',
    'invalid_request',
    /waitMs/,
  ),
  materializer('waitMs below 0', 'GET', '/v1/entities/ok/1?waitMs=-1', 'invalid_request', /waitMs/),
  materializer(
    'waitMs of a day',
    'GET',
    '/v1/entities/ok/1?waitMs=86400000',
    'invalid_request',
    /waitMs/,
  ),
  materializer(
    'an unknown parameter',
    'GET',
    '/v1/entities/ok/1?asof=x',
    'invalid_request',
    /asof/,
  ),
  materializer(
    'a parameter twice',
    'GET',
    '/v1/entities/ok/1?waitMs=1&waitMs=2',
    'invalid_request',
    /waitMs/,
  ),
  materializer(
    'a limit of 0',
    'GET',
    '/v1/entities/ok/1/history?limit=0',
    'invalid_request',
    /limit/,
  ),
  materializer(
    'a limit of a million',
    'GET',
    '/v1/entities/ok/1/history?limit=1000000',
    'invalid_request',
    /limit/,
  ),
  materializer(
    'from junk',
    'GET',
    '/v1/entities/ok/1/history?from=junk',
    /^invalid_(request|cursor|as_of)$/,
    /from/,
  ),
  materializer(
    'a feed of nothing',
    'GET',
    '/v1/feeds/no-such-topic?partition=0&from=0',
    /^(not_found|invalid_request)$/,
    /topic|path/,
    undefined,
    [400, 404],
  ),
  materializer(
    'a partition that is not there',
    'GET',
    '/v1/feeds/agent-events?partition=4000&from=0',
    /^(not_found|invalid_request)$/,
    /partition/,
    undefined,
    [400, 404],
  ),
  materializer(
    'a partition below 0',
    'GET',
    '/v1/feeds/agent-events?partition=-1&from=0',
    'invalid_request',
    /partition/,
  ),
  materializer(
    'a feed from -7',
    'GET',
    '/v1/feeds/agent-events?partition=0&from=-7',
    'invalid_request',
    /from/,
  ),
  materializer('an event without id', 'GET', '/v1/events?entity=ok/1', 'invalid_request', /id/),
  materializer(
    'an event of no entity',
    'GET',
    '/v1/events?entity=ok&id=1',
    'invalid_request',
    /entity/,
  ),
  materializer('a trace of nothing', 'GET', '/v1/trace', 'invalid_request', /id/),
  query('an unknown operator', { filter: { a: { $regex: 'x' } } }, 'invalid_filter', /filter/),
  query('an unknown operator on top', { filter: { $where: '1' } }, 'invalid_filter', /filter/),
  query('$in of a number', { filter: { a: { $in: 4 } } }, 'invalid_filter', /filter/),
  query('$exists of a text', { filter: { a: { $exists: 'yes' } } }, 'invalid_filter', /filter/),
  query('$and of an object', { filter: { $and: {} } }, 'invalid_filter', /filter/),
  query('$or of nothing', { filter: { $or: [] } }, 'invalid_filter', /filter/),
  query('an array as filter', { filter: [] }, /^invalid_(filter|request)$/, /filter/),
  query('a text as filter', { filter: 'a = 1' }, /^invalid_(filter|request)$/, /filter/),
  query(
    'operators and fields mixed',
    { filter: { a: { $gt: 1, b: 2 } } },
    'invalid_filter',
    /filter/,
  ),
  query(
    'a filter of 1,000 nodes',
    { filter: { $or: Array.from({ length: 1_000 }, (_, i) => ({ a: i })) } },
    'invalid_filter',
    /filter/,
  ),
  query('a junk cursor', { filter: {}, cursor: 'junk' }, 'invalid_cursor', /cursor/),
  query(
    'a cursor of base64',
    { filter: {}, cursor: Buffer.from('{"a":1}').toString('base64url') },
    'invalid_cursor',
    /cursor/,
  ),
  query('a limit of 0', { filter: {}, limit: 0 }, 'invalid_request', /limit/),
  query('a limit of 10⁶', { filter: {}, limit: 1_000_000 }, 'invalid_request', /limit/),
  query('an unknown field', { filter: {}, sort: 'a' }, 'invalid_request', /sort/),
  query('a junk after', { filter: {}, after: 'mpt_x' }, /^invalid_(token|request)$/, /after/),
  query(
    'asOf an offset across entities',
    { filter: {}, asOf: 'offset:1' },
    'invalid_as_of',
    /asOf/,
  ),
  materializer(
    '__proto__ in a filter',
    'POST',
    '/v1/query',
    'forbidden_key',
    /filter/,
    raw('{"filter":{"__proto__":1}}'),
  ),
  materializer('a replay of junk', 'POST', '/v1/replays', 'invalid_request', /entities/, {
    entities: 'all',
  }),
  materializer(
    'a replay that is not there',
    'GET',
    '/v1/replays/no-such-replay',
    /^(not_found|invalid_request)$/,
    /id|path/,
    undefined,
    [400, 404],
  ),
];

const PATHS: BadRequest[] = [
  ['..', '/v1/entities/ok/..'],
  ['../..', '/v1/entities/../../etc/passwd'],
  ['%2e%2e', '/v1/entities/ok/%2e%2e'],
  ['%2e', '/v1/entities/%2e/1'],
  ['%00', '/v1/entities/ok/1%00'],
  ['%2F twice', '/v1/entities/ok%2F1%2F2'],
  ['a second slash', '/v1/entities/ok//1'],
  ['invalid percent', '/v1/entities/ok/%zz'],
  ['invalid UTF-8 in a path', '/v1/entities/ok/%ff'],
  ['a very long path', `/v1/entities/ok/${'x'.repeat(5_000)}`],
  ['a backslash', '/v1/entities/ok\\1/2'],
  ['a space', '/v1/entities/ok/a%20b'],
  ['no such path', '/v2/entities/ok/1'],
].map(([what, path]) =>
  materializer(
    `path: ${what}`,
    'GET',
    path ?? '',
    /^(not_found|invalid_request|invalid_encoding)$/,
    /path|kind|id|entity/,
    undefined,
    [400, 404],
  ),
);

function search(
  what: string,
  body: unknown,
  code: string | RegExp,
  field: string | RegExp,
): BadRequest {
  const base = {
    service: 'vector-index',
    method: 'POST',
    path: '/v1/search',
    status: 400,
  } as const;
  return { ...base, what: `search: ${what}`, body, code, field };
}

const SEARCHES: BadRequest[] = [
  search('nothing', {}, 'invalid_request', /text|vector/),
  search('an empty text', { text: '' }, 'invalid_request', /text/),
  search('a number as text', { text: 5 }, 'invalid_request', /text/),
  search('topK 0', { text: 'x', topK: 0 }, 'invalid_request', /topK/),
  search('topK 10⁶', { text: 'x', topK: 1_000_000 }, 'invalid_request', /topK/),
  search('topK 1.5', { text: 'x', topK: 1.5 }, 'invalid_request', /topK/),
  search('3 dimensions', { vector: [1, 2, 3] }, 'wrong_dimensions', /vector/),
  search('texts as vector', { vector: ['a'] }, 'invalid_request', /vector/),
  search(
    'NaN in base64',
    { vector: floats(768, NaN) },
    /^(invalid_request|wrong_dimensions)$/,
    /vector/,
  ),
  search('no base64', { vector: '!!' }, 'invalid_request', /vector/),
  search(
    'an unknown operator',
    { text: 'x', filter: { a: { $near: 1 } } },
    'invalid_filter',
    /filter/,
  ),
  search(
    'an unknown operator about the entity',
    { text: 'x', filter: { 'entity.a': { $near: 1 } } },
    'invalid_filter',
    /filter/,
  ),
  search('an unknown field', { text: 'x', limit: 3 }, 'invalid_request', /limit/),
  search('a junk token', { text: 'x', after: 'mpt_junk' }, /^invalid_(token|request)$/, /after/),
  search('a junk asOf', { text: 'x', asOf: 'time:never' }, 'invalid_as_of', /asOf/),
  search(
    'asOf an offset across entities',
    { text: 'x', asOf: 'offset:1' },
    'invalid_as_of',
    /asOf/,
  ),
  search(
    'an entity with three segments',
    { text: 'x', entity: 'a/b/c' },
    'invalid_request',
    /entity/,
  ),
  search(
    '__proto__ in a filter',
    raw('{"text":"x","filter":{"__proto__":1}}'),
    'forbidden_key',
    /filter/,
  ),
];

function crdt(
  what: string,
  method: string,
  path: string,
  body: unknown,
  field: RegExp,
  code: string | RegExp = /^(invalid_request|not_found|bad_opid|counter_overflow|invalid_json)$/,
  status: number | readonly number[] = [400, 404, 409],
): BadRequest {
  const base = { what: `crdt: ${what}`, service: 'crdt-sync', method, path, field } as const;
  return { ...base, code, status, ...(body === undefined ? {} : { body }) };
}

const CRDTS: BadRequest[] = [
  crdt('by a text', 'POST', '/v1/counters/bad/increments', { by: 'one' }, /by/),
  crdt('by 1.5', 'POST', '/v1/counters/bad/increments', { by: 1.5 }, /by/),
  crdt('by 2⁵³', 'POST', '/v1/counters/bad/increments', { by: 2 ** 53 }, /by/),
  crdt('by null', 'POST', '/v1/counters/bad/increments', { by: null }, /by/),
  crdt('an unknown field', 'POST', '/v1/counters/bad/increments', { by: 1, delta: 2 }, /delta/),
  crdt('a slash in a name', 'POST', '/v1/counters/bad%2Fname/increments', { by: 1 }, /name|path/),
  crdt(
    'a name of 129 letters',
    'POST',
    `/v1/counters/${'n'.repeat(129)}/increments`,
    { by: 1 },
    /name|path/,
  ),
  crdt('a read of another kind', 'GET', '/v1/counters/bad?read=all', undefined, /read/),
  crdt('no element', 'POST', '/v1/sets/bad/adds', {}, /element/),
  crdt('no value', 'PUT', '/v1/registers/bad', {}, /value/),
  crdt('no path', 'POST', '/v1/maps/bad/increments', { by: 1 }, /path/),
  crdt('a field of no type', 'POST', '/v1/maps/bad/removals', { path: ['f'] }, /type/),
  crdt('junk as body', 'PUT', '/v1/registers/bad', raw('{'), /body/),
  crdt(
    'a partition of letters',
    'PUT',
    '/v1/counters/bad/partitions/x',
    { logId: 'x', epoch: 0, offset: 0, value: 1 },
    /partition/,
  ),
];

/** What backups read. */
const EXPORTS: BadRequest[] = [
  materializer(
    'a snapshot of a partition that is not there',
    'GET',
    '/v1/snapshots/4000',
    'not_found',
    /partition/,
    undefined,
    404,
  ),
  materializer(
    'a snapshot of no partition',
    'GET',
    '/v1/snapshots/x',
    'invalid_request',
    /partition/,
  ),
  ...(['crdt-sync /v1/export', 'vector-index /v1/computed-vectors'] as const).map((place) => ({
    service: place.split(' ')[0] as BadRequest['service'],
    what: `${place} with a query`,
    method: 'GET' as const,
    path: `${place.split(' ')[1]}?from=1`,
    status: 400,
    code: 'invalid_request',
    field: 'query.from',
  })),
];

const METHODS: BadRequest[] = [
  { service: 'event-ingest', method: 'PUT', path: '/v1/events' },
  { service: 'materializer', method: 'DELETE', path: '/v1/entities/ok/1' },
  { service: 'crdt-sync', method: 'PATCH', path: '/v1/registers/x' },
  { service: 'vector-index', method: 'GET', path: '/v1/search' },
].map((one) => ({
  ...(one as Pick<BadRequest, 'service' | 'method' | 'path'>),
  what: `${one.method} ${one.path}`,
  status: 405,
  code: 'method_not_allowed',
  field: 'method',
}));

export const BAD_REQUESTS: readonly BadRequest[] = [
  ...SYNTAX,
  ...TYPES,
  ...SIZES,
  ...HEADERS,
  ...READS,
  ...PATHS,
  ...SEARCHES,
  ...CRDTS,
  ...EXPORTS,
  ...METHODS,
];
