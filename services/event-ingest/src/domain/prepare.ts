import { hash } from 'node:crypto';
import { LIMITS, MemplaneError, partitionKey } from '@memplane/contracts';
import { canonicalJson } from './canonical.ts';
import type { SentEvent } from './sent-event.ts';

/** An event that is checked, identified and written out; only its stamp is missing. */
export interface PreparedEvent {
  readonly id: string;
  readonly entity: string;
  /** The partition key. */
  readonly key: string;
  /** 16 bytes that name (tenant, entity, id), one a character (latin1). */
  readonly idKey: string;
  /** The first {@link CONTENT_KEY_CHARS} of the digest's base64url: 126 bits. */
  readonly contentKey: string;
  /** The whole digest, in base64url. */
  readonly digest: string;
  /** The CloudEvent; the stamp goes to {@link HLC_AT}. */
  readonly value: Buffer;
}

/** How much of a digest tells contents apart: what 16 of its bytes say for certain. */
export const CONTENT_KEY_CHARS = 21;

export interface PrepareContext {
  readonly tenant: string;
  /** The source of events that name none. */
  readonly defaultSource: string;
  /** Ingestion time in RFC 3339, for events that carry none. */
  readonly now: string;
  readonly traceparent: string | undefined;
  /** Makes an id for events that carry none. */
  readonly newId: () => string;
}

const OPENING = '{"specversion":"1.0","hlc":"';

/** Where the 17 characters of the stamp stand in a prepared event's value. */
export const HLC_AT = OPENING.length;
const HLC_BLANK = '000000000000-0000';

/**
 * Writes a checked event as the CloudEvent that goes into the log. Its texts are concatenated, not
 * collected in an object first: that saves a copy of all its members.
 * @param field how problems name the event
 * @throws MemplaneError `event_too_large`
 */
export function prepareEvent(
  sent: SentEvent,
  context: PrepareContext,
  field: string,
  traceparent: string | undefined = context.traceparent,
): PreparedEvent {
  const { entity } = sent;
  const id = sent.id ?? context.newId();
  const key = partitionKey(context.tenant, entity);
  const texts = textsOf(sent, field);
  const digest = hash('sha256', canonicalEvent(sent, texts), 'base64url');
  const text =
    `${OPENING}${HLC_BLANK}","id":${texts.id || JSON.stringify(id)},"type":${texts.type}` +
    `,"source":${texts.source || JSON.stringify(context.defaultSource)},"subject":"${entity}"` +
    `,"time":"${sent.time ?? context.now}","datacontenttype":"application/json"` +
    `,"tenant":"${context.tenant}","partitionkey":"${key}","zone":"eventual","digest":"${digest}"` +
    (texts.correlationId && `,"correlationid":${texts.correlationId}`) +
    (texts.causationId && `,"causationid":${texts.causationId}`) +
    (traceparent === undefined ? '' : `,"traceparent":${JSON.stringify(traceparent)}`) +
    `,"data":${payloadText(texts)}}`;
  const value = Buffer.from(text);
  if (value.length > LIMITS.event_bytes_max) {
    throw tooLarge(field, 'event_bytes_max', 'The event as it goes into the log', value.length);
  }
  return {
    id,
    entity,
    key,
    idKey: identityOf(context.tenant, entity, id),
    digest,
    contentKey: digest.slice(0, CONTENT_KEY_CHARS),
    value,
  };
}

/** The JSON of each member that was sent, which the event and its digest share; else empty. */
interface MemberTexts {
  readonly id: string;
  readonly type: string;
  readonly source: string;
  readonly data: string;
  readonly attributes: string;
  readonly memory: string;
  readonly correlationId: string;
  readonly causationId: string;
}

function textsOf(sent: SentEvent, field: string): MemberTexts {
  const data = textOf(sent.data);
  checkDataSize(data, field);
  return {
    id: quoted(sent.id),
    type: quoted(sent.type),
    source: quoted(sent.source),
    data,
    attributes: textOf(sent.attributes),
    memory: textOf(sent.memory),
    correlationId: quoted(sent.correlationId),
    causationId: quoted(sent.causationId),
  };
}

/** Printable ASCII without a quote or a backslash: what JSON writes as it is. */
const PLAIN = /^[ !#-[\]-~]*$/;

/** The JSON of a text; the plain ones need no serializer. */
export function quoted(text: string | undefined): string {
  if (text === undefined) return '';
  return PLAIN.test(text) ? `"${text}"` : JSON.stringify(text);
}

function textOf(value: unknown): string {
  return value === undefined ? '' : JSON.stringify(value);
}

/**
 * RFC 8785 of what was sent: its members in the order of their names. Entity and time need no
 * escapes, their rules allow none of what JSON would write otherwise.
 */
function canonicalEvent(sent: SentEvent, texts: MemberTexts): string {
  const { attributes, causationId, correlationId, data, id, memory, source, type } = texts;
  return (
    '{' +
    (attributes && `"attributes":${canonicalJson(sent.attributes, attributes)},`) +
    (causationId && `"causationId":${causationId},`) +
    (correlationId && `"correlationId":${correlationId},`) +
    (data && `"data":${canonicalJson(sent.data, data)},`) +
    `"entity":"${sent.entity}",` +
    (id && `"id":${id},`) +
    (memory && `"memory":${canonicalJson(sent.memory, memory)},`) +
    (source && `"source":${source},`) +
    (sent.time === undefined ? '' : `"time":"${sent.time}",`) +
    `"type":${type}}`
  );
}

/** A NUL can not stand in a tenant or an entity, so that no two identities run together. */
export function identityOf(tenant: string, entity: string, id: string): string {
  return hash('sha256', `${tenant}\0${entity}\0${id}`, 'binary').slice(0, 16);
}

function payloadText({ data, attributes, memory }: MemberTexts): string {
  const first = data && `"data":${data}`;
  const second = attributes && `${first && ','}"attributes":${attributes}`;
  const third = memory && `${first || second ? ',' : ''}"memory":${memory}`;
  return `{${first}${second}${third}}`;
}

function checkDataSize(data: string, field: string): void {
  const max = LIMITS.data_bytes_max;
  // At most three bytes of UTF-8 for each UTF-16 unit: most need no count.
  if (data.length * 3 <= max) return;
  const bytes = Buffer.byteLength(data);
  if (bytes > max) throw tooLarge(`${field}.data`, 'data_bytes_max', 'The data', bytes);
}

function tooLarge(
  field: string,
  limit: 'data_bytes_max' | 'event_bytes_max',
  what: string,
  bytes: number,
): MemplaneError {
  const max = LIMITS[limit];
  return new MemplaneError('event_too_large', `${what} has ${bytes} bytes; at most ${max}.`, {
    field,
    extra: { limit, max },
  });
}
