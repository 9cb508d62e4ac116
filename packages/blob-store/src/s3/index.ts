export type { S3Options } from './options.ts';
export { S3BlobStore } from './s3-blob-store.ts';
