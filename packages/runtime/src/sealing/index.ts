export { type EntityKey, entityKey, KEY_ID_BYTES, SECRET_BYTES } from './entity-key.ts';
export { emptied, keyed, openEvent, sealEvent, sealedKeyId, UnsealError } from './sealed-event.ts';
