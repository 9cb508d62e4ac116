export {
  cloudEventOf,
  type InboundCloudEvent,
  type InboundMessage,
} from './delivery.ts';
export { createDaprInvoker } from './invoker.ts';
export { inKeyOrder, type KeyOrderedOptions } from './key-ordered.ts';
export { DaprPublisher, PUBSUB, type PublishEntry, type PublishOptions } from './publisher.ts';
export { safePath } from './safe-path.ts';
export { DaprSecrets } from './secrets.ts';
export {
  callSidecar,
  readSidecarConfig,
  type SidecarCall,
  type SidecarConfig,
  waitForSidecar,
} from './sidecar.ts';
export { DaprState, type StateItem, type StateOptions, type StateValue } from './state.ts';
export {
  type DeliveryContext,
  type DeliveryHandler,
  type DeliveryStatus,
  type SubscriptionOptions,
  subscriptionRoute,
} from './subscription.ts';
