import { z } from 'zod';

/** What one topic carries. */
export interface TopicMessage {
  readonly description: string;
  readonly schema: z.ZodType;
  readonly contentType: string;
}

/** Generates the AsyncAPI 3.0 document of the topics from the schemas of their messages. */
export function asyncApiDocument(
  topics: Readonly<Record<string, TopicMessage>>,
  info: { readonly title: string; readonly version: string; readonly description: string },
): unknown {
  const channels: Record<string, unknown> = {};
  const messages: Record<string, unknown> = {};
  const operations: Record<string, unknown> = {};
  for (const [topic, { description, schema, contentType }] of Object.entries(topics)) {
    const { $schema, ...payload } = z.toJSONSchema(schema, { reused: 'inline' });
    messages[topic] = { name: topic, contentType, payload };
    channels[topic] = {
      address: topic,
      description,
      messages: { [topic]: { $ref: `#/components/messages/${topic}` } },
    };
    operations[`receive-${topic}`] = {
      action: 'receive',
      channel: { $ref: `#/channels/${topic}` },
    };
  }
  return {
    asyncapi: '3.0.0',
    info,
    defaultContentType: 'application/json',
    channels,
    operations,
    components: { messages },
  };
}
