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

export const ID_KEY_CHARS = 16;
/** A SHA-256 in base64url. */
export const DIGEST_CHARS = 43;

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

/** The JSON of each member that was sent, which the event and its digest share; else empty. */
export interface MemberTexts {
  id: string;
  type: string;
  source: string;
  data: string;
  attributes: string;
  memory: string;
  correlationId: string;
  causationId: string;
  /** In the form of RFC 8785. */
  canonicalData: string;
  canonicalAttributes: string;
  canonicalMemory: string;
  /** As they were sent: their rules allow none of what JSON would write otherwise. */
  entity: string;
  time: string;
  /** What `id` says. */
  sentId: string | undefined;
}

/** An event that is written out, as text. */
export interface WrittenEvent extends Omit<PreparedEvent, 'contentKey' | 'value'> {
  /** The CloudEvent in JSON. */
  readonly text: string;
}

/**
 * Puts the texts of an event together. They are concatenated, not collected in an object first: that
 * saves a copy of all its members.
 * @param field how problems name the event
 * @throws MemplaneError `event_too_large`
 */
export function writeEvent(
  texts: MemberTexts,
  context: PrepareContext,
  field: string,
  traceparent: string | undefined,
): WrittenEvent {
  checkSize(texts.data, 'data_bytes_max', `${field}.data`, 'The data');
  const { entity } = texts;
  const { tenant } = context;
  const id = texts.sentId ?? context.newId();
  const key = partitionKey(tenant, entity);
  const digest = hash('sha256', canonicalEvent(texts), 'base64url');
  const text =
    `${OPENING}${HLC_BLANK}","id":${texts.id || JSON.stringify(id)},"type":${texts.type}` +
    `,"source":${texts.source || JSON.stringify(context.defaultSource)},"subject":"${entity}"` +
    `,"time":"${texts.time || context.now}","datacontenttype":"application/json"` +
    `,"tenant":"${tenant}","partitionkey":"${key}","zone":"eventual","digest":"${digest}"` +
    (texts.correlationId && `,"correlationid":${texts.correlationId}`) +
    (texts.causationId && `,"causationid":${texts.causationId}`) +
    (traceparent === undefined ? '' : `,"traceparent":${JSON.stringify(traceparent)}`) +
    `,"data":${payloadText(texts)}}`;
  checkSize(text, 'event_bytes_max', field, 'The event as it goes into the log');
  const idKey = identityOf(tenant, entity, id);
  return { id, entity, key, idKey, digest, text };
}

export function textsOf(sent: SentEvent): MemberTexts {
  const data = textOf(sent.data);
  const attributes = textOf(sent.attributes);
  const memory = textOf(sent.memory);
  return {
    id: quoted(sent.id),
    type: quoted(sent.type),
    source: quoted(sent.source),
    data,
    attributes,
    memory,
    correlationId: quoted(sent.correlationId),
    causationId: quoted(sent.causationId),
    canonicalData: data && canonicalJson(sent.data, data),
    canonicalAttributes: attributes && canonicalJson(sent.attributes, attributes),
    canonicalMemory: memory && canonicalJson(sent.memory, memory),
    entity: sent.entity,
    time: sent.time ?? '',
    sentId: sent.id,
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

/** RFC 8785 of what was sent: its members in the order of their names. */
function canonicalEvent(texts: MemberTexts): string {
  const { canonicalAttributes, causationId, correlationId, canonicalData, id } = texts;
  const { canonicalMemory, entity, source, time, type } = texts;
  return (
    '{' +
    (canonicalAttributes && `"attributes":${canonicalAttributes},`) +
    (causationId && `"causationId":${causationId},`) +
    (correlationId && `"correlationId":${correlationId},`) +
    (canonicalData && `"data":${canonicalData},`) +
    `"entity":"${entity}",` +
    (id && `"id":${id},`) +
    (canonicalMemory && `"memory":${canonicalMemory},`) +
    (source && `"source":${source},`) +
    (time && `"time":"${time}",`) +
    `"type":${type}}`
  );
}

/** A NUL can not stand in a tenant or an entity, so that no two identities run together. */
export function identityOf(tenant: string, entity: string, id: string): string {
  return hash('sha256', `${tenant}\0${entity}\0${id}`, 'binary').slice(0, ID_KEY_CHARS);
}

function payloadText({ data, attributes, memory }: MemberTexts): string {
  const first = data && `"data":${data}`;
  const second = attributes && `${first && ','}"attributes":${attributes}`;
  const third = memory && `${first || second ? ',' : ''}"memory":${memory}`;
  return `{${first}${second}${third}}`;
}

function checkSize(
  text: string,
  limit: 'data_bytes_max' | 'event_bytes_max',
  field: string,
  what: string,
): void {
  const max = LIMITS[limit];
  // At most three bytes of UTF-8 for each UTF-16 unit: most need no count.
  if (text.length * 3 <= max) return;
  const bytes = Buffer.byteLength(text);
  if (bytes <= max) return;
  throw new MemplaneError('event_too_large', `${what} has ${bytes} bytes; at most ${max}.`, {
    field,
    extra: { limit, max },
  });
}
