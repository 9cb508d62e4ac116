export * from './file-blob-store.ts';
export * from './names.ts';
export * from './port.ts';
export * from './prefixed-blob-store.ts';
export * from './through-codec.ts';
