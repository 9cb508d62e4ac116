import { createAPI, type Reader, Writer } from '@platformatic/kafka';

/*
 * Produce and fetch with batches as bytes: the library's own versions encode and decode records one
 * object at a time, check no checksum on reading and throw away what other partitions answered.
 */

export interface ProducePart {
  readonly partition: number;
  readonly batch: Buffer;
}

export interface ProduceAnswer {
  readonly partition: number;
  readonly error: number;
  readonly baseOffset: number;
}

export interface FetchPart {
  readonly partition: number;
  readonly offset: number;
  readonly bytesMax: number;
}

export interface FetchRequest {
  readonly topicId: string;
  readonly waitMs: number;
  readonly bytesMax: number;
  readonly parts: readonly FetchPart[];
}

export interface FetchAnswer {
  readonly partition: number;
  readonly error: number;
  /** The end of what is durable; −1 with an error. */
  readonly end: number;
  readonly start: number;
  /** Record batches as stored; the last one may be cut off. */
  readonly bytes: Buffer;
}

const NO_BYTES = Buffer.alloc(0);
const ACKS_ALL = -1;

/** Produce version 11 names the topic, version 13 its id: then another topic of that name refuses. */
function produceRequest(isById: boolean) {
  return (topic: string, timeoutMs: number, parts: readonly ProducePart[]): Writer =>
    Writer.create()
      .appendString(null)
      .appendInt16(ACKS_ALL)
      .appendInt32(timeoutMs)
      .appendArray([topic], (writer, name) => {
        if (isById) writer.appendUUID(name);
        else writer.appendString(name);
        writer.appendArray([...parts], (w, { partition, batch }) => {
          w.appendInt32(partition)
            .appendUnsignedVarInt(batch.length + 1)
            .append(batch);
        });
      })
      .appendTaggedFields();
}

function produceAnswer(isById: boolean) {
  return (_id: number, _key: number, _version: number, reader: Reader): ProduceAnswer[] =>
    reader
      .readArray((r) => {
        if (isById) r.readUUID();
        else r.readString();
        return r.readArray((p) => {
          const partition = p.readInt32();
          const error = p.readInt16();
          const baseOffset = Number(p.readInt64());
          p.readInt64(); // log append time
          p.readInt64(); // log start
          p.readArray((e) => {
            e.readInt32();
            e.readNullableString();
          });
          p.readNullableString();
          return { partition, error, baseOffset };
        });
      })
      .flat();
}

type ProduceArguments = [topic: string, timeoutMs: number, parts: readonly ProducePart[]];

export const produceByName = createAPI<ProduceArguments, ProduceAnswer[]>(
  0,
  11,
  produceRequest(false),
  produceAnswer(false),
);

export const produceById = createAPI<ProduceArguments, ProduceAnswer[]>(
  0,
  13,
  produceRequest(true),
  produceAnswer(true),
);

function fetchRequest({ topicId, waitMs, bytesMax, parts }: FetchRequest): Writer {
  return Writer.create()
    .appendInt32(-1)
    .appendInt32(waitMs)
    .appendInt32(1)
    .appendInt32(bytesMax)
    .appendInt8(0)
    .appendInt32(0)
    .appendInt32(-1)
    .appendArray([topicId], (writer, id) => {
      writer.appendUUID(id).appendArray([...parts], (w, part) => {
        w.appendInt32(part.partition)
          .appendInt32(-1)
          .appendInt64(BigInt(part.offset))
          .appendInt32(-1)
          .appendInt64(-1n)
          .appendInt32(part.bytesMax);
      });
    })
    .appendArray([], () => {})
    .appendString('')
    .appendTaggedFields();
}

function fetchAnswer(
  _id: number,
  _key: number,
  _version: number,
  reader: Reader,
): { error: number; parts: FetchAnswer[] } {
  reader.readInt32(); // throttle time
  const error = reader.readInt16();
  reader.readInt32(); // session
  const parts = reader.readArray((r) => {
    r.readUUID();
    return r.readArray(readFetchPart);
  });
  return { error, parts: parts.flat() };
}

function readFetchPart(r: Reader): FetchAnswer {
  const partition = r.readInt32();
  const error = r.readInt16();
  const end = Number(r.readInt64());
  r.readInt64(); // last stable offset
  const start = Number(r.readInt64());
  r.readNullableArray((a) => {
    a.readInt64();
    a.readInt64();
  });
  r.readInt32(); // preferred replica
  const length = r.readUnsignedVarInt() - 1;
  if (length <= 0) return { partition, error, end, start, bytes: NO_BYTES };
  const bytes = r.buffer.slice(r.position, r.position + length);
  r.skip(length);
  return { partition, error, end, start, bytes };
}

export const fetchBytes = createAPI<[FetchRequest], { error: number; parts: FetchAnswer[] }>(
  1,
  13,
  fetchRequest,
  fetchAnswer,
);
