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
  /** The first 16 bytes of the content digest, one a character (latin1). */
  readonly contentKey: string;
  /** The CloudEvent; the stamp goes to {@link HLC_AT}. */
  readonly value: Buffer;
}

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
  const { entity, type } = sent;
  const id = sent.id ?? context.newId();
  const key = partitionKey(context.tenant, entity);
  const canonical = canonicalJson(sent);
  const digest = hash('sha256', canonical, 'base64url');
  const text =
    `${OPENING}${HLC_BLANK}","id":${JSON.stringify(id)},"type":${JSON.stringify(type)}` +
    `,"source":${JSON.stringify(sent.source ?? context.defaultSource)},"subject":"${entity}"` +
    `,"time":"${sent.time ?? context.now}","datacontenttype":"application/json"` +
    `,"tenant":"${context.tenant}","partitionkey":"${key}","zone":"eventual","digest":"${digest}"` +
    member('correlationid', sent.correlationId) +
    member('causationid', sent.causationId) +
    member('traceparent', traceparent) +
    `,"data":${payloadText(sent, field)}}`;
  const value = Buffer.from(text);
  if (value.length > LIMITS.event_bytes_max) {
    throw tooLarge(field, 'event_bytes_max', 'The event as it goes into the log', value.length);
  }
  return {
    id,
    entity,
    key,
    idKey: identityOf(context.tenant, entity, id),
    contentKey: Buffer.from(digest.slice(0, 22), 'base64url').toString('latin1'),
    value,
  };
}

/** A NUL can not stand in a tenant or an entity, so that no two identities run together. */
export function identityOf(tenant: string, entity: string, id: string): string {
  return hash('sha256', `${tenant}\0${entity}\0${id}`, 'binary').slice(0, 16);
}

function payloadText(sent: SentEvent, field: string): string {
  let text = '';
  if (sent.data !== undefined) {
    const data = JSON.stringify(sent.data);
    checkDataSize(data, field);
    text = `"data":${data}`;
  }
  if (sent.attributes !== undefined) {
    text += `${text && ','}"attributes":${JSON.stringify(sent.attributes)}`;
  }
  if (sent.memory !== undefined) text += `${text && ','}"memory":${JSON.stringify(sent.memory)}`;
  return `{${text}}`;
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

function member(name: string, value: string | undefined): string {
  return value === undefined ? '' : `,"${name}":${JSON.stringify(value)}`;
}
